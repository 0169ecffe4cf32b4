"""Mixed-effects regression, R² and synergy."""
