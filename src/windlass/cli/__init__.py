"""The command line: one file per command, and what they share.

It reads the graph, and acts on the state through the operators' side of the ports; it holds no rules of its own.
"""
