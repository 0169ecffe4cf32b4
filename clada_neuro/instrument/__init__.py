"""Per-token and per-word measures of a language model."""
