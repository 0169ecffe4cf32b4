"""Which layer of a model speaks to a response: one mixed model for each, over one design."""
