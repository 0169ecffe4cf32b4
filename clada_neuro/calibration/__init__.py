"""Offline, error-controlled choice of thresholds."""
