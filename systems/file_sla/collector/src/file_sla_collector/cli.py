"""The command `file-sla-collector`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType

from file_sla_collector import __version__
from file_sla_collector.client import Client
from file_sla_collector.clock import Clock, SystemClock
from file_sla_collector.config import Config, ConfigError, duration, load
from file_sla_collector.credentials import (
    PASSWORD_VARIABLE,
    USERNAME_VARIABLE,
    find_credentials,
    find_username,
    readable_by_others,
)
from file_sla_collector.endpoint import Endpoint, Line, find_proxy
from file_sla_collector.outcome import ExitCode, Outcome
from file_sla_collector.retry import RetryPolicy
from file_sla_collector.run import Collector
from file_sla_collector.spool import Spool, SpoolError, SpoolInUseError

_DESCRIPTION = """\
Find the files that stayed in a folder longer than the folder's SLA, and post them to the file_sla API.

Every report is stored in a spool folder before it is sent, and removed once the API has accepted it; what
cannot be sent now is sent by a later run, in order.
"""

_EPILOG = f"""\
credentials:
  The username is taken from {USERNAME_VARIABLE} or from the configuration; the password from --password-file,
  from --password-stdin or from {PASSWORD_VARIABLE}. There is no argument for a password, because arguments
  can be seen by every user of the machine.

exit codes (when several apply, the first of 7, 3, 4, 6, 5):
  0  everything was sent, whether or not there were breaches
  2  the command line or the configuration cannot be used
  3  could not sign in; the reports wait in the spool
  4  the API could not be reached; the reports wait in the spool
  5  a folder, or a part of one, could not be read
  6  a report was refused by the API, or a spool file was damaged; it was set aside
  7  a report could not be stored: the spool is full or cannot be written
  8  another collector is using the spool
  With --every these go into each run's report; the command itself ends with 0 when it is asked to stop.

examples:
  {USERNAME_VARIABLE}=collector@example.com file-sla-collector --config folders.toml \\
      --url https://api.example.com/file_sla --password-file /etc/file-sla/password
  file-sla-collector --config folders.toml --url http://127.0.0.1:8400/file_sla --json
  file-sla-collector --config folders.toml --every 60s --report-again 1h --spool /var/lib/file-sla-collector
