"""Programs that estimate a linear mixed model, behind one interface."""
