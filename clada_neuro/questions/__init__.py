"""The paper's three questions: shared prefixes, adaptation, and human responses. Like `study`, they compose stages."""
