"""Every document of a run folder as a typed, versioned record, beside the tables of `clada_neuro.tables`."""
