"""Policies that users can name, one a file: its rule, what it fits in the calibration passes, how it is made."""
