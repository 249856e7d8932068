"""A system that needs no package but msgspec."""

from windlass import System

lone = System("lone")
