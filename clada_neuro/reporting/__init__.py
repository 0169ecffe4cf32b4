"""Figures, tables, prose and the report page."""
