"""Responses of people: what they are, tables of trials, and the words they belong to."""
