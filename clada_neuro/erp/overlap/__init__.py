"""Regression ERPs on continuous EEG, in which responses to successive words overlap and are taken apart."""
