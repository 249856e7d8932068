"""One delivery -> one function: bind, validate, call, answer. The same code on every engine."""
