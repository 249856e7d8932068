from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from aged_file import AgedFile
from file_sla_collector.client import Client
from file_sla_collector.config import Folder
from file_sla_collector.credentials import Credentials
from file_sla_collector.endpoint import Endpoint, Line
from file_sla_collector.outcome import ExitCode, Outcome
from file_sla_collector.report import MAX_ENTRIES
from file_sla_collector.retry import RetryPolicy
from file_sla_collector.run import Collector
from file_sla_collector.spool import Spool
from hand_clock import START, HandClock
from peer import PASSWORD, USERNAME, Peer, hang_up, status

HOUR = timedelta(hours=1)


class Site:
    """One machine with one watched folder, `in`, and one collector."""

    def __init__(self, root: Path, peer: Peer, clock: HandClock) -> None:
        self.root = root
        self.folders = [Folder(root / "in", HOUR, "orders")]
        self.peer = peer
        self.clock = clock
        self.password = PASSWORD
        self.report_again = timedelta(0)
        self.max_posts = 100
        (root / "in").mkdir()

    def run(self) -> Outcome:
        line = Line(Endpoint.parse(self.peer.url), limit=5)
        client = Client(line, lambda: Credentials(USERNAME, self.password), self.clock, policy=RetryPolicy(attempts=2))
        with Spool(self.root / "spool", max_posts=self.max_posts, max_bytes=10_000_000) as spool:
            return Collector(self.folders, spool, client, self.clock, report_again=self.report_again).run()

    def many_folders(self, aged: AgedFile) -> list[str]:
        """Watch so many folders, each with one late file, that three posts are needed; the files' names."""
        names = [f"{n:05d}" for n in range(2 * MAX_ENTRIES + 1)]
        self.folders = [Folder(aged(self.root / name / name, 90).parent, HOUR, name) for name in names]
        return names

    @property
    def reported(self) -> list[list[str]]:
        """The file names of every accepted post, in order of arrival."""
        accepted = {post.key: post.json() for post in self.peer.posts if post.key in self.peer.state.stored}
        return [[f["filename"] for e in body["sla_error"] for f in e["files"]] for body in accepted.values()]


@pytest.fixture
def site(tmp_path: Path, peer: Peer, clock: HandClock) -> Site:
    return Site(tmp_path, peer, clock)


def test_nothing_late_asks_nothing_of_the_api(site: Site) -> None:
    outcome = site.run()
    assert outcome.exit_code == ExitCode.SENT
    assert site.peer.state.received == []
    assert outcome.summary() == "0 late files in 0 of 1 folders; 0 posts sent, 0 waiting"


def test_a_breach_is_posted_and_leaves_the_spool(site: Site, aged: AgedFile) -> None:
    aged(site.root / "in" / "a.csv", 90)
    aged(site.root / "in" / "archive" / "b.csv", 90)
    outcome = site.run()
    assert site.peer.posts[0].json() == {
        "sla_error": [
            {
                "folder": "orders",
                "sla": 60,
                "files": [{"filename": "a.csv", "creationDate": "2026-03-01T10:30:00.000000Z"}],
            }
        ]
    }
    assert (outcome.exit_code, outcome.spooled, outcome.sent, outcome.pending) == (ExitCode.SENT, 1, 1, 0)
    assert (outcome.late_files, outcome.late_folders, outcome.checked) == (1, 1, 1)
    assert outcome.problems() == []


def test_what_could_not_be_sent_is_sent_later_in_order(site: Site, aged: AgedFile) -> None:
    site.peer.fault("/auth", *[hang_up] * 4)
    for name in ("a", "b"):
        aged(site.root / "in" / name, 90)
        outcome = site.run()
        assert outcome.exit_code == ExitCode.SPOOLED
        (site.root / "in" / name).unlink()
    assert outcome.pending == 2
    aged(site.root / "in" / "c", 90)
    outcome = site.run()
    assert (outcome.exit_code, outcome.sent, outcome.pending) == (ExitCode.SENT, 3, 0)
    assert site.reported == [["a"], ["b"], ["c"]]


def test_waiting_posts_are_sent_even_when_nothing_is_late_any_more(site: Site, aged: AgedFile) -> None:
    site.peer.fault("/auth", hang_up, hang_up)
    aged(site.root / "in" / "a", 90)
    site.run()
    (site.root / "in" / "a").unlink()
    assert site.run().sent == 1
    assert site.reported == [["a"]]


