"""What an engine must do: one Protocol for each noun, and the plain data that passes through it.

Nothing here knows an engine, SQLite, or AWS. Values that cross a port are JSON types or frozen dataclasses.
"""
