"""How sure fixed effects are: covariances, denominator degrees of freedom and F tests of their linear functions."""
