from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import file_sla_collector
from aged_file import AgedFile
from file_sla_collector.cli import main
from file_sla_collector.clock import SystemClock
from file_sla_collector.spool import Spool
from hand_clock import HandClock
from peer import PASSWORD, USERNAME, Peer, hold, status

ENVIRONMENT = {"FILE_SLA_USERNAME": USERNAME, "FILE_SLA_PASSWORD": PASSWORD}
SOURCE = Path(file_sla_collector.__file__).parents[1]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    file = tmp_path / "folders.toml"
    file.write_text('[[folders]]\npath = "in"\nname = "orders"\nsla = "20m"\n', encoding="utf-8")
    return file


def start(arguments: Sequence[str | Path], environment: dict[str, str] = ENVIRONMENT) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "file_sla_collector", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = capsys.readouterr().out.splitlines()
    fields: dict[str, Any] = json.loads(line)
    return fields


def test_one_run_with_json(config: Path, peer: Peer, aged: AgedFile, capsys: pytest.CaptureFixture[str]) -> None:
    aged(config.parent / "in" / "a.csv", 10**6)
    code = main(["--config", str(config), "--url", peer.url, "--json"], environment=ENVIRONMENT)
    assert code == 0
    fields = printed(capsys)
    assert (fields["exit"], fields["late_files"], fields["posts_sent"]) == ("sent", 1, 1)
    assert peer.posts[0].json()["sla_error"][0]["folder"] == "orders"
    assert (config.parent / "folders.spool" / "pending").is_dir()


def test_one_run_in_words(config: Path, peer: Peer, aged: AgedFile, capsys: pytest.CaptureFixture[str]) -> None:
    aged(config.parent / "in" / "a.csv", 10**6)
    with config.open("a") as file:
        file.write('[[folders]]\npath = "no\u2028ne"\nsla = 20\n')
    code = main(["--config", str(config), "--url", peer.url], environment=ENVIRONMENT)
    assert code == 5
    out, err = capsys.readouterr()
    assert out == "1 late files in 1 of 2 folders; 1 posts sent, 0 waiting\n"
    assert err == f"unreadable: {config.parent}/no\\u2028ne: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        ([], ENVIRONMENT, "no URL"),
        (["--url", "http://api.example.com/"], ENVIRONMENT, "in the clear"),
        (["--url", "http://127.0.0.1:1/"], {}, "no username"),
        (["--url", "http://127.0.0.1:1/"], {"FILE_SLA_USERNAME": "u"}, "no password"),
        (["--url", "http://127.0.0.1:1/", "--every", "0s"], ENVIRONMENT, "--every: must be at least 1s"),
        (["--url", "http://127.0.0.1:1/", "--every", "60"], ENVIRONMENT, "--every: '60' is not a duration"),
        (["--url", "http://127.0.0.1:1/", "--report-again", "x"], ENVIRONMENT, "--report-again: 'x' is not"),
        (["--url", "http://127.0.0.1:1/", "--password-file", "/none/x"], ENVIRONMENT, "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_exit_code_2(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    environment: dict[str, str],
    says: str,
) -> None:
    assert main(["--config", str(config), *arguments], environment=environment) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert main(["--config", str(config), "--json", *arguments], environment=environment) == 2
    fields = printed(capsys)
    assert (fields["exit_code"], fields["exit"]) == (2, "usage")
    assert says in fields["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--config", "x", "--once", "--every", "60s"],
        ["--config", "x", "--password", "secret"],
        ["--config", "x", "--password-stdin", "--password-file", "y"],
        ["--config", "x", "--attempts", "0"],
        ["--config", "x", "--timeout", "nan"],
        ["--config", "x", "--timeout", "soon"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments, environment={})
    assert caught.value.code == 2
    assert "usage: file-sla-collector" in capsys.readouterr().err


