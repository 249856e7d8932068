"""How hypothesis draws its examples here: always the same ones, quickly."""

from __future__ import annotations

from hypothesis import settings

# A decorator, not a profile: a profile would also apply to other tests of the same session.
fixed_examples = settings(deadline=None, derandomize=True, database=None, max_examples=40)
few_examples = settings(fixed_examples, max_examples=20)
