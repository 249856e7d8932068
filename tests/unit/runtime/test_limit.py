"""The end of a handler's time."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time

import pytest

from windlass.engines.aws.clients import Clients
from windlass.errors import HandlerStopped, HandlerTimeout
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


def test_no_handler_takes_the_alarm_for_a_fault_of_its_own() -> None:
    with pytest.raises(HandlerTimeout), Limit(time.monotonic() + 0.05, "create"), contextlib.suppress(Exception):
        spin()


def test_who_holds_the_alarm_off_is_stopped_once_more() -> None:
    stopped: list[str] = []

    def hold_off() -> None:
        try:
            spin()
        except HandlerStopped:
            stopped.append("once")
        finally:
            threading.Event().wait(30)

    with pytest.raises(HandlerTimeout), Limit(time.monotonic() + 0.02, "create"):
        hold_off()
    assert stopped == ["once"]
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_an_alarm_at_either_end_of_the_block_leaves_nothing_behind() -> None:
    before, after = signal.getsignal(signal.SIGALRM), time.monotonic() + 1.5
    while time.monotonic() < after:
        with contextlib.suppress(HandlerTimeout), Limit(time.monotonic() + 0.001, "create"):
            while time.monotonic_ns() % 1_000_000 > 5_000:
                pass
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
        assert signal.getsignal(signal.SIGALRM) == before


def test_boto_does_not_take_the_alarm_for_a_broken_connection_that_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        dynamodb = Clients("eu-west-1", endpoint=endpoint, access_key="a", secret_key="b").client("dynamodb")
        began = time.monotonic()
        with pytest.raises(HandlerTimeout), Limit(began + 0.2, "create"):
            dynamodb.list_tables()
        assert time.monotonic() - began < 5  # boto3 itself waits for ten
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
