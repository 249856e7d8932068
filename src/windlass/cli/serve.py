"""One process that serves: on its own, or in one of the places that a supervisor fills."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from windlass.cli.log_lines import show_logs
from windlass.engines.embedded.engine import EmbeddedEngine
from windlass.engines.embedded.gateway import Gateway
from windlass.engines.embedded.lock import Lock
from windlass.engines.embedded.namespace import Namespace, folder
from windlass.engines.embedded.otlp import OtlpExport, header_secrets
from windlass.engines.embedded.place import Place
from windlass.engines.embedded.recorder import Limits
from windlass.engines.embedded.server import listen, serve
from windlass.engines.embedded.shared_throttles import SharedThrottles
from windlass.engines.embedded.smtp import SmtpSettings
from windlass.engines.embedded.store import Durability
from windlass.errors import LoadError, WindlassError
from windlass.graph.load import discover, load
from windlass.model.system import System

__all__ = [
    "DRAIN_SECONDS",
    "Settings",
    "address",
    "changes",
    "hold",
    "ready_document",
    "say_credentials",
    "say_ready",
    "serve_in_place",
    "serve_one",
    "watch_code",
]

DRAIN_SECONDS = 10.0
_SOCKET = "WINDLASS_LISTENING_SOCKET"


@dataclass(frozen=True, slots=True)
class Settings:
    """What `windlass up` was told. `tls` holds the paths of certificate and key."""

    found: list[Path]
    host: str
    port: int
    durability: Durability
    reload: bool
    tls: tuple[Path, Path] | None
    as_json: bool
    home: Path
    namespace: str
    workers: int
    limits: Limits
    otlp: str | None

    @staticmethod
    def discovered(paths: Sequence[Path]) -> list[Path]:
        """The systems at `paths`; without any, those in ./systems, or the one here."""
        chosen = list(paths) or [Path("systems") if Path("systems").is_dir() else Path()]
        return [path for chosen_path in chosen for path in discover(chosen_path)]

    @property
    def folder(self) -> Path:
        """The namespace's folder."""
        return folder(self.home, self.namespace)


def serve_one(settings: Settings) -> None:
    """Serves in this process alone until it is told to stop."""
    reloaded = _SOCKET in os.environ
    listening = _listening(settings)
    base = address(settings, listening)
    try:
        systems = _systems(settings.found)
        lock = hold(settings, base)
        engine = _engine(settings, systems, base, lock)
    except WindlassError as error:
        if not reloaded:
            raise
        # The code fits itself and not what is stored, which only a start finds out.
        click.echo(f"error: {error}\nrequests wait until the code changes again", err=True)
        next(iter(changes(settings.found)))
        _start_again(listening)
    show_logs(engine.redactor, as_json=settings.as_json)
    users = engine.prepare()
    again = threading.Event()

    def started(stop: Callable[[], None]) -> None:
        engine.start()
        if settings.reload:

            def changed() -> None:
                again.set()
                stop()

            watch_code(settings.found, changed, once=True)

    asked = serve(
        Gateway(engine),
        listening,
        ready=lambda: say_ready(settings, ready_document(settings, base, systems, users)),
        started=started,
        ended=lambda: _ended(engine, lock),
        tls=settings.tls,
    )
    if again.is_set() and not asked:
        _start_again(listening)
    if not settings.as_json:
        click.echo("stopped")


def serve_in_place(settings: Settings, place: Place) -> None:
    """Serves in the place that a supervisor has given this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the supervisor sees to the order
    base = place.base
    systems = _systems(settings.found)
    lock = Lock.inherited(settings.folder / "lock", place.lock)
    engine = _engine(settings, systems, base, lock, place)
    show_logs(engine.redactor, as_json=settings.as_json)
    users: list[tuple[str, str, str, str]] = []
    if not place.first:
        engine.succeed()
    elif place.role == "consumers":
        users = engine.prepare()
    document = msgspec.json.encode(ready_document(settings, base, systems, users))
    if place.role == "consumers":
        told, tell = os.pipe()  # a signal handler must take no lock, as an Event does
        signal.signal(signal.SIGTERM, lambda *_: os.write(tell, b"\0"))
        place.outlive(lambda: os.write(tell, b"\0"))
        place.listen(engine.wake)
        engine.start()
        place.say_ready(document)
        os.read(told, 1)
        _ended(engine)
        return

    def started(stop: Callable[[], None]) -> None:
        engine.start()
        place.outlive(stop)

    serve(
        Gateway(engine),
        socket.socket(fileno=place.socket),
        ready=lambda: place.say_ready(document),
        started=started,
        ended=lambda: _ended(engine),
        tls=settings.tls,
        interrupts=False,
    )


def _engine(
    settings: Settings, systems: Sequence[System], base: str, lock: Lock, place: Place | None = None
) -> EmbeddedEngine:
    smtp_url = os.environ.get("WINDLASS_SMTP_URL")
    smtp = SmtpSettings.parse(smtp_url) if smtp_url else None
    space = Namespace(
        settings.home,
        settings.namespace,
        durability=settings.durability,
        base_url=lambda: base,
        lock=lock,
        shared=place is not None,
    )
    export = None if settings.otlp is None else OtlpExport(settings.otlp)
    if place is None:
        engine = EmbeddedEngine(space, systems, smtp=smtp, limits=settings.limits, export=export)
    else:
        engine = EmbeddedEngine(
            space,
            systems,
            smtp=smtp,
            throttles=SharedThrottles(space.path / "throttles"),
            role=place.role,
            owner=place.name,
            arrived=place.arrived,
            limits=settings.limits,
            export=export,
        )
    for header in header_secrets(os.environ):
        engine.redactor.add(header)
    if smtp is not None and smtp.password:
        engine.redactor.add(smtp.password)
    return engine


def _ended(engine: EmbeddedEngine, lock: Lock | None = None) -> None:
    if not engine.stop(DRAIN_SECONDS):
        click.echo(f"some handlers still ran after {DRAIN_SECONDS:.0f} seconds and were cut off", err=True)
    if lock is not None:
        lock.release()


def _systems(found: Sequence[Path]) -> list[System]:
    systems: dict[str, System] = {}
    for path in found:
        system = load(path)
        if system.name in systems:
            raise LoadError(f"two systems are named {system.name!r}\n  fix: rename one, or run them in two homes")
        systems[system.name] = system
    return list(systems.values())


def hold(settings: Settings, about: str) -> Lock:
    """The namespace's lock, in its folder, which is made where there is none."""
    try:
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise WindlassError(
            f"{settings.folder} cannot be used for state: {error.strerror}\n"
            f"  fix: give a folder that you may write to with --home"
        ) from error
    return Lock.acquire(settings.folder / "lock", about)


