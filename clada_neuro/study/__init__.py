"""A whole study: what is asked for, the stages in their order, and several language models side by side."""
