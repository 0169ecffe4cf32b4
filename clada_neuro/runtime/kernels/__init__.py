"""Matrix products that read only the selected weights."""
