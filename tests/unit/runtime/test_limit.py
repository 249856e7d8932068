"""The end of a handler's time."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from windlass.errors import HandlerTimeout
from windlass.runtime.limit import Limit


def spin() -> None:
    while True:
        time.monotonic()


def test_a_handler_is_stopped_at_its_deadline() -> None:
    with pytest.raises(HandlerTimeout, match="create ran past its deadline"), Limit(time.monotonic() + 0.05, "create"):
        spin()


def test_a_handler_that_waits_is_woken() -> None:
    waiting = threading.Event()
    with pytest.raises(HandlerTimeout), Limit(time.monotonic() + 0.05, "create"):
        waiting.wait(30)


def test_a_deadline_that_has_passed_stops_at_once() -> None:
    with pytest.raises(HandlerTimeout), Limit(time.monotonic() - 5, "create"):
        spin()


def test_what_ends_in_time_is_left_alone_and_nothing_stays_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with Limit(time.monotonic() + 30, "create"):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert signal.getsignal(signal.SIGALRM) == before


def test_elsewhere_than_on_the_main_thread_it_does_nothing() -> None:
    ended = []

    def run() -> None:
        with Limit(time.monotonic() - 1, "create"):
            ended.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ended == [True]