def test_a_spool_in_use_is_exit_code_8(config: Path, peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    with Spool(config.parent / "spool", max_posts=1, max_bytes=1):
        code = main(
            ["--config", str(config), "--url", peer.url, "--spool", str(config.parent / "spool")],
            environment=ENVIRONMENT,
        )
    assert code == 8
    assert "another collector is using the spool" in capsys.readouterr().err


def test_a_spool_that_cannot_be_made_is_exit_code_7(
    config: Path, peer: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(config), "--url", peer.url, "--spool", str(config), "--json"]
    assert main(arguments, environment=ENVIRONMENT) == 7
    assert printed(capsys)["exit"] == "not_spooled"


def test_the_password_appears_nowhere(
    config: Path, peer: Peer, aged: AgedFile, capsys: pytest.CaptureFixture[str]
) -> None:
    aged(config.parent / "in" / "a.csv", 10**6)
    secret = "hunter2-hunter2"
    environment = ENVIRONMENT | {"FILE_SLA_PASSWORD": secret}
    for more in ([], ["--json"]):
        assert main(["--config", str(config), "--url", peer.url, *more], environment=environment) == 3
    out, err = capsys.readouterr()
    assert "was refused: 401" in out + err
    assert secret not in out + err
    files = [file for file in config.parent.rglob("*") if file.is_file()]
    assert all(secret.encode() not in file.read_bytes() for file in files)


def test_an_open_password_file_is_warned_of(config: Path, peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    file = config.parent / "password"
    file.write_text(PASSWORD)
    file.chmod(0o644)
    arguments = ["--config", str(config), "--url", peer.url, "--password-file", str(file)]
    assert main(arguments, environment={"FILE_SLA_USERNAME": USERNAME}) == 0
    assert "other users can read" in capsys.readouterr().err


def test_the_configuration_may_name_url_username_and_report_again(
    config: Path, peer: Peer, aged: AgedFile, capsys: pytest.CaptureFixture[str]
) -> None:
    aged(config.parent / "in" / "a.csv", 10**6)
    head = f'url = "{peer.url}"\nusername = "{USERNAME}"\nreport_again = "1h"\n'
    config.write_text(head + config.read_text())
    environment = {"FILE_SLA_PASSWORD": PASSWORD}
    sent = []
    for more in ([], [], ["--report-again", "0s"]):
        main(["--config", str(config), "--json", *more], environment=environment)
        sent.append(printed(capsys)["posts_sent"])
    assert sent == [1, 0, 1]


class StoppingClock(SystemClock):
    """Time passes at once; after some waits between runs it asks to stop."""

    def __init__(self, runs: int) -> None:
        super().__init__()
        self.hand = HandClock()
        self.runs = runs

    def monotonic(self) -> float:
        return self.hand.monotonic()

    def wait(self, seconds: float) -> bool:
        if seconds > 0:
            self.hand.wait(seconds)
            self.runs -= 1
            if self.runs == 0:
                self.stop.set()
        return self.stop.is_set()


def test_every_repeats_from_start_to_start_until_it_is_stopped(
    config: Path, peer: Peer, aged: AgedFile, capsys: pytest.CaptureFixture[str]
) -> None:
    aged(config.parent / "in" / "a.csv", 10**6)
    clock = StoppingClock(runs=3)
    arguments = ["--config", str(config), "--url", peer.url, "--every", "60s", "--json"]
    assert main(arguments, environment=ENVIRONMENT, clock=clock) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["posts_sent"] for line in lines] == [1, 1, 1]
    assert clock.hand.waits == [60.0, 60.0, 60.0]
    assert peer.signed_in == 1


def test_every_goes_on_after_a_run_that_failed(
    config: Path, peer: Peer, aged: AgedFile, capsys: pytest.CaptureFixture[str]
) -> None:
    aged(config.parent / "in" / "a.csv", 10**6)
    peer.fault("/auth", status(503))
    arguments = ["--config", str(config), "--url", peer.url, "--every", "60s", "--attempts", "1", "--json"]
    assert main(arguments, environment=ENVIRONMENT, clock=StoppingClock(runs=2)) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["exit_code"], line["posts_sent"]) for line in lines] == [(4, 0), (0, 2)]


def test_a_process_with_the_password_on_standard_input(config: Path, peer: Peer, aged: AgedFile) -> None:
    aged(config.parent / "in" / "a.csv", 10**6)
    arguments = ["--config", str(config), "--url", peer.url, "--password-stdin"]
    with start(arguments, {"FILE_SLA_USERNAME": USERNAME}) as process:
        out, err = process.communicate(PASSWORD + "\n", timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out == "1 late files in 1 of 1 folders; 1 posts sent, 0 waiting\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_repeating_cleanly(config: Path, peer: Peer, number: signal.Signals) -> None:
    arguments = ["--config", str(config), "--url", peer.url, "--every", "1h", "--json"]
    with start(arguments) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert first["exit_code"] == 0
    assert (process.returncode, out, err) == (0, "", "")


def test_help_has_examples_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    for code in (0, 2, 3, 4, 5, 6, 7, 8):
        assert f"\n  {code}  " in text


def test_killed_before_sign_in_the_report_is_sent_by_the_next_run_with_its_key(
    config: Path, peer: Peer, aged: AgedFile
) -> None:
    killed_at(peer, "/auth", config, aged)
    (spooled,) = (config.parent / "folders.spool" / "pending").iterdir()
    assert run_again(config, peer) == 0
    assert peer.posts[0].key == spooled.name[13:].removesuffix(".json")
    assert [post.json()["sla_error"][0]["files"][0]["filename"] for post in peer.posts] == ["a.csv"]


def test_killed_while_the_api_works_on_it_the_report_is_sent_again_as_the_same_request(
    config: Path, peer: Peer, aged: AgedFile
) -> None:
    killed_at(peer, "/file_sla_error", config, aged)
    assert run_again(config, peer) == 0
    first, second = peer.posts
    assert (first.key, first.body) == (second.key, second.body)
    assert len(peer.state.stored) == 1


def killed_at(peer: Peer, route: str, config: Path, aged: AgedFile) -> None:
    """Start the command, kill it (-9) while the API holds the request to `route`, and clear the folder."""
    late = aged(config.parent / "in" / "a.csv", 10**6)
    peer.fault(route, hold)
    with start(["--config", str(config), "--url", peer.url]) as process:
        assert peer.state.reached.wait(30)
        process.kill()
        process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    late.unlink()


def run_again(config: Path, peer: Peer) -> int:
    return main(["--config", str(config), "--url", peer.url], environment=ENVIRONMENT)


def test_the_command_may_run_in_a_thread(config: Path, peer: Peer) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run_again(config, peer)))
    thread.start()
    thread.join()
    assert codes == [0]
