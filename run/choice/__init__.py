"""Choosing one model of a run."""
