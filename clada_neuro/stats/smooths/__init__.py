"""Smooth terms of a formula: bases, penalties, curves and their tests."""
