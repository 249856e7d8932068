"""AWS's events, a file for each kind: from the payload to what dispatch takes, and from its answer back."""
