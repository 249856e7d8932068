"""Runs the systems' own tests on every engine, where they do not need a server."""

from tests.conformance.plugin import pytest_generate_tests, pytest_itemcollected, start

__all__ = ["pytest_generate_tests", "pytest_itemcollected", "start"]
