"""`windlass up`: runs systems on this machine."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from windlass.cli.home import home_options
from windlass.cli.log_lines import show_logs
from windlass.engines.embedded.engine import EmbeddedEngine
from windlass.engines.embedded.gateway import Gateway
from windlass.engines.embedded.lock import Lock
from windlass.engines.embedded.namespace import Namespace, folder
from windlass.engines.embedded.server import listen, serve
from windlass.engines.embedded.smtp import SmtpSettings
from windlass.errors import LoadError, WindlassError
from windlass.graph.load import discover, load
from windlass.model.system import System

__all__ = ["up"]

_DRAIN_SECONDS = 10.0
_SOCKET = "WINDLASS_LISTENING_SOCKET"


@click.command(
    epilog="""\b
Examples:
  windlass up                          every system below ./systems, or the one in this folder
  windlass up systems/file_sla         one system
  windlass up app.py --port 0          one file, on any free port
  windlass up --durability full        an answered write also survives a power loss"""
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8400, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option(
    "--durability",
    type=click.Choice(["process", "full"]),
    default="process",
    show_default=True,
    help="What an answered write survives: the end of the process (kill -9), or also a power loss.",
)
@click.option("--reload/--no-reload", default=True, show_default=True, help="Start again when the code changes.")
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM certificate.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM private key.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready, then log lines as JSON.")
@home_options
def up(
    paths: tuple[Path, ...],
    host: str,
    port: int,
    durability: Any,
    reload: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    as_json: bool,
    home: Path,
    namespace: str,
) -> None:
    """Run all systems at PATHS (folders or files) on this machine, each under its own path prefix.

    State is kept below --home and survives the end of the process. Credentials that are made at the first start
    are printed once. Ctrl-C and SIGTERM stop it when the running requests are done.
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together")
    if tls_cert and tls_key:
        _check_tls(tls_cert, tls_key)
    found = _found(paths)
    reloaded = _SOCKET in os.environ
    smtp_url = os.environ.get("WINDLASS_SMTP_URL")
    smtp = SmtpSettings.parse(smtp_url) if smtp_url else None
    listening = _listening(host, port)
    bound = listening.getsockname()[1]
    shown_host = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    base = f"{'https' if tls_cert else 'http'}://{shown_host}:{bound}"
    try:
        systems = _systems(found)
        lock = Lock.acquire(_made(folder(home, namespace)) / "lock", base)
        space = Namespace(home, namespace, durability=durability, base_url=lambda: base)
        engine = EmbeddedEngine(space, systems, smtp=smtp)
    except WindlassError as error:
        if not reloaded:
            raise
        # The code fits itself and not what is stored, which only a start finds out.
        click.echo(f"error: {error}\nrequests wait until the code changes again", err=True)
        next(iter(_changes(found)))
        _start_again(listening)
    if smtp is not None and smtp.password:
        engine.redactor.add(smtp.password)
    show_logs(engine.redactor, as_json=as_json)
    users = engine.prepare()
    gateway = Gateway(engine)
    again = threading.Event()

    def started(stop: Callable[[], None]) -> None:
        engine.start()
        if reload:
            _watch(found, again, stop)

    def ended() -> None:
        if not engine.stop(_DRAIN_SECONDS):
            click.echo(f"some handlers still ran after {_DRAIN_SECONDS:.0f} seconds and were cut off", err=True)
        lock.release()

    asked = serve(
        gateway,
        listening,
        ready=lambda: _say_ready(base, systems, users, space, as_json),
        started=started,
        ended=ended,
        tls=(tls_cert, tls_key) if tls_cert and tls_key else None,
    )
    if again.is_set() and not asked:
        _start_again(listening)
    if not as_json:
        click.echo("stopped")


def _check_tls(certificate: Path, key: Path) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as error:
        reason = (
            "they do not belong together" if "MISMATCH" in str(error) else "they are not PEM, or the key is encrypted"
        )
        raise WindlassError(
            f"cannot serve HTTPS with {certificate} and {key}: {reason}\n"
            f"  fix: give --tls-cert a certificate with its chain and --tls-key its private key, both in PEM"
        ) from error


def _found(paths: Sequence[Path]) -> list[Path]:
    chosen = list(paths) or [Path("systems") if Path("systems").is_dir() else Path()]
    return [path for chosen_path in chosen for path in discover(chosen_path)]


def _systems(found: Sequence[Path]) -> list[System]:
    systems: dict[str, System] = {}
    for path in found:
        system = load(path)
        if system.name in systems:
            raise LoadError(f"two systems are named {system.name!r}\n  fix: rename one, or run them in two homes")
        systems[system.name] = system
    return list(systems.values())


def _made(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise WindlassError(
            f"{path} cannot be used for state: {error.strerror}\n  fix: give a folder that you may write to with --home"
        ) from error
    return path


def _listening(host: str, port: int) -> socket.socket:
    """The socket to listen on: a new one, or the one that this process had before it started again."""
    inherited = os.environ.pop(_SOCKET, None)
    return listen(host, port) if inherited is None else socket.socket(fileno=int(inherited))


def _say_ready(
    base: str, systems: Sequence[System], users: Sequence[tuple[str, str, str, str]], space: Namespace, as_json: bool
) -> None:
    if as_json:
        ready = {
            "url": base,
            "systems": {system.name: f"{base}/{system.name}" for system in systems},
            "credentials": [
                {"system": system, "pool": pool, "username": name, "password": password}
                for system, pool, name, password in users
            ],
            "state": str(space.path),
            "pid": os.getpid(),
        }
        click.echo(msgspec.json.encode(ready))
        return
    click.echo(f"Windlass is ready at {base} (state in {space.path})\n")
    for system in systems:
        click.echo(f"  {system.title:<20} {base}/{system.name}")
        click.echo(f"  {'':<20} {base}/{system.name}/_docs/  to read and try it")
    if users:
        click.echo("\nMade at this first start, shown only now:")
        for system_name, pool, name, password in users:
            click.echo(f"  {system_name} {pool}: user name {name}  password {password}")
    click.echo("\nCtrl-C stops it.")


def _changes(found: Sequence[Path]) -> Iterator[object]:
    """Yields each time that the systems' code changes."""
    from watchfiles import PythonFilter, watch

    return watch(*{path if path.is_dir() else path.parent for path in found}, watch_filter=PythonFilter())


def _watch(found: Sequence[Path], again: threading.Event, stop: Callable[[], None]) -> None:
    """Watches the systems' code: when it changed and is right, stops the server to start it again."""

    def run() -> None:
        for _ in _changes(found):
            checked = subprocess.run(
                [sys.executable, "-m", "windlass", "check", *map(str, found)], capture_output=True, text=True
            )
            if checked.returncode == 0:
                click.echo("the code changed: starting again", err=True)
                again.set()
                stop()
                return
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
