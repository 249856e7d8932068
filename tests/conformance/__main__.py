"""`python -m tests.conformance`: the page of divergences."""

import sys

from tests.conformance.report import page

sys.stdout.write(page())
