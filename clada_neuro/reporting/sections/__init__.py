"""One file a section of the report: what it is called, where it stands, and its blocks (see `clada_neuro.reporting.registry`)."""
