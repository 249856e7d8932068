"""A namespace: one world of state, in `HOME/NAMESPACE/`."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from windlass.engines.embedded.clock_jump import EngineClock
from windlass.engines.embedded.keyring import Keyring
from windlass.engines.embedded.lock import Lock
from windlass.engines.embedded.migrations import SCHEMA_VERSION, state_version
from windlass.engines.embedded.store import Durability, Store
from windlass.engines.embedded.turn import Turn
from windlass.errors import HomeError
from windlass.ports.clock import Clock, SystemClock

__all__ = ["Namespace", "default_home", "folder", "reset", "restoring"]

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


def restoring(home: Path, name: str) -> Path:
    """The folder in which a restore of the namespace builds its state. It is there afterwards only when a restore was
    cut off, perhaps after the old state was moved aside and before the new one was in its place."""
    return home / f".{name}.restoring"


class Namespace:
    """An open namespace: its store, its keys, and the clock. `base_url` is where its systems answer, known once
    the gateway listens. `lock` is the namespace's lock where the caller, a server, holds it; `shared` says that
    several processes of that server serve."""

    def __init__(
        self,
        home: Path,
        name: str = "default",
        *,
        clock: Clock | None = None,
        durability: Durability = "process",
        base_url: Callable[[], str] = lambda: "http://127.0.0.1:8400",
        lock: Lock | None = None,
        shared: bool = False,
    ) -> None:
        self.name = name
        self.path = folder(home, name)
        self._turn: Turn | None = None
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_key()
            self.keyring = Keyring.open(self.path / "master.key")
        except OSError as error:
            raise HomeError(
                f"{self.path} cannot be used for state: {error.strerror}\n"
                f"  fix: give a folder that you may write to, with --home or WINDLASS_HOME"
            ) from error
        self.clock = EngineClock(clock or SystemClock())
        self.base_url = base_url
        if shared:
            self._turn = Turn(self.path / "turn")
        self.store = self._opened(durability, lock)

    def _opened(self, durability: Durability, lock: Lock | None) -> Store:
        """The store, migrated where an older Windlass has written it; never under a server of that."""
        path, held = self.path / "state.sqlite", self.path / "lock"
        version = SCHEMA_VERSION if lock is not None else state_version(path)
        if version in (0, SCHEMA_VERSION):
            return Store(path, durability=durability, turn=self._turn)
        if (holder := Lock.holder(held)) is not None:
            raise HomeError(
                f"{self.path} holds state of an older Windlass (version {version}, this one writes {SCHEMA_VERSION}), "
                f"and {holder}, runs on it\n"
                f"  fix: use the older Windlass; or stop that process, and start it with this one"
            )
        with Lock.acquire(held, "which migrates its state"):
            return Store(path, durability=durability, turn=self._turn)

    def _check_key(self) -> None:
        """A new key beside old state would make every secret and token in it unreadable; and to begin anew where a
        restore was cut off would make state be taken for lost."""
        if not (self.path / "state.sqlite").exists() and restoring(self.path.parent, self.name).exists():
            raise HomeError(
                f"a restore of {self.path} was cut off\n"
                f"  fix: run `windlass restore` again; or, to begin without it, remove "
                f"{restoring(self.path.parent, self.name)}"
            )
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
