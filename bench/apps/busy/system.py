"""A service whose capacity is known: each request takes half a second of waiting, and 64 run at once, so 128 a second.

`GET /spin` takes the processor instead: what it takes, and so the capacity, is the machine's.
"""

import threading

from windlass import System

busy = System("busy")
api = busy.api("api")

SECONDS = 0.5
TURNS = 100_000


@api.get("/wait")
def wait() -> dict[str, float]:
    """Waits, as for a database or another service."""
    threading.Event().wait(SECONDS)
    return {"seconds": SECONDS}


@api.get("/spin")
def spin() -> dict[str, int]:
    """Computes in Python, which lets one thread run at a time."""
    return {"sum": sum(range(TURNS))}


@api.get("/quick")
def quick() -> dict[str, bool]:
    """Answers at once."""
    return {"quick": True}
