"""Loading language models and reaching their feed-forward blocks."""
