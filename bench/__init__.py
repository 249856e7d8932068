"""Measurements: each a command that prints a ratio against a peer measured in the same run."""
