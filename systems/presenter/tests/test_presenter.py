"""What presenter does, on the test driver."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presenter.tests.issuer import bearer, rs256, token

from tests.conformance.plugin import Start
from windlass import Queue
from windlass.graph.load import load
from windlass.model.system import System
from windlass.testing import Answer, Driver

START = datetime(2024, 6, 12, 9, 0, tzinfo=UTC)
GOOD = {"informationOne": "aaa23", "informationTwo": "bbb24"}


@pytest.fixture(scope="module")
def presenter() -> System:
    return load(Path(__file__).parents[1])


@pytest.fixture
def app(presenter: System, start: Start) -> Iterator[Driver]:
    with start(presenter, clock_start=START) as app:
        yield app


def post(app: Driver, content: Any = GOOD, *, sub: str = "ada", **more: Any) -> Answer:
    return app.post("/data", json=content, headers=bearer(token(app, sub=sub)), **more)


def read(app: Driver, query: str = "", *, sub: str = "ada") -> Answer:
    return app.get(f"/data?{query}", headers=bearer(token(app, sub=sub)))


def items(app: Driver, *, sub: str = "ada") -> list[dict[str, str]]:
    answer = read(app, "limit=100", sub=sub)
    assert answer.status == 200, answer
    found: list[dict[str, str]] = answer.json()
    return found


def link(answer: Answer) -> str:
    """The address of the following page, as the driver takes it."""
    found = re.fullmatch(r'</presenter(/data\?[^>]*)>; rel="next"', answer.headers["link"])
    assert found is not None, answer.headers
    return found[1]


def send(app: Driver, *messages: dict[str, str]) -> None:
    """Puts messages into the queue, past the API."""
    queue = app.system.resources["data"]
    assert isinstance(queue, Queue)
    with app.bound():
        for fields in messages:
            queue.send(queue.message(**fields))


def message(user: str, number: int) -> dict[str, str]:
    date = f"2024-06-12T09:00:00.{number:06}Z"
    texts = {"InformationOne": f"one {number}", "InformationTwo": "two"}
    return {"User": user, "Key": f"{date}#{number}", "Date": date, **texts}


# ---- posting and reading


def test_what_is_posted_can_be_read_when_it_was_persisted(app: Driver) -> None:
    answer = post(app)
    assert (answer.status, answer.body) == (201, b"")
    assert "content-type" not in answer.headers
    assert items(app) == []
    assert app.queue("data").stats().waiting == 1
    app.settle()
    assert items(app) == [
        {
            "User": "ada",
            "Date": "2024-06-12T09:00:00.000000Z",
            "InformationOne": "aaa23",
            "InformationTwo": "bbb24",
        }
    ]
    app.get("/data", headers=bearer(rs256(app, "first")))
    assert app.unused_grants == {}


def test_the_date_is_that_of_the_post_however_late_it_is_persisted(app: Driver) -> None:
    post(app)
    app.clock.advance(timedelta(hours=5))
    app.settle()
    assert [item["Date"] for item in items(app)] == ["2024-06-12T09:00:00.000000Z"]


def test_the_newest_comes_first(app: Driver) -> None:
    for number in range(12):
        post(app, GOOD | {"informationOne": str(number)})
        app.advance(timedelta(milliseconds=1))
    assert [item["InformationOne"] for item in items(app)] == [str(number) for number in reversed(range(12))]
    dates = [item["Date"] for item in items(app)]
    assert dates == sorted(dates, reverse=True)


def test_everybody_reads_their_own(app: Driver) -> None:
    for sub in ("ada", "bob", "Ada", "ada ", "ада"):
        post(app, GOOD | {"informationOne": f"of {sub}"}, sub=sub)
    app.settle()
    for sub in ("ada", "bob", "Ada", "ada ", "ада"):
        assert [(item["User"], item["InformationOne"]) for item in items(app, sub=sub)] == [(sub, f"of {sub}")]
    assert items(app, sub="eve") == []


def test_it_is_nobody_elses_business_to_keep_a_copy(app: Driver) -> None:
    assert read(app).headers["cache-control"] == "no-store"


def test_pages_follow_each_other_to_the_end(app: Driver) -> None:
    for number in range(25):
        post(app, GOOD | {"informationOne": str(number)})
        app.advance(timedelta(milliseconds=1))
    answer, seen, pages = read(app, "limit=10"), [], 1
    while True:
        seen += [item["InformationOne"] for item in answer.json()]
        if "link" not in answer.headers:
            break
        following = link(answer)
        assert parse_qs(urlsplit(following).query)["limit"] == ["10"]
        answer, pages = app.get(following, headers=bearer(token(app))), pages + 1
    assert seen == [str(number) for number in reversed(range(25))]
    assert pages == 3


def test_a_page_has_twenty_unless_another_limit_is_asked_for(app: Driver) -> None:
    for _ in range(21):
        post(app)
    app.settle()
    assert len(read(app).json()) == 20
    assert "link" in read(app).headers
    assert len(read(app, "limit=1").json()) == 1
    assert len(read(app, "limit=100").json()) == 21
    assert "link" not in read(app, "limit=100").headers


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "query.limit"),
        ("limit=101", "query.limit"),
        ("limit=-1", "query.limit"),
        ("limit=ten", "query.limit"),
        ("limit=1&limit=2", "query.limit"),
        ("after=", "after"),
        ("after=forged", "after"),
        ("after=" + "A" * 40, "after"),
        ("after=%00", "after"),
    ],
)
def test_a_wrong_query_is_400_and_names_the_field(app: Driver, query: str, field: str) -> None:
    answer = read(app, query)
    assert answer.status == 400, answer
    assert answer.json()["errors"][0]["field"] == field


def test_a_cursor_is_good_for_its_own_reader_only(app: Driver) -> None:
    for _ in range(3):
        post(app)
        post(app, sub="eve")
    app.settle()
    following = link(read(app, "limit=1"))
    assert app.get(following, headers=bearer(token(app))).status == 200
    assert app.get(following, headers=bearer(token(app, sub="eve"))).status == 400
    # Not its last character, of which base64 does not use every bit.
    changed = following[:-5] + ("A" if following[-5] != "A" else "B") + following[-4:]
    assert app.get(changed, headers=bearer(token(app))).status == 400


# ---- what is not taken


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ({}, ["body"]),
        ({"informationOne": "a"}, ["body"]),
        ({"informationTwo": "b"}, ["body"]),
        (GOOD | {"informationOne": ""}, ["body.informationOne"]),
        (GOOD | {"informationTwo": ""}, ["body.informationTwo"]),
        (GOOD | {"informationOne": " \t\r\n\u2003"}, ["body.informationOne"]),
        ({"informationOne": " ", "informationTwo": "\n"}, ["body.informationOne", "body.informationTwo"]),
        (GOOD | {"informationOne": None}, ["body.informationOne"]),
        (GOOD | {"informationOne": 1}, ["body.informationOne"]),
        (GOOD | {"informationTwo": ["b"]}, ["body.informationTwo"]),
        (GOOD | {"informationTwo": "x" * 2001}, ["body.informationTwo"]),
        ([GOOD], ["body"]),
        ("text", ["body"]),
    ],
)
def test_a_bad_post_names_the_fields_and_queues_nothing(app: Driver, content: Any, fields: list[str]) -> None:
    answer = post(app, content)
    assert answer.status == 400, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == fields
    assert app.queue("data").stats().waiting == 0


@pytest.mark.parametrize("text", ["x" * 2000, "\U0001f33e" * 2000, " a ", "a\u0000b", "<b>&amp;</b>", "zwei\nZeilen"])
def test_a_text_within_the_bounds_comes_back_as_it_was(app: Driver, text: str) -> None:
    assert post(app, {"informationOne": text, "informationTwo": text}).status == 201
    app.settle()
    assert [(item["InformationOne"], item["InformationTwo"]) for item in items(app)] == [(text, text)]


def test_fields_that_are_not_known_are_ignored(app: Driver) -> None:
    assert post(app, GOOD | {"User": "eve", "Date": "1999-01-01", "Key": "x"}).status == 201
    app.settle()
    assert items(app)[0]["User"] == "ada"
    assert items(app)[0]["Date"].startswith("2024-06-12")


def test_what_is_no_json_or_too_much_is_refused(app: Driver) -> None:
    headers = bearer(token(app))
    assert app.post("/data", body=b"{", headers=headers).status == 400
    assert app.post("/data", body=b"", headers=headers).status == 400
    form = headers | {"content-type": "application/x-www-form-urlencoded"}
    assert app.post("/data", body=b"informationOne=a&informationTwo=b", headers=form).status == 415
    assert post(app, {"informationOne": "x" * 70_000, "informationTwo": "b"}).status == 413


def test_who_may_post_and_who_may_read(app: Driver) -> None:
    for roles, may_post, may_read in (
        (["data.read"], 403, 200),
        (["data.write"], 201, 403),
        ([], 403, 403),
        (None, 403, 403),
        (["data.Read", "data.writer", "data"], 403, 403),
        ("data.write", 201, 403),
    ):
        headers = bearer(token(app, Role=roles))
        assert app.post("/data", json=GOOD, headers=headers).status == may_post, roles
        assert app.get("/data", headers=headers).status == may_read, roles
    assert app.post("/data", json=GOOD).status == 401
    assert app.get("/data").status == 401


def test_a_caller_who_asks_too_often_waits_and_no_other(app: Driver) -> None:
    statuses = [read(app).status for _ in range(101)]
    assert statuses == [200] * 100 + [429]
    assert read(app).headers["retry-after"] == "1"
    assert read(app, sub="bob").status == 200
    app.advance(timedelta(seconds=1))
    assert read(app).status == 200


# ---- the queue


@pytest.mark.parametrize("seed", range(5))
def test_each_post_is_one_item_however_often_it_is_delivered(presenter: System, seed: int, start: Start) -> None:
    with start(presenter, seed=seed, clock_start=START) as app:
        for number in range(30):
            assert post(app, GOOD | {"informationOne": str(number)}).status == 201
            app.clock.advance(timedelta(milliseconds=1))
        app.advance(timedelta(minutes=5))
        assert [item["InformationOne"] for item in items(app)] == [str(number) for number in reversed(range(30))]
        assert app.queue("data").stats().waiting == 0


def test_the_same_message_twice_changes_nothing(app: Driver) -> None:
    send(app, message("ada", 1), message("ada", 2))
    app.settle()
    before = items(app)
    send(app, message("ada", 1))
    app.settle()
    assert items(app) == before
    assert len(before) == 2


def test_a_message_that_cannot_be_stored_harms_no_other_and_ends_as_a_dead_letter(app: Driver) -> None:
    bad = message("ada", 2) | {"Key": "x" * 2000}  # longer than a sort key can be
    send(app, message("ada", 1), bad, message("ada", 3))
    app.settle()
    assert [item["InformationOne"] for item in items(app)] == ["one 3", "one 1"]
    app.advance(timedelta(minutes=10))
    (dead,) = app.queue("data").peek(10, dead=True)
    assert dead.attempts == 5
    assert dead.reason is not None
    assert "Key" in dead.reason
    assert msgspec.json.decode(dead.body)["InformationOne"] == "one 2"
    assert app.queue("data").redrive() == 1
    app.advance(timedelta(minutes=10))
    assert len(app.queue("data").peek(10, dead=True)) == 1
    assert len(items(app)) == 2


# ---- any body at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=15), inner, max_size=4),
    max_leaves=10,
)
FIELD = st.one_of(st.text(max_size=40), st.text(min_size=1990, max_size=2010), JSON)


def test_a_body_is_taken_if_and_only_if_its_fields_are_texts_with_something_in_them(
    presenter: System, start: Start
) -> None:
    with start(presenter, clock_start=START) as app:
        headers = bearer(token(app))

        @settings(max_examples=150, deadline=None)
        @given(st.fixed_dictionaries({}, optional={"informationOne": FIELD, "informationTwo": FIELD, "other": JSON}))
        def check(content: dict[str, Any]) -> None:
            app.clock.advance(timedelta(seconds=1))
            texts = [content.get(name) for name in ("informationOne", "informationTwo")]
            good = all(isinstance(text, str) and text.strip() and len(text) <= 2000 for text in texts)
            answer = app.post("/data", json=content, headers=headers)
            assert answer.status == (201 if good else 400)
            app.settle()
            if good:
                newest = app.get("/data?limit=1", headers=headers).json()[0]
                assert [newest["InformationOne"], newest["InformationTwo"]] == texts

        check()


def test_no_bytes_at_all_are_a_fault_of_the_program(presenter: System, start: Start) -> None:
    with start(presenter, clock_start=START) as app:
        headers = bearer(token(app))

        @settings(max_examples=150, deadline=None)
        @given(st.binary(max_size=200))
        def check(body: bytes) -> None:
            app.clock.advance(timedelta(seconds=1))
            assert app.post("/data", body=body, headers=headers).status in (400, 415)

        check()


def test_nothing_that_was_sent_as_a_token_is_logged(app: Driver) -> None:
    good = token(app)
    app.secret("jwt_key").write("kurz-und-knapp")
    for text in (good, good[:-3] + "AAA"):
        assert app.get("/data", headers=bearer(text)).status == 500
    logged = "\n".join(line.message for line in app.logs)
    assert "jwt_key" in logged
    assert good.split(".")[1] not in logged
    assert good.split(".")[2] not in logged
    assert "kurz-und-knapp" not in logged
