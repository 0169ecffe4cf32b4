"""Encoding: responses predicted from vectors of words, on items left out."""
