"""Declare a serverless, event-driven system once, in plain Python; run all of it on one machine."""
