"""Distribution over many workers."""