"""


@dataclass(frozen=True, slots=True)
class _Settings:
    """What the command line, the configuration and the environment come to."""

    config: Config
    endpoint: Endpoint
    report_again: timedelta
    every: timedelta | None
    spool: Path
    attempts: int
    timeout: float


def main(
    arguments: Sequence[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    clock: SystemClock | None = None,
) -> int:
    """Run the command; the exit code. Raises SystemExit for --help, --version and a wrong command line."""
    options = _parser().parse_args(arguments)
    clock = clock or SystemClock()
    try:
        with _logging(), _stoppable(clock.stop):
            return _collect(options, os.environ if environment is None else environment, clock)
    except ConfigError as error:
        return _failed(ExitCode.USAGE, str(error), as_json=options.json)
    except SpoolInUseError as error:
        return _failed(ExitCode.IN_USE, str(error), as_json=options.json)
    except SpoolError as error:
        return _failed(ExitCode.NOT_SPOOLED, str(error), as_json=options.json)
    except KeyboardInterrupt:
        # The second Ctrl-C; what was not sent waits in the spool.
        return 128 + signal.SIGINT


def _collect(options: argparse.Namespace, environment: Mapping[str, str], clock: SystemClock) -> int:
    settings = _settings(options)
    credentials = find_credentials(
        find_username(settings.config.username, environment),
        environment,
        password_file=options.password_file,
        password_stream=sys.stdin.buffer if options.password_stdin else None,
    )
    if options.password_file is not None and readable_by_others(options.password_file):
        print(f"warning: other users can read {options.password_file}; chmod 600 it", file=sys.stderr)
    line = Line(settings.endpoint, limit=settings.timeout, proxy=find_proxy(settings.endpoint))
    client = Client(line, credentials, clock, policy=RetryPolicy(attempts=settings.attempts))
    config = settings.config
    with Spool(settings.spool, max_posts=config.spool_max_posts, max_bytes=config.spool_max_bytes) as spool:
        collector = Collector(config.folders, spool, client, clock, report_again=settings.report_again)
        if settings.every is None:
            outcome = collector.run()
            _tell(outcome, as_json=options.json)
            return int(outcome.exit_code)
        _repeat(collector, settings.every, clock, as_json=options.json)
        return int(ExitCode.SENT)


def _repeat(collector: Collector, every: timedelta, clock: Clock, *, as_json: bool) -> None:
    while True:
        started = clock.monotonic()
        _tell(collector.run(), as_json=as_json)
        # From start to start, so that a long run does not shift the ones after it; never two at once.
        if clock.wait(max(0.0, started + every.total_seconds() - clock.monotonic())):
            return


def _settings(options: argparse.Namespace) -> _Settings:
    config = load(options.config)
    url = options.url or config.url
    if not url:
        raise ConfigError('no URL: use --url URL, or write url = "https://..." into the configuration')
    every = _duration("--every", options.every)
    report_again = _duration("--report-again", options.report_again)
    if report_again is None:
        report_again = config.report_again or timedelta(0)
    if every is not None and every < timedelta(seconds=1):
        raise ConfigError("--every: must be at least 1s")
    return _Settings(
        config=config,
        endpoint=Endpoint.parse(url, allow_http=options.allow_http),
        report_again=report_again,
        every=every,
        spool=options.spool or config.spool,
        attempts=options.attempts,
        timeout=options.timeout,
    )


def _duration(option: str, text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return duration(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error


def _tell(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(outcome.as_json()), flush=True)
        return
    for problem in outcome.problems():
        print(_one_line(problem), file=sys.stderr, flush=True)
    print(outcome.summary(), flush=True)


def _failed(code: ExitCode, message: str, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"exit_code": int(code), "exit": code.name.lower(), "error": message}), flush=True)
    else:
        print(f"file-sla-collector: {_one_line(message)}", file=sys.stderr)
    return int(code)


def _one_line(text: str) -> str:
    # A file name may hold line breaks and escape sequences, which would forge lines in a log.
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


@contextmanager
def _logging() -> Iterator[None]:
    """While this lasts, the collector's warnings go to standard error."""
    ours, theirs = logging.getLogger("file_sla_collector"), logging.getLogger("urllib3")
    handler = logging.StreamHandler(sys.stderr)
    ours.addHandler(handler)
    level = theirs.level
    # urllib3 would log a broken answer's headers, with a traceback; the outcome says what matters of them.
    theirs.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        theirs.setLevel(level)


@contextmanager
def _stoppable(stop: threading.Event) -> Iterator[None]:
    """While this lasts, SIGTERM and Ctrl-C set `stop`; a second one acts as it would without this."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.getsignal(number) or signal.SIG_DFL for number in signals}

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, previous[signal.Signals(number)])

    for number in signals:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number in signals:
            signal.signal(number, previous[number])


def _attempts(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 100")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to 600")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="file-sla-collector",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--config",
        required=True,
        type=Path,
        metavar="FILE",
        help="the folders, as TOML, or as JSON in FILE.json",
    )
    add("--url", metavar="URL", help="base URL of the API, such as https://api.example.com/file_sla")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--once", action="store_true", help="one run, then exit (the default)")
    when.add_argument("--every", metavar="TIME", help="a run every TIME, such as 60s or 5m, until SIGTERM or Ctrl-C")
    password = parser.add_mutually_exclusive_group()
    password.add_argument("--password-file", type=Path, metavar="FILE", help="read the password from FILE")
    password.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    add(
        "--spool",
        type=Path,
        metavar="DIR",
        help="where reports wait (default: CONFIG-NAME.spool beside the config)",
    )
    add(
        "--report-again",
        metavar="TIME",
        help="report an unchanged breach again only after TIME (default: 0s, which is at every run)",
    )
    add(
        "--attempts",
        type=_attempts,
        default=5,
        metavar="N",
        help="tries of one request (default: 5)",
    )
    add(
        "--timeout",
        type=_seconds,
        default=15.0,
        metavar="SECONDS",
        help="time for one request, from first to last byte (default: 15)",
    )
    add(
        "--allow-http",
        action="store_true",
        help="allow http to another machine; the password travels in the clear",
    )
    add("--json", action="store_true", help="print one JSON object a run on standard output")
    add("--version", action="version", version=f"file-sla-collector {__version__}")
    return parser
