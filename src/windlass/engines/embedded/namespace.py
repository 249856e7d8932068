"""A namespace: one world of state, in `HOME/NAMESPACE/`."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from windlass.engines.embedded.keyring import Keyring
from windlass.engines.embedded.store import Durability, Store
from windlass.errors import HomeError
from windlass.ports.clock import Clock, SystemClock

__all__ = ["Namespace", "default_home", "folder", "reset"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def default_home() -> Path:
    """Where state is kept when nobody says: `WINDLASS_HOME`, or `.windlass` in the present folder."""
    return Path(os.environ.get("WINDLASS_HOME") or ".windlass")


def folder(home: Path, name: str) -> Path:
    """The folder of a namespace. Raises HomeError for a name that is none."""
    if not _NAME.match(name):
        raise HomeError(
            f"{name!r} cannot name a namespace\n  fix: use 1 to 64 letters, digits, dots, dashes and underscores"
        )
    return home / name


class Namespace:
    """An open namespace: its store, its keys, and the clock. `base_url` is where its systems answer, known once
    the gateway listens."""

    def __init__(
        self,
        home: Path,
        name: str = "default",
        *,
        clock: Clock | None = None,
        durability: Durability = "process",
        base_url: Callable[[], str] = lambda: "http://127.0.0.1:8400",
    ) -> None:
        self.name = name
        self.path = folder(home, name)
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_key()
            self.keyring = Keyring.open(self.path / "master.key")
        except OSError as error:
            raise HomeError(
                f"{self.path} cannot be used for state: {error.strerror}\n"
                f"  fix: give a folder that you may write to, with --home or WINDLASS_HOME"
            ) from error
        self.clock = clock or SystemClock()
        self.base_url = base_url
        self.store = Store(self.path / "state.sqlite", durability=durability)

    def _check_key(self) -> None:
        """A new key beside old state would make every secret and token in it unreadable."""
        if (self.path / "state.sqlite").exists() and not (self.path / "master.key").exists():
            raise HomeError(
                f"{self.path} holds state, but its master.key is missing\n"
                f"  fix: restore master.key from a backup; or give the state up with `windlass reset`"
            )

    def close(self) -> None:
        """Commits and closes the store."""
        self.store.close()


def reset(home: Path, name: str) -> bool:
    """Removes all state of a namespace; whether there was any."""
    path = folder(home, name)
    if not path.is_dir():
        return False
    shutil.rmtree(path)
    return True
