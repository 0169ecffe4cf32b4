"""Published sparsification rules, one policy a file."""
