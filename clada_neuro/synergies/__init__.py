"""The three synergy analyses: prefix, adaptation and human. Like `study`, they compose stages."""
