"""Event-related potentials: from MNE objects to trials, and simulation."""
