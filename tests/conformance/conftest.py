"""Runs each conformance test on every engine."""

from tests.conformance.plugin import Start, pytest_generate_tests, pytest_itemcollected, start

__all__ = ["Start", "pytest_generate_tests", "pytest_itemcollected", "start"]
