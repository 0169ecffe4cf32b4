"""Stimulus files, designs and public data sets."""
