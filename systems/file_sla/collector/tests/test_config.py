from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from file_sla_collector.config import (
    DEFAULT_ARCHIVE,
    DEFAULT_IGNORE,
    Config,
    ConfigError,
    duration,
    load,
    parse,
)
from hypothesis_settings import fixed_examples

FILE = Path("/etc/collector/folders.toml")
MINIMAL = {"folders": [{"path": "/data/in", "sla": "20m"}]}


def one(**folder: Any) -> Config:
    return parse({"folders": [{"path": "/data/in", "sla": "20m"} | folder]}, FILE)


def test_the_least_that_a_file_must_say() -> None:
    config = parse(MINIMAL, FILE)
    (folder,) = config.folders
    assert folder.path == Path("/data/in")
    assert folder.name == str(Path("/data/in"))
    assert folder.sla_minutes == 20
    assert folder.recursive
    assert (folder.pattern, folder.ignore, folder.archive) == (("*",), DEFAULT_IGNORE, DEFAULT_ARCHIVE)
    assert config.spool == FILE.absolute().parent / "folders.spool"
    assert (config.url, config.username, config.report_again) == (None, None, None)


def test_everything_that_a_file_may_say() -> None:
    config = parse(
        {
            "url": "https://api.example.com/file_sla",
            "username": "collector@example.com",
            "spool": "state/spool",
            "spool_max_posts": 7,
            "spool_max_mib": 2,
            "report_again": "1h30m",
            "archive": ["done"],
            "ignore": [],
            "folders": [
                {"path": "in", "sla": 45, "name": "orders", "recursive": False, "pattern": "*.csv"},
                {"path": "/data/two", "sla": "24h", "archive": "old", "ignore": ["*.bak", "*.tmp"]},
            ],
        },
        FILE,
    )
    first, second = config.folders
    assert first.path == FILE.absolute().parent / "in"
    assert (first.name, first.sla_minutes, first.recursive, first.pattern) == (
        "orders",
        45,
        False,
        ("*.csv",),
    )
    assert (first.archive, first.ignore) == (("done",), ())
    assert (second.archive, second.ignore) == (("old",), ("*.bak", "*.tmp"))
    assert config.report_again == timedelta(minutes=90)
    assert (config.spool_max_posts, config.spool_max_bytes) == (7, 2 * 1024 * 1024)
    assert config.spool == FILE.absolute().parent / "state" / "spool"


@pytest.mark.parametrize(("given_sla", "minutes"), [("20m", 20), (20, 20), ("2h", 120), ("1h30m", 90), ("1d", 1440)])
def test_ways_to_write_an_sla(given_sla: str | int, minutes: int) -> None:
    assert one(sla=given_sla).folders[0].sla_minutes == minutes


