"""What calibrations are made of: passes over text in which thresholds and errors are found, kept piece by piece."""
