"""What file_sla does, on the test driver."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.plugin import Start
from windlass.graph.load import load
from windlass.testing import Driver

START = datetime(2024, 6, 12, 9, 0, tzinfo=UTC)
FILE = {"filename": "orders.csv", "creationDate": "2024-06-12T08:00:00Z"}


@pytest.fixture
def app(start: Start) -> Iterator[Driver]:
    system = load(Path(__file__).parents[1])
    with start(system, clock_start=START) as app:
        app.add_user("ada", groups=["collector", "viewer"])
        yield app


def report(*folders: str, sla: int = 20, files: Any = None) -> dict[str, Any]:
    return {"sla_error": [{"folder": folder, "sla": sla, "files": files or [FILE]} for folder in folders]}


def post(app: Driver, content: Any, **options: Any) -> Any:
    options.setdefault("as_user", "ada")
    return app.post("/file_sla_error", json=content, **options)


def search(app: Driver, query: str) -> Any:
    answer = app.get(f"/file_sla_errors?{query}", as_user="ada")
    assert answer.status == 200, answer
    return answer.json()


# ---- signing in


def test_sign_in_answers_tokens(app: Driver) -> None:
    app.user_pool("users").create_user("bo", "a long enough password", groups=["viewer"])
    answer = app.post("/auth", json={"username": "bo", "password": "a long enough password"})
    assert answer.status == 200
    tokens = answer.json()
    assert set(tokens) == {"access_token", "id_token", "refresh_token", "token_type", "expires_in"}
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 3600
    token = {"authorization": f"Bearer {tokens['access_token']}"}
    assert app.get("/summary?from=2024-06-12&to=2024-06-12", headers=token).status == 200
    again = app.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert again.status == 200
    assert again.json()["refresh_token"] != tokens["refresh_token"]


def test_wrong_credentials_are_401_and_repeated_ones_429(app: Driver) -> None:
    app.user_pool("users").create_user("bo", "a long enough password")
    wrong = {"username": "bo", "password": "not the password"}
    statuses = [app.post("/auth", json=wrong).status for _ in range(8)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    locked = app.post("/auth", json={"username": "bo", "password": "a long enough password"})
    assert locked.status == 429
    assert int(locked.headers["retry-after"]) >= 1
    app.advance(timedelta(minutes=20))
    assert app.post("/auth", json={"username": "bo", "password": "a long enough password"}).status == 200


@pytest.mark.parametrize("content", [{}, {"username": "ada"}, {"username": 1, "password": "x"}, [], "text", None])
def test_malformed_credentials_are_400(app: Driver, content: Any) -> None:
    answer = app.post("/auth", json=content) if content is not None else app.post("/auth", body=b"{")
    assert answer.status in (400, 415)
    if content is not None:
        assert answer.status == 400
        assert answer.json()["errors"][0]["field"].startswith("body")


# ---- posting


def test_each_folder_of_a_post_is_stored(app: Driver) -> None:
    answer = post(app, report("/in/a", "/in/b", sla=30))
    assert answer.status == 200
    stored = answer.json()["stored"]
    assert [uuid.UUID(error_id).version for error_id in stored] == [7, 7]
    found = search(app, "date=2024-06-12")
    assert {item["ErrorId"] for item in found["items"]} == set(stored)
    item = next(item for item in found["items"] if item["ErrorId"] == stored[0])
    assert item["Folder"] == "/in/a"
    assert item["AffectedDate"] == "2024-06-12T09:00:00.000000Z"
    assert item["SLA"] == 30
    assert item["Files"] == [{"Filename": "orders.csv", "CreationDate": "2024-06-12T08:00:00.000000Z"}]
    assert found["next"] is None


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({}, "body"),
        ({"sla_error": []}, "body.sla_error"),
        ({"sla_error": [{"sla": 20, "files": [FILE]}]}, "body.sla_error[0]"),
        ({"sla_error": [{"folder": "/a", "sla": "20", "files": [FILE]}]}, "body.sla_error[0].sla"),
        ({"sla_error": [{"folder": "/a", "sla": 0, "files": [FILE]}]}, "body.sla_error[0].sla"),
        ({"sla_error": [{"folder": "", "sla": 20, "files": [FILE]}]}, "body.sla_error[0].folder"),
        ({"sla_error": [{"folder": "é" * 501, "sla": 20, "files": [FILE]}]}, "body.sla_error[0].folder"),
        ({"sla_error": [{"folder": "/a", "sla": 20, "files": []}]}, "body.sla_error[0].files"),
        (
            report("/a", files=[FILE, {"filename": "b", "creationDate": "yesterday"}]),
            "body.sla_error[0].files[1].creationDate",
        ),
        (
            report("/a", files=[{"filename": "b", "creationDate": "2024-06-12T10:00:00"}]),
            "body.sla_error[0].files[0].creationDate",
        ),
        (
            report("/a", files=[{"filename": "b", "creationDate": "/Date(99999999999999999)/"}]),
            "body.sla_error[0].files[0].creationDate",
        ),
        ({"sla_error": [{"folder": "/a", "sla": 1, "files": [FILE]}] * 101}, "body.sla_error"),
    ],
)
def test_a_bad_post_names_the_field_and_stores_nothing(app: Driver, content: Any, field: str) -> None:
    answer = post(app, content)
    assert answer.status == 400, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field
    assert search(app, "date=2024-06-12")["items"] == []


def test_a_fault_in_the_second_folder_stores_nothing_of_the_first(app: Driver) -> None:
    content = report("/in/a")
    content["sla_error"].append({"folder": "/in/b", "sla": 5, "files": [{"filename": "x", "creationDate": "no"}]})
    assert post(app, content).status == 400
    assert search(app, "date=2024-06-12")["items"] == []


def test_who_may_post_and_who_may_read(app: Driver) -> None:
    assert app.post("/file_sla_error", json=report("/in/a")).status == 401
    assert app.get("/file_sla_errors?date=2024-06-12").status == 401
    app.add_user("reader", groups=["viewer"])
    app.add_user("writer", groups=["collector"])
    assert post(app, report("/in/a"), as_user="reader").status == 403
    assert post(app, report("/in/a"), as_user="writer").status == 200
    assert app.get("/file_sla_errors?date=2024-06-12", as_user="writer").status == 403
    assert app.get("/file_sla_errors?date=2024-06-12", as_user="reader").status == 200


def test_too_large_and_not_json(app: Driver) -> None:
    huge = report("/in/a", files=[{"filename": "x" * 1000, "creationDate": "2024-06-12T08:00:00Z"}] * 300)
    assert post(app, huge).status == 413
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert app.post("/file_sla_error", body=b"a=b", headers=form, as_user="ada").status == 415


# ---- as PowerShell sends it


def test_what_windows_powershell_really_sends(app: Driver) -> None:
    text = (
        '{"sla_error":{"folder":"D:\\\\in\\\\caf\u00e9","sla":20,'
        '"files":{"filename":"one.csv","creationDate":"\\/Date(1718193600000)\\/"}}}'
    )
    json_type = {"content-type": "application/json"}
    utf16_type = {"content-type": "application/json; charset=utf-16"}
    latin_type = {"content-type": "application/json; charset=ISO-8859-1"}
    for body, headers in (
        (text.encode("utf-8-sig"), json_type),
        (text.encode("utf-16"), json_type),
        (b"\xfe\xff" + text.encode("utf-16-be"), json_type),
        (text.encode("utf-16-le"), {"content-type": "application/json; charset=utf-16le"}),
        (text.encode("utf-16"), utf16_type),
        (text.encode("latin-1"), latin_type),
    ):
        answer = app.post("/file_sla_error", body=body, headers=headers, as_user="ada")
        assert answer.status == 200, (answer, headers)
    items = search(app, "folder=D%3A%5Cin%5Ccaf%C3%A9")["items"]
    assert len(items) == 6
    assert items[0]["Files"] == [{"Filename": "one.csv", "CreationDate": "2024-06-12T12:00:00.000000Z"}]


def test_dates_with_seven_decimals_offsets_and_type_data(app: Driver) -> None:
    dates = [
        "2024-06-12T10:00:00.1234567+02:00",
        "/Date(1718179200123+0200)/",
        {"value": "/Date(1718179200123)/", "DateTime": "Wednesday", "DisplayHint": 2},
    ]
    files = [{"filename": str(number), "creationDate": date} for number, date in enumerate(dates)]
    assert post(app, report("/in/a", files=files)).status == 200
    stored = search(app, "date=2024-06-12")["items"][0]["Files"]
    assert [file["CreationDate"] for file in stored] == [
        "2024-06-12T08:00:00.123456Z",
        "2024-06-12T08:00:00.123000Z",
        "2024-06-12T08:00:00.123000Z",
    ]


# ---- idempotency


def test_the_same_key_stores_once_and_answers_the_same(app: Driver) -> None:
    key = {"idempotency-key": "8c1f"}
    first = post(app, report("/in/a", "/in/b"), headers=key)
    again = post(app, report("/in/a", "/in/b"), headers=key)
    assert first.status == again.status == 200
    assert first.body == again.body
    assert again.headers["idempotency-replayed"] == "true"
    assert len(search(app, "date=2024-06-12")["items"]) == 2
    assert app.get("/summary?from=2024-06-12&to=2024-06-12", as_user="ada").json()["total"]["breaches"] == 2
    assert post(app, report("/in/c"), headers=key).status == 422


def test_a_key_is_the_callers_own(app: Driver) -> None:
    app.add_user("bo", groups=["collector"])
    key = {"idempotency-key": "8c1f"}
    first = post(app, report("/in/a"), headers=key)
    assert first.json() != post(app, report("/in/b"), headers=key, as_user="bo").json()
    assert len(search(app, "date=2024-06-12")["items"]) == 2


def test_a_retry_after_the_kept_answer_is_gone_stores_nothing_twice(app: Driver) -> None:
    key = {"idempotency-key": "8c1f"}
    first = post(app, report("/in/a", "/in/b"), headers=key)
    app.advance(timedelta(hours=25))
    assert post(app, report("/in/a", "/in/b"), headers=key).json() == first.json()
    assert len(search(app, "from=2024-06-12&to=2024-06-13")["items"]) == 2
    total = app.get("/summary?from=2024-06-12&to=2024-06-13", as_user="ada").json()["total"]
    assert total == {"breaches": 2, "files": 2}


# ---- searching


def fill(app: Driver) -> list[str]:
    """Ten breaches in two folders over five days, oldest first."""
    ids = []
    for number in range(10):
        ids += post(app, report("/in/a" if number % 2 else "/in/b")).json()["stored"]
        app.advance(timedelta(hours=12))
    return ids


def everything(app: Driver, query: str, limit: int) -> list[str]:
    found, after = [], ""
    while True:
        page = search(app, f"{query}&limit={limit}{after}")
        assert len(page["items"]) <= limit
        found += [item["ErrorId"] for item in page["items"]]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_search_by_days_and_folder_pages_through_all_newest_first(app: Driver, limit: int) -> None:
    ids = fill(app)
    assert everything(app, "from=2024-06-01&to=2024-06-30", limit) == ids[::-1]
    assert everything(app, "date=2024-06-13", limit) == ids[2:4][::-1]
    assert everything(app, "folder=/in/a", limit) == ids[1::2][::-1]
    assert everything(app, "folder=/in/b&from=2024-06-13&to=2024-06-14", limit) == ids[2:6:2][::-1]
    assert everything(app, "folder=/in/b&date=2024-06-12", limit) == ids[:1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "query.date"),
        ("to=2024-06-12", "query.from"),
        ("from=2024-06-12", "query.date"),
        ("date=12.06.2024", "query.date"),
        ("date=2024-06-12&from=2024-06-11", "query.date"),
        ("from=2024-06-13&to=2024-06-12", "query.from"),
        ("folder=/a&from=2024-06-13&to=2024-06-12", "query.from"),
        ("from=2020-01-01&to=2024-06-12", "query.from"),
        ("date=2024-06-12&limit=0", "query.limit"),
        ("date=2024-06-12&limit=101", "query.limit"),
        ("date=2024-06-12&limit=ten", "query.limit"),
        ("folder=", "query.folder"),
        ("date=2024-06-12&after=forged", "after"),
        ("folder=/a&after=forged", "after"),
        ("date=2024-06-12&after=%F0%9F%92%A9", "after"),
    ],
)
def test_a_bad_search_names_the_field(app: Driver, query: str, field: str) -> None:
    answer = app.get(f"/file_sla_errors?{query}", as_user="ada")
    assert answer.status == 400, answer
    assert answer.json()["errors"][0]["field"] == field


def test_a_cursor_is_of_use_for_its_own_search_only(app: Driver) -> None:
    fill(app)
    cursor = search(app, "date=2024-06-13&limit=1")["next"]
    assert app.get(f"/file_sla_errors?date=2024-06-14&limit=1&after={cursor}", as_user="ada").status == 400
    assert app.get(f"/file_sla_errors?folder=/in/a&limit=1&after={cursor}", as_user="ada").status == 400
    changed = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    assert app.get(f"/file_sla_errors?date=2024-06-13&limit=1&after={changed}", as_user="ada").status == 400


def test_the_summary_counts_by_folder_and_by_day(app: Driver) -> None:
    fill(app)
    post(app, report("/in/b", files=[FILE, FILE, FILE]))
    answer = app.get("/summary?from=2024-06-11&to=2024-06-17", as_user="ada").json()
    assert answer["from"] == "2024-06-11"
    assert answer["total"] == {"breaches": 11, "files": 13}
    assert answer["by_folder"] == [
        {"folder": "/in/b", "breaches": 6, "files": 8},
        {"folder": "/in/a", "breaches": 5, "files": 5},
    ]
    assert [day["breaches"] for day in answer["by_day"]] == [0, 2, 2, 2, 2, 2, 1]
    assert answer["by_day"][0] == {"day": "2024-06-11", "breaches": 0, "files": 0}


def test_the_summary_spans_months(app: Driver) -> None:
    for _ in range(3):
        post(app, report("/in/a"))
        app.advance(timedelta(days=30))
    answer = app.get("/summary?from=2024-06-01&to=2024-08-31", as_user="ada").json()
    assert answer["total"]["breaches"] == 3


def test_every_grant_is_needed(app: Driver) -> None:
    test_sign_in_answers_tokens(app)
    post(app, report("/in/a"))
    search(app, "date=2024-06-12")
    search(app, "folder=/in/a")
    assert app.unused_grants == {}


def test_an_internal_fault_shows_nothing_internal() -> None:
    with load(Path(__file__).parents[1]).run_embedded() as app:
        app.engine.namespace.store.close()
        answer = app.post("/auth", json={"username": "ada", "password": "x"})
    assert answer.status in (500, 503)
    assert "sqlite" not in answer.body.decode().lower()
    assert "Traceback" not in answer.body.decode()
