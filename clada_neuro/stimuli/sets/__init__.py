"""Loaders of external sets: each reads the public files as they are served and cleans them itself."""
