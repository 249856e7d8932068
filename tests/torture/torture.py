"""The rounds: start, load, `kill -9`; and in the end, start once more and look."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.torture.account import Posted, Verdict, judge
from tests.torture.children import kill_children, outlive_the_supervisor
from tests.torture.evidence import collect, drain
from tests.torture.writers import Breaches, Entries, Information, Steps, Target, Work, Writer
from tests.up import Up
from windlass.cli.state import open_state
from windlass.graph.load import load
from windlass.model.queue import Queue
from windlass.model.secret import Secret
from windlass.model.system import System
from windlass.model.user_pool import UserPool
from windlass.ports.queue import QueueOperator

__all__ = ["Options", "Report", "torture"]

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "systems" / "file_sla", ROOT / "systems" / "presenter", Path(__file__).parent / "ledger")
_IN_START = 0.25
_FIRST_STARTS = 2
_LONGEST_LOAD = 1.5
_WRITER_SECONDS = 60.0
_LONGEST_ANSWER = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """`kills` of the whole server, of which every one starts it anew with `workers`, or with 1 or 2 as chance has it;
    then `children` kills of single processes of a server with two workers."""

    kills: int
    children: int = 0
    workers: int | None = None
    durability: str = "process"
    seed: int = 0


@dataclass
class Report:
    """What happened. `answered_within` is the longest that a request on new connections took until it was answered
    while single processes were killed, in seconds."""

    verdict: Verdict
    kills: int
    in_start: int
    child_kills: int
    repeated: int
    again: dict[str, int]
    drained: float
    answered_within: float
    exit_code: int

    @property
    def kept(self) -> bool:
        """Whether every promise was kept, the port served all the time, and the server ended as it should."""
        return self.verdict.kept and self.answered_within < _LONGEST_ANSWER and self.exit_code == 0

    def __str__(self) -> str:
        again = ", ".join(f"{what} {number}" for what, number in self.again.items()) or "none"
        lines = [
            f"kills {self.kills} ({self.in_start} during the start), kills of single processes {self.child_kills}",
            *self.verdict.lines(),
            f"posts that were sent again {self.repeated}; deliveries after the effect: {again}",
            f"queues drained in {self.drained:.1f} s; the last server ended with {self.exit_code}",
        ]
        if self.child_kills:
            lines.append(f"answered within {self.answered_within:.2f} s on new connections while processes were killed")
        return "\n".join(lines)


def torture(home: Path, options: Options, say: Callable[[str], None] = lambda text: None) -> Report:
    """Runs all rounds on an empty `home` and looks at what is left."""
    return _Torture(home, options, say).run()


class _Torture:
    def __init__(self, home: Path, options: Options, say: Callable[[str], None]) -> None:
        self._home, self._options, self._say = home, options, say
        self._chance = random.Random(options.seed)
        self._target = Target()
        self._systems: dict[str, System] = {system.name: system for system in map(load, FOLDERS)}
        self._start_seconds = 1.0
        self._kills = self._in_start = 0
        self._up_times: list[tuple[float, float]] = []
        self._viewers: list[tuple[str, str]] = []
        self._users: list[str] = []
        self._key = ""

    def run(self) -> Report:
        for _ in range(min(_FIRST_STARTS, self._options.kills)):
            self._kill_in_start()
        writers = self._prepare()
        for writer in writers:
            writer.start()
        try:
            while self._kills < self._options.kills:
                if self._chance.random() < _IN_START:
                    self._kill_in_start()
                else:
                    self._kill_under_load(writers)
            child_kills, answered_within = self._kill_children()
            return self._look(writers, child_kills, answered_within)
        finally:
            self._target.over.set()
            for writer in writers:
                writer.join(_WRITER_SECONDS)

    # ---- before

    def _prepare(self) -> list[Writer]:
        """Users, keys, and who posts."""
        self._viewers = [(f"caller-{number}", secrets.token_urlsafe(18)) for number in range(4)]
        self._users = [f"user-{number}" for number in range(8)]
        pool = _resource(self._systems["file_sla"], UserPool, "users")
        with open_state(self._systems["file_sla"], self._home, "default", make=True) as state:
            for name, password in self._viewers:
                state.user_pool(pool).create_user(name, password, groups=["collector", "viewer"])
        key = _resource(self._systems["presenter"], Secret, "jwt_key")
        with open_state(self._systems["presenter"], self._home, "default", make=True) as state:
            state.secret(key).ensure_generated()
            self._key = state.secret(key).read()
        works: list[Work] = [
            *(Breaches(*viewer) for viewer in self._viewers[:3]),
            *(Information(self._key, self._users) for _ in range(3)),
            *(Entries(random.Random(self._chance.random())) for _ in range(2)),
            *(Steps(f"group-{number}") for number in range(2)),
        ]
        return [Writer(self._target, work) for work in works]

    # ---- rounds

    def _workers(self) -> int:
        return self._options.workers or self._chance.choice([1, 2])

    def _flags(self, workers: int) -> tuple[str, ...]:
        return ("--no-reload", "--durability", self._options.durability, "--workers", str(workers))

    def _kill_in_start(self) -> None:
        """Starts the server and kills it before, or just when, it is ready."""
        command = [sys.executable, "-m", "windlass", "up", *map(str, FOLDERS), "--home", str(self._home), "--port", "0"]
        workers = self._workers()
        with (self._home.parent / f"{self._home.name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--json", *self._flags(workers)],
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        seconds = self._chance.uniform(0.05, 1.1) * self._start_seconds
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        if code is not None:
            raise RuntimeError(f"the server did not start, and ended with {code}; see {log.name}")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._kills += 1
        self._in_start += 1
        self._say(f"kill {self._kills}: workers {workers}, {seconds:.2f} s after the command")

    def _kill_under_load(self, writers: list[Writer]) -> None:
        """Starts the server, lets callers post for a while, and kills it."""
        workers = self._workers()
        up = self._up(workers)
        before = _acknowledged(writers)
        seconds = self._chance.uniform(0.0, _LONGEST_LOAD)
        threading.Event().wait(seconds)
        up.kill()
        self._down()
        self._kills += 1
        posted = _acknowledged(writers) - before
        self._say(f"kill {self._kills}: workers {workers}, {seconds:.2f} s after it was ready, {posted} posts answered")

    def _up(self, workers: int) -> Up:
        began = time.monotonic()
        up = Up(*FOLDERS, home=self._home, options=self._flags(workers))
        self._start_seconds = time.monotonic() - began
        self._up_times.append((time.time(), 0.0))
        self._target.url = up.url
        return up

    def _down(self) -> None:
        self._target.url = None
        self._up_times[-1] = (self._up_times[-1][0], time.time())

    def _kill_children(self) -> tuple[int, float]:
        """Kills single processes of one server, and in the end the one that watches over them."""
        if not self._options.children:
            return 0, 0.0
        up = self._up(2)
        try:
            answered_within = kill_children(up, self._options.children, self._chance, self._say)
            outlive_the_supervisor(up, self._say)
        finally:
            self._down()
            up.kill()
        return self._options.children, answered_within

    # ---- after

    def _look(self, writers: list[Writer], child_kills: int, answered_within: float) -> Report:
        up = self._up(self._workers())
        try:
            self._target.new = False
            self._await(writers)
            posted = Posted()
            for writer in writers:
                posted.add(writer.work.posted)
            with ExitStack() as stack:
                queues: dict[str, QueueOperator] = {}
                for name in ("presenter", "ledger"):
                    state = stack.enter_context(open_state(self._systems[name], self._home, "default"))
                    queues |= {queue.name: state.queue(queue) for queue in self._systems[name].of(Queue)}
                drained = drain(queues)
                looked = time.time()
                viewers = [{"authorization": f"Bearer {up.sign_in('file_sla', *viewer)}"} for viewer in self._viewers]
                stored = collect(up.http, viewers, self._users, self._key, queues)
            exit_code = up.stop()
        except BaseException:
            up.kill()
            raise
        self._down()
        verdict = judge(posted, stored, self._minutes(looked))
        again = {what: number for what, number in stored.totals.items() if what.endswith(" again")}
        return Report(
            verdict,
            self._kills,
            self._in_start,
            child_kills,
            posted.repeated,
            again,
            drained,
            answered_within,
            exit_code,
        )

    def _await(self, writers: list[Writer]) -> None:
        end = time.monotonic() + _WRITER_SECONDS
        for writer in writers:
            writer.join(max(0.0, end - time.monotonic()))
            if writer.fault is not None:
                raise writer.fault
            if writer.is_alive():
                raise RuntimeError("a caller does not get answers after the last start")

    def _minutes(self, looked: float) -> list[str]:
        """The minutes at which the schedule must have fired: those after the first start, until some seconds before
        the end; and not those whose next minute had begun before a server ran again."""
        first = int(self._up_times[0][0] // 60 + 1) * 60
        minutes = []
        for minute in range(first, int(looked - 10), 60):
            ran = any(
                up < minute + 60 and minute < down
                for up, down in [*self._up_times[:-1], (self._up_times[-1][0], looked)]
            )
            if ran:
                minutes.append(datetime.fromtimestamp(minute, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
        return minutes


def _acknowledged(writers: list[Writer]) -> int:
    return sum(writer.work.posted.acknowledged for writer in writers)


def _resource(system: System, kind: type[Any], name: str) -> Any:
    resource = system.resources[name]
    assert isinstance(resource, kind)
    return resource
