"""Zero-shot benchmarks under any policy."""
