"""Estimated marginal means, slopes and their contrasts, as emmeans defines them."""