@pytest.mark.parametrize(
    ("table", "key", "says"),
    [
        ({}, "folders", "is missing"),
        ({"folders": []}, "folders", "at least one folder"),
        ({"folders": {"path": "/in"}}, "folders", "must be a list"),
        ({"folders": ["/in"]}, "folders[0]", "must be a table"),
        ({"folders": [{"sla": "20m"}]}, "folders[0].path", "is missing"),
        ({"folders": [{"path": "/in"}]}, "folders[0].sla", "is missing"),
        ({"folders": [{"path": "", "sla": "20m"}]}, "folders[0].path", "not empty"),
        ({"folders": [{"path": 3, "sla": "20m"}]}, "folders[0].path", "must be a text"),
        ({"folders": [{"path": "a\0b", "sla": "20m"}]}, "folders[0].path", "control characters"),
        (MINIMAL | {"folder": []}, "folder", "is not a known key"),
        (
            {"folders": [{"path": "/in", "sla": "20m", "recurse": True}]},
            "folders[0].recurse",
            "not a known key",
        ),
        (MINIMAL | {"report_again": "soon"}, "report_again", "not a duration"),
        (MINIMAL | {"report_again": 60}, "report_again", "must be a text"),
        (MINIMAL | {"spool_max_posts": 0}, "spool_max_posts", "from 1"),
        (MINIMAL | {"spool_max_posts": True}, "spool_max_posts", "whole number"),
        (MINIMAL | {"archive": [1]}, "archive", "must be a glob"),
        (MINIMAL | {"ignore": ["tmp/*"]}, "ignore", "path separator"),
        (MINIMAL | {"username": " "}, "username", "not empty"),
    ],
)
def test_an_error_names_file_and_key(table: dict[str, Any], key: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(table, FILE)
    message = str(caught.value)
    assert message.startswith(f"{FILE}: {key}: ")
    assert says in message


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("sla", "19m", "out of bounds"),
        ("sla", 19, "out of bounds"),
        ("sla", "24h1m", "out of bounds"),
        ("sla", 10**30, "out of bounds"),
        ("sla", -30, "out of bounds"),
        ("sla", "1201s", "whole number of minutes"),
        ("sla", "two hours", "not a duration"),
        ("sla", "90", "not a duration"),
        ("sla", "999999999d999999999d", "too long"),
        ("sla", True, "must be a duration"),
        ("sla", 30.5, "must be a duration"),
        ("recursive", "yes", "true or false"),
        ("pattern", [], "no file would be checked"),
        ("pattern", [""], "must be a glob"),
        ("name", "x" * 1001, "at most 1000 bytes"),
        ("name", "\u00e9" * 501, "at most 1000 bytes"),
        ("name", "a\nb", "control characters"),
    ],
)
def test_an_error_in_a_folder_names_its_index(key: str, value: object, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        one(**{key: value})
    assert str(caught.value).startswith(f"{FILE}: folders[0].{key}: ")
    assert says in str(caught.value)


def test_a_folder_listed_twice_is_an_error_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for other in (tmp_path / "in", tmp_path / "x" / ".." / "in", tmp_path / "link"):
        table = {
            "folders": [
                {"path": str(tmp_path / "in"), "sla": 20},
                {"path": str(other), "sla": 30, "name": "b"},
            ]
        }
        with pytest.raises(ConfigError, match=r"folders\[1\]\.path: .* listed already, as folders\[0\]"):
            parse(table, FILE)


def test_a_long_path_needs_a_name_of_its_own() -> None:
    long = "/data" + "/folder" * 200
    with pytest.raises(ConfigError, match=r"folders\[0\]\.name: must be given"):
        one(path=long)
    assert one(path=long, name="long").folders[0].name == "long"


def test_two_folders_of_one_name_are_an_error() -> None:
    folders = [{"path": f"/data/{n}", "sla": 20, "name": "orders"} for n in (1, 2)]
    with pytest.raises(ConfigError, match=r"folders\[1\]\.name: 'orders' is the name of folders\[0\] too"):
        parse({"folders": folders}, FILE)


def test_a_link_that_leads_to_itself_is_no_error_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert parse({"folders": [{"path": str(tmp_path / "loop"), "sla": 20}]}, FILE).folders


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "folders.toml").write_text('[[folders]]\npath = "/data/é"\nsla = "2h"\n', encoding="utf-8")
    (tmp_path / "folders.json").write_text(
        json.dumps({"folders": [{"path": "/data/é", "sla": "2h"}]}), encoding="utf-8-sig"
    )
    toml, from_json = load(tmp_path / "folders.toml"), load(tmp_path / "folders.json")
    assert toml.folders == from_json.folders


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.toml", b"folders = ", "is not valid TOML"),
        ("a.toml", b"[[folders]]\npath = 'a'\npath = 'b'\n", "is not valid TOML"),
        ("a.json", b"{", "is not valid JSON"),
        ("a.json", b'{"folders": 1, "folders": 2}', "'folders' is given twice"),
        ("a.json", b"[]", "must be an object"),
        ("a.json", b"[" * 100_000, "is not valid JSON"),
        ("a.toml", b"\xff\xfe[\x00", "is not UTF-8"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=says) as caught:
        load(file)
    assert str(caught.value).startswith(str(file))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml")


def test_an_unknown_home_is_left_to_the_scan() -> None:
    assert one(path="~nobody-of-that-name/in").folders[0].path.name == "in"


@fixed_examples
@given(st.integers(20, 1440))
def test_every_sla_within_the_bounds_is_taken(minutes: int) -> None:
    assert one(sla=minutes).folders[0].sla_minutes == one(sla=f"{minutes}m").folders[0].sla_minutes == minutes


@fixed_examples
@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 400), st.integers(0, 400))
def test_a_duration_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    assert duration(f"{days}d{hours}h{minutes}m{seconds}s") == expected


@pytest.mark.parametrize("text", ["", "m", "20", "20 m", "-20m", "1.5h", "20M", "\u0662\u0660m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration(text)