def _listening(settings: Settings) -> socket.socket:
    """The socket to listen on: a new one, or the one that this process had before it started again."""
    inherited = os.environ.pop(_SOCKET, None)
    return listen(settings.host, settings.port) if inherited is None else socket.socket(fileno=int(inherited))


def address(settings: Settings, listening: socket.socket) -> str:
    """Where the systems answer, for who is on this machine."""
    host, bound = settings.host, listening.getsockname()[1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    return f"{'https' if settings.tls else 'http'}://{shown}:{bound}"


def ready_document(
    settings: Settings, base: str, systems: Sequence[System], users: Sequence[tuple[str, str, str, str]]
) -> dict[str, Any]:
    """What `--json` prints when all is ready."""
    return {
        "url": base,
        "systems": {system.name: f"{base}/{system.name}" for system in systems},
        "titles": {system.name: system.title for system in systems},
        "credentials": [
            {"system": system, "pool": pool, "username": name, "password": password}
            for system, pool, name, password in users
        ],
        "state": str(settings.folder),
        "pid": os.getpid(),
    }


def say_ready(settings: Settings, ready: Mapping[str, Any]) -> None:
    """Tells that all is ready, where it answers, and the credentials that were made."""
    if settings.as_json:
        click.echo(msgspec.json.encode(ready))
        return
    base = ready["url"]
    click.echo(f"Windlass is ready at {base} (state in {ready['state']})\n")
    for name, title in ready["titles"].items():
        click.echo(f"  {title:<20} {base}/{name}")
        click.echo(f"  {'':<20} {base}/{name}/_docs/  to read and try it")
    if ready["credentials"]:
        say_credentials(ready["credentials"], as_json=False)
    click.echo("\nCtrl-C stops it.")


def say_credentials(credentials: Sequence[Mapping[str, str]], *, as_json: bool) -> None:
    """Tells the credentials that were made."""
    if as_json:
        click.echo(msgspec.json.encode({"credentials": credentials}))
        return
    click.echo("\nMade at this first start, shown only now:")
    for made in credentials:
        name, password = made["username"], made["password"]
        click.echo(f"  {made['system']} {made['pool']}: user name {name}  password {password}")


def changes(found: Sequence[Path]) -> Iterator[object]:
    """Yields each time that the systems' code changes."""
    from watchfiles import PythonFilter, watch

    return watch(*{path if path.is_dir() else path.parent for path in found}, watch_filter=PythonFilter())


def watch_code(found: Sequence[Path], changed: Callable[[], None], *, once: bool) -> None:
    """Watches the systems' code on a thread, and calls `changed` when it changed and is right."""

    def run() -> None:
        for _ in changes(found):
            checked = subprocess.run(
                [sys.executable, "-m", "windlass", "check", *map(str, found)], capture_output=True, text=True
            )
            if checked.returncode == 0:
                click.echo("the code changed: starting again", err=True)
                changed()
                if once:
                    return
                continue
            logging.getLogger("windlass").error(
                "the code changed and is not right; the one before runs on\n%s",
                (checked.stderr or checked.stdout).strip(),
            )

    threading.Thread(target=run, name="windlass-reload", daemon=True).start()


def _start_again(listening: socket.socket) -> None:
    """Puts the same command in the place of this process. The socket stays open, so nobody is refused."""
    listening.set_inheritable(True)
    os.environ[_SOCKET] = str(listening.fileno())
    os.execv(sys.executable, [sys.executable, "-m", "windlass", *sys.argv[1:]])  # noqa: S606
