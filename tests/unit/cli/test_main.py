"""The group: what is imported when, how errors are told, and that every command explains itself."""

import shlex
import subprocess
import sys

import click
import pytest

from tests.unit.cli.terminal import ENVIRONMENT, Run, commands
from windlass.cli.main import COMMANDS

ALL = commands()


def examples(command: click.Command) -> list[list[str]]:
    """The arguments of each example in a command's help; what a shell would do with `<`, `|` and `>` left out."""
    found = []
    for line in (command.epilog or "").splitlines():
        said = line.split("   ")[0] if line[:2] != "  " else line[2:].split("   ")[0]
        if "windlass " in said:
            words = shlex.split(said)
            words = words[words.index("windlass") :]
            ends = [words.index(sign) for sign in ("<", "|", ">") if sign in words]
            found.append(words[: min(ends, default=len(words))])
    return found


@pytest.mark.parametrize("path", ALL)
def test_every_command_says_what_it_does_with_an_example(path: str) -> None:
    command = ALL[path]
    assert command.help
    assert (command.epilog or "").startswith("\b\nExamples:\n")
    assert any(example[: path.count(" ") + 1] == path.split() for example in examples(command))
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.opts[0]} says nothing"


@pytest.mark.parametrize("path", ALL)
def test_every_example_is_one_that_the_command_takes(path: str) -> None:
    for words in examples(ALL[path]):
        depth = max(depth for depth in range(2, len(words) + 1) if " ".join(words[:depth]) in ALL)
        command = ALL[" ".join(words[:depth])]
        _, left, _ = command.make_parser(click.Context(command)).parse_args(words[depth:])
        assert left == []


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "up"])
def test_what_the_group_says_of_a_command_is_what_the_command_says(name: str) -> None:
    assert ALL[f"windlass {name}"].get_short_help_str(200) == COMMANDS[name].help


@pytest.mark.parametrize("path", ALL)
def test_help_is_printed(run: Run, path: str) -> None:
    result = run(*path.split()[1:], "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: {path} ")
    assert "\nExamples:\n" in result.output.replace("  Examples", "Examples")


def test_help_imports_no_command_and_no_engine() -> None:
    code = """if True:
        import sys
        from windlass.cli.main import main
        main(["--help"], standalone_mode=False)
        print(sorted(name for name in sys.modules if name.startswith(("windlass.cli.", "windlass.engines", "sqlite3"))))
    """
    ran = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "['windlass.cli.main']"


def test_the_version_is_printed(run: Run) -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("windlass")


def test_an_unknown_command_is_a_usage_error(run: Run) -> None:
    result = run("lift")
    assert result.exit_code == 2
    assert "No such command 'lift'." in result.stderr


def test_an_unknown_system_is_answered_with_those_there_are(run: Run) -> None:
    result = run("graph", "dusk")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "error: there is no system 'dusk' in ./systems or in the present folder "
        "(found: systems/broken, systems/desk, systems/twin_pools)\n"
        "  fix: give the path of a system's folder, or of a file such as app.py\n"
    )


def test_every_fault_of_a_system_is_told(run: Run) -> None:
    result = run("openapi", "broken")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: broken.jobs: nobody handles the messages of this queue: they would wait until they are dropped\n"
        "  fix: write @jobs.consumer() above a function that takes a Job\n"
        "error: broken.nightly: nothing happens when this schedule fires\n"
        "  fix: write @nightly.task() above the function that it should start\n"
    )


def test_a_traceback_is_shown_to_who_asks_for_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" not in run("graph", "dusk").stderr
    monkeypatch.setenv("WINDLASS_TRACEBACK", "1")
    said = run("graph", "dusk").stderr
    assert said.startswith("error: there is no system 'dusk'")
    assert "Traceback (most recent call last)" in said
    assert said.endswith("give the path of a system's folder, or of a file such as app.py\n")


def test_a_file_that_cannot_be_written_is_named(run: Run) -> None:
    result = run("graph", "desk", "--out", "absent/desk.json")
    assert result.exit_code == 1
    assert result.stderr == "error: absent/desk.json: No such file or directory\n"


def test_colours_are_for_terminals(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" not in run("graph", "dusk").stderr
    assert "\x1b[31m" in run("graph", "dusk", color=True).stderr
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run("check", "broken", color=True).stdout
