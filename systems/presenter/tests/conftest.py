"""Runs the tests that start the system by `start` on every engine."""

from tests.conformance.plugin import pytest_generate_tests, pytest_itemcollected, start

__all__ = ["pytest_generate_tests", "pytest_itemcollected", "start"]
