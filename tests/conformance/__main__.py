"""`python -m tests.conformance`: the page of divergences."""

from tests.conformance.report import page

print(page(), end="")
