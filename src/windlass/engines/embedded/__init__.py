"""The embedded engine: one process, one folder of state, no account."""
