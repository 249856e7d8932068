"""Turns among threads that are quick: in order, without ever stopping one for good."""

import threading

from windlass.engines.embedded.baton import Baton
from windlass.engines.embedded.workers import Workers

PATIENCE = 10.0


def test_it_is_handed_on_in_the_order_of_asking() -> None:
    baton, order = Baton(), list[str]()
    baton.take("first")
    threads = []
    for number, name in enumerate(("second", "third"), 1):

        def ask(name: str = name) -> None:
            baton.take(name)
            order.append(name)
            baton.give(name)

        threads.append(threading.Thread(target=ask))
        threads[-1].start()
        while len(baton._asking) < number and not order:
            threading.Event().wait(0.001)
    baton.give("first")
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(order) == ["second", "third"]
    assert not baton.wanted


def test_who_does_not_get_it_goes_on_without() -> None:
    baton = Baton()
    baton.take("holder")
    baton.take("other")  # returns after some milliseconds
    assert not baton.wanted
    baton.give("other")  # who does not hold it gives nothing away
    baton.give("holder")
    baton.take("third")
    baton.give("third")


class Task:
    def __init__(self, work: threading.Event | None = None) -> None:
        self.since, self.deadline = 0.0, float("inf")
        self.work, self.began, self.done = work, threading.Event(), threading.Event()

    def run(self) -> None:
        self.began.set()
        if self.work is not None:
            self.work.wait(PATIENCE)
        self.done.set()

    def expire(self) -> None: ...

    def refuse(self) -> None: ...


def test_a_slow_job_on_one_line_does_not_hold_up_the_other() -> None:
    baton, release = Baton(), threading.Event()
    one, other = (Workers(idle=lambda: None, baton=baton, longest_wait=float("inf")) for _ in range(2))
    for workers in (one, other):
        workers.start()
    slow, quick = Task(release), Task()
    assert one.submit(slow)
    assert slow.began.wait(PATIENCE)
    assert other.submit(quick)
    assert quick.done.wait(PATIENCE)
    assert not slow.done.is_set()
    release.set()
    assert slow.done.wait(PATIENCE)
    for workers in (one, other):
        workers.stop(PATIENCE)


def test_a_thread_that_is_given_up_keeps_no_baton() -> None:
    baton, release = Baton(), threading.Event()
    workers = Workers(idle=lambda: None, baton=baton, longest_wait=float("inf"))
    workers.start()
    late = Task(release)
    late.deadline = 0.0
    assert workers.submit(late)
    release.wait(0.05)
    release.set()
    workers.stop(PATIENCE)
    baton.take("another")
    assert baton._holder == "another", "it was free"
