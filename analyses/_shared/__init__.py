"""What several of the numbered analyses use; each of those is one question, one command and one folder of results."""