def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_key(site: Site, aged: AgedFile) -> None:
    aged(site.root / "in" / "a", 90)
    site.peer.fault("/file_sla_error", hang_up, hang_up)
    site.run()
    (site.root / "in" / "a").unlink()
    site.run()
    assert len({(post.key, post.body) for post in site.peer.posts}) == 1
    assert len(site.peer.posts) == 3


def test_a_refused_post_does_not_block_those_after_it(site: Site, aged: AgedFile) -> None:
    site.peer.fault("/auth", hang_up, hang_up)
    aged(site.root / "in" / "a", 90)
    site.run()
    aged(site.root / "in" / "b", 90)
    site.peer.fault("/file_sla_error", status(422, "no"))
    outcome = site.run()
    assert (outcome.exit_code, outcome.sent, outcome.pending) == (ExitCode.REJECTED, 1, 0)
    (aside,) = outcome.set_aside
    assert (aside.status, aside.reason) == (422, "422 no")
    assert (site.root / "spool" / "rejected" / aside.name).exists()
    assert site.reported == [["a", "b"]]
    assert site.run().exit_code == ExitCode.SENT


def test_a_damaged_spool_file_does_not_block_those_after_it(site: Site, aged: AgedFile) -> None:
    site.peer.fault("/auth", hang_up, hang_up)
    aged(site.root / "in" / "a", 90)
    site.run()
    (damaged,) = (site.root / "spool" / "pending").iterdir()
    damaged.write_bytes(b"{")
    outcome = site.run()
    assert (outcome.exit_code, outcome.sent) == (ExitCode.REJECTED, 1)
    assert [(aside.name, aside.status) for aside in outcome.set_aside] == [(damaged.name, None)]
    assert f"corrupt/{damaged.name}" in outcome.problems()[0]


def test_a_failed_sign_in_keeps_everything(site: Site, aged: AgedFile) -> None:
    aged(site.root / "in" / "a", 90)
    site.password = "wrong"
    outcome = site.run()
    assert (outcome.exit_code, outcome.pending, outcome.sent) == (ExitCode.SIGN_IN, 1, 0)
    site.password = PASSWORD
    assert site.run().sent == 2


def test_an_unreadable_folder_is_reported_and_the_others_are_sent(site: Site, aged: AgedFile) -> None:
    aged(site.root / "in" / "a", 90)
    site.folders.insert(0, Folder(site.root / "none", HOUR, "none"))
    site.folders.append(Folder(aged(site.root / "file", 1), HOUR, "file"))
    outcome = site.run()
    assert (outcome.exit_code, outcome.sent) == (ExitCode.UNREADABLE, 1)
    assert [(u.folder, u.reason) for u in outcome.unreadable] == [
        ("none", "No such file or directory"),
        ("file", "Not a directory"),
    ]
    assert outcome.problems()[0] == f"unreadable: {site.root / 'none'}: No such file or directory"


def test_the_spool_is_nobody_s_late_file(site: Site, aged: AgedFile) -> None:
    site.folders = [Folder(site.root, HOUR, "everything")]
    site.clock.advance(100 * 365 * 24 * 3600)
    site.password = "wrong"
    aged(site.root / "in" / "a", 90)
    site.run()
    assert site.run().late_files == 1


def test_a_full_spool_refuses_and_says_so_and_drops_nothing(site: Site, aged: AgedFile) -> None:
    site.max_posts = 1
    site.peer.fault("/auth", *[hang_up] * 4)
    aged(site.root / "in" / "a", 90)
    site.run()
    (site.root / "in" / "a").unlink()
    aged(site.root / "in" / "b", 90)
    outcome = site.run()
    assert (outcome.exit_code, outcome.not_spooled, outcome.pending) == (ExitCode.NOT_SPOOLED, 1, 1)
    assert "is full: 1 posts wait" in " ".join(outcome.problems())
    outcome = site.run()
    assert (outcome.exit_code, outcome.sent, outcome.not_spooled) == (ExitCode.SENT, 2, 0)
    assert site.reported == [["a"], ["b"]]


def test_a_small_spool_passes_a_large_report_on(site: Site, aged: AgedFile) -> None:
    site.max_posts = 1
    names = site.many_folders(aged)
    outcome = site.run()
    assert (outcome.exit_code, outcome.sent) == (ExitCode.SENT, 3)
    assert [name for post in site.reported for name in post] == names


