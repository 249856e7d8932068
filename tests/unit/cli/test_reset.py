"""windlass reset."""

from pathlib import Path

from tests.unit.cli.terminal import Run
from windlass.engines.embedded.lock import Lock


def test_all_state_of_one_namespace_is_removed(run: Run, here: Path) -> None:
    run("users", "add", "desk", "ada")
    run("users", "add", "desk", "ada", "--namespace", "pr-1")
    result = run("reset", "--yes")
    assert (result.exit_code, result.output) == (0, "All state in .windlass/default was removed.\n")
    assert [path.name for path in (here / ".windlass").iterdir()] == ["pr-1"]


def test_nothing_to_remove_is_no_error(run: Run) -> None:
    result = run("reset", "--namespace", "pr-2")
    assert (result.exit_code, result.output) == (0, "There is nothing in .windlass/pr-2.\n")


def test_it_asks_first(run: Run, used: Path) -> None:
    result = run("reset", stdin="y\n")
    assert result.exit_code == 2
    assert result.stderr.endswith("Remove all state in .windlass/default? Nobody can be asked here: add --yes.\n")
    assert (used / "default/state.sqlite").is_file()
    assert Lock.holder(used / "default/lock") is None


def test_it_refuses_while_a_server_holds_the_namespace(run: Run, used: Path) -> None:
    with Lock.acquire(used / "default/lock", "http://127.0.0.1:8400"):
        result = run("reset", "--yes")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: .windlass/default is held by process ")
    assert ", http://127.0.0.1:8400, since " in result.stderr
    assert result.stderr.endswith("\n  fix: stop that process, or use another namespace, with --namespace\n")
    assert (used / "default/state.sqlite").is_file()
    assert run("reset", "--yes").exit_code == 0


def test_it_removes_nothing_that_windlass_has_not_made(run: Run, here: Path) -> None:
    (here / "photos" / "2024").mkdir(parents=True)
    (here / "photos" / "2024" / "tower.jpg").touch()
    result = run("reset", "--home", "photos", "--namespace", "2024", "--yes")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: photos/2024 holds files, and none of them is state of Windlass\n"
        "  fix: give the folder of the state with --home, and the namespace in it with --namespace\n"
    )
    assert (here / "photos" / "2024" / "tower.jpg").is_file()


def test_a_name_that_leads_elsewhere_is_refused(run: Run) -> None:
    result = run("reset", "--namespace", "../..", "--yes")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: '../..' cannot name a namespace\n  fix: ")
