"""The CLADA runtime: policies, attachment, decoding."""
