"""`kill -9` under load, again and again, and a count of what was lost or done twice: `python -m tests.torture`."""
