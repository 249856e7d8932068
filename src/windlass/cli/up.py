"""`windlass up`: runs systems on this machine."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path
from typing import Any

import click

from windlass.cli.home import home_options
from windlass.cli.serve import Settings, serve_in_place, serve_one
from windlass.cli.supervise import supervise
from windlass.engines.embedded.otlp import checked_endpoint
from windlass.engines.embedded.place import Place
from windlass.engines.embedded.recorder import Limits
from windlass.errors import WindlassError

__all__ = ["up"]


@click.command(
    epilog="""\b
Examples:
  windlass up                          every system below ./systems, or the one in this folder
  windlass up systems/file_sla         one system
  windlass up app.py --port 0          one file, on any free port
  windlass up --workers 4              four processes that answer, one that works in the background
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
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes that answer requests; with more than one, another does the background work.",
)
@click.option(
    "--telemetry-mb",
    default=256,
    show_default=True,
    type=click.IntRange(0, 1_000_000),
    help="Megabytes of traces to keep, and a quarter as much of logs; 0: none.",
)
@click.option(
    "--telemetry-days",
    default=7.0,
    show_default=True,
    type=click.FloatRange(0.01, 3650),
    help="How long to keep traces, logs and metrics by the minute.",
)
@click.option(
    "--otlp",
    metavar="URL",
    envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
    show_envvar=True,
    help="Send traces, metrics and logs there too, with OTLP over HTTP.",
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
    workers: int,
    telemetry_mb: int,
    telemetry_days: float,
    otlp: str | None,
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
    tls = (tls_cert, tls_key) if tls_cert and tls_key else None
    if tls is not None:
        _check_tls(*tls)
    if workers > 1 and sys.platform == "win32":
        raise click.UsageError("--workers needs Linux or macOS: on Windows, one process serves")
    found = Settings.discovered(paths)
    limits = Limits.of(telemetry_mb, telemetry_days)
    otlp = checked_endpoint(otlp) if otlp else None
    settings = Settings(found, host, port, durability, reload, tls, as_json, home, namespace, workers, limits, otlp)
    place = Place.taken()
    if place is not None:
        serve_in_place(settings, place)
    elif workers > 1:
        supervise(settings)
    else:
        serve_one(settings)


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
