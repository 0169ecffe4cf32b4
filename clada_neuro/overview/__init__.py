"""What the data look like beside any regression: counts, means, distributions and bins, computed once for the report."""
