"""Generalised mixed models: binomial and Poisson responses by Laplace's approximation."""
