"""Mixed models at every electrode and moment."""
