"""The engines: siblings that run the same declaration and never import each other."""
