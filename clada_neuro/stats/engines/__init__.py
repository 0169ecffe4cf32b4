"""Engines that estimate mixed models behind one interface."""
