"""From a `system.py` to plain data: load it, check it, describe it, draw it. Nothing here does I/O but `load`."""