def test_what_was_sent_before_the_api_went_away_makes_room(site: Site, aged: AgedFile) -> None:
    site.max_posts = 2
    site.many_folders(aged)
    site.peer.fault("/file_sla_error", None, hang_up, hang_up)
    outcome = site.run()
    assert (outcome.sent, outcome.pending, outcome.not_spooled) == (1, 2, 0)
    assert outcome.exit_code == ExitCode.SPOOLED


def test_a_post_too_large_for_the_spool_ends(site: Site, aged: AgedFile) -> None:
    aged(site.root / "in" / "a", 90)
    line = Line(Endpoint.parse(site.peer.url), limit=5)
    client = Client(line, lambda: Credentials(USERNAME, PASSWORD), site.clock)
    with Spool(site.root / "spool", max_posts=9, max_bytes=10) as spool:
        outcome = Collector(site.folders, spool, client, site.clock).run()
    assert (outcome.exit_code, outcome.not_spooled) == (ExitCode.NOT_SPOOLED, 1)


def test_every_run_reports_a_breach_again_by_default(site: Site, aged: AgedFile) -> None:
    aged(site.root / "in" / "a", 90)
    assert [site.run().sent for _ in range(3)] == [1, 1, 1]
    assert len({post.key for post in site.peer.posts}) == 3


def test_report_again_holds_an_unchanged_breach_back_over_restarts(site: Site, aged: AgedFile) -> None:
    site.report_again = HOUR
    aged(site.root / "in" / "a", 90)
    assert site.run().sent == 1
    aged(site.root / "in" / "b", 90)
    outcome = site.run()
    assert (outcome.late_files, outcome.held_back, outcome.sent) == (2, 1, 1)
    assert "2 late files in 1 of 1 folders, 1 of them reported before" in outcome.summary()
    assert site.reported == [["a"], ["b"]]
    site.clock.advance(3600)
    assert site.run().sent == 1
    assert site.reported[-1] == ["a", "b"]


def test_what_found_no_room_is_not_taken_for_reported(site: Site, aged: AgedFile) -> None:
    site.report_again, site.max_posts = HOUR, 1
    site.peer.fault("/auth", *[hang_up] * 4)
    aged(site.root / "in" / "a", 90)
    site.run()
    aged(site.root / "in" / "b", 90)
    assert site.run().not_spooled == 1
    assert site.run().exit_code == ExitCode.SENT
    assert site.reported == [["a"], ["b"]]


def test_a_memory_that_cannot_be_written_only_warns(site: Site, aged: AgedFile) -> None:
    site.report_again = HOUR
    aged(site.root / "in" / "a", 90)
    (site.root / "spool" / "reported.json").mkdir(parents=True)
    outcome = site.run()
    assert (outcome.exit_code, outcome.sent) == (ExitCode.SENT, 1)
    assert "could not be noted" in outcome.warnings[0]


def test_a_clock_that_is_set_back_breaks_nothing(site: Site, aged: AgedFile) -> None:
    site.peer.fault("/auth", hang_up, hang_up)
    aged(site.root / "in" / "a", 90)
    site.run()
    site.clock.set_wall(START - timedelta(days=400))
    aged(site.root / "in" / "b", 400 * 24 * 60 + 90)
    outcome = site.run()
    assert outcome.exit_code == ExitCode.SENT
    # What waited goes first although it seems to come from the future, and is itself not late at this date.
    assert site.reported == [["a"], ["b"]]


def test_a_stop_leaves_the_rest_in_the_spool(site: Site, aged: AgedFile) -> None:
    aged(site.root / "in" / "a", 90)
    site.clock.stopped = True
    outcome = site.run()
    assert (outcome.exit_code, outcome.pending) == (ExitCode.SPOOLED, 1)
    assert site.peer.state.received == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_odd_names_arrive_as_json_that_any_reader_takes(site: Site) -> None:
    for name in (b"caf\xe9", b"a\nb", "日本🙂".encode(), b'"\\'):
        path = os.fsencode(site.root / "in") + b"/" + name
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.utime(path, (1, 1))
    assert site.run().exit_code == ExitCode.SENT
    site.peer.posts[0].body.decode("utf-8", "strict")
    assert sorted(site.reported[0]) == sorted([r"caf\xe9", "a\nb", "日本🙂", '"\\'])
