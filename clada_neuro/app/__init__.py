"""A page in the browser: texts in, the word-by-word plot, CSV and report out; everything stays on this computer."""
