"""Functions: one handler, and the events that start it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.unit.runtime.depot_function import Context, body_of, function, payload
from windlass.runtime.events.malformed import MalformedEvent
from windlass.runtime.function import TickFailed, UnknownEvent

ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
TRACE = "5759e988bd862e3fe1be46a994272793"


def test_a_request_is_answered_as_the_embedded_gateway_answers_it() -> None:
    with function("accept") as (run, _):
        answer = run(payload("http_post"), Context())
    trace = answer["headers"].pop("x-trace-id")
    assert len(trace) == 32
    assert answer == {
        "statusCode": 201,
        "headers": {"content-type": "application/json", "x-content-type-options": "nosniff"},
        "isBase64Encoded": False,
        "body": '{"id":"p1","to":"Ada Lovelace","grams":1200}',
    }


def test_an_invalid_body_is_refused_with_the_field() -> None:
    with function("accept") as (run, left):
        answer = run(payload("http_post", body='{"id":"p1","to":"x","grams":0}'), Context())
    assert answer["statusCode"] == 400
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert body_of(answer)["errors"][0]["field"] == "body.grams"
    assert left.lines == []


def test_a_fault_is_a_bare_500_and_its_log_line_has_no_secret() -> None:
    with function("accept") as (run, left):
        answer = run(payload("http_post", body='{"id":"p1","to":"nobody","grams":1}'), Context())
    assert answer["statusCode"] == 500
    assert body_of(answer)["detail"] == "an internal fault; it was logged under this trace id"
    (line,) = left.lines
    assert "RuntimeError: password=*** is wrong" in line["message"]
    assert line["trace_id"] == answer["headers"]["x-trace-id"] == body_of(answer)["trace_id"]
    assert (line["level"], line["system"], line["handler"]) == ("ERROR", "depot", "accept")


def test_a_handler_out_of_time_is_stopped_and_answered_with_504() -> None:
    with function("accept") as (run, left):
        answer = run(payload("http_post", body='{"id":"p1","to":"hang","grams":1}'), Context(seconds=0.4))
    assert answer["statusCode"] == 504
    assert body_of(answer)["detail"] == "the request took too long and was given up"
    assert "accept ran past its deadline" in left.lines[0]["message"]


def test_one_request_leaves_nothing_in_a_context_for_the_next() -> None:
    with function("seen") as (run, _):
        said = [body_of(run(payload("http", rawPath="/seen", rawQueryString=f"name={n}"), Context())) for n in "ab"]
    assert said == ["nobody", "nobody"]


def test_a_handler_that_catches_everything_is_answered_with_504_too() -> None:
    with function("accept") as (run, left):
        answer = run(payload("http_post", body='{"id":"p1","to":"stubborn","grams":1}'), Context(seconds=0.4))
    assert answer["statusCode"] == 504
    assert "accept ran past its deadline" in left.lines[0]["message"]
    assert "_hang" in left.lines[0]["message"]  # where it was


def test_a_body_of_bytes_goes_both_ways() -> None:
    with function("label") as (run, _):
        answer = run(payload("http_base64"), Context())
    assert answer["isBase64Encoded"] is True
    assert base64.b64decode(answer["body"]) == b"\x89PNG\r\n\xff\x00"
    assert answer["headers"]["x-id"] == "p1"


def test_an_answer_over_the_limit_of_lambda_is_a_fault_that_is_logged() -> None:
    with function("large") as (run, left):
        fits = run(payload("http", rawPath="/large", rawQueryString="size=6000000"), Context())
        over = run(payload("http", rawPath="/large", rawQueryString="size=6400000"), Context())
    assert (fits["statusCode"], over["statusCode"]) == (200, 500)
    assert "the most that Lambda takes is 6,291,556" in left.lines[0]["message"]
    assert left.lines[0]["trace_id"] == over["headers"]["x-trace-id"]


def test_claims_of_a_jwt_are_the_caller() -> None:
    with function("mine") as (run, _):
        answer = run(payload("http_jwt"), Context())
    told = body_of(answer)
    assert (told["id"], told["username"], told["roles"]) == (
        "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "ada",
        ["lead", "staff"],
    )
    assert told["claims"]["exp"] == 1583352200


def test_a_caller_without_the_role_is_refused() -> None:
    event = payload("http_jwt")
    event["requestContext"]["authorizer"]["jwt"]["claims"]["cognito:groups"] = "[lead]"
    with function("mine") as (run, _):
        assert run(event, Context())["statusCode"] == 403


def test_a_token_without_a_subject_names_nobody() -> None:
    event = payload("http_jwt")
    del event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"]
    with function("mine") as (run, _):
        answer = run(event, Context())
    assert (answer["statusCode"], answer["headers"]["www-authenticate"]) == (401, "Bearer")


def test_the_caller_of_an_authorizer_comes_through() -> None:
    with function("guarded") as (run, _):
        told = body_of(run(payload("http_lambda"), Context()))
    assert told == {"id": "u1", "username": "ada", "claims": {"tenant": "acme"}}


@pytest.mark.parametrize(
    ("key", "status", "detail"),
    [
        ("key-1", 200, None),
        ("other", 401, "no such key"),
        ("conflict", 409, "the key is used elsewhere"),
        ("teapot", 418, "short and stout"),
        ("soon", 429, "slow down"),
        ("broken", 500, "an internal fault; it was logged under this trace id"),
        ("misuse", 500, "an internal fault; it was logged under this trace id"),
        ("big", 500, "an internal fault; it was logged under this trace id"),
        ("odd", 500, "an internal fault; it was logged under this trace id"),
        ("hangs", 504, "the request took too long and was given up"),
    ],
)
def test_what_an_authorizer_says_is_what_the_caller_reads(key: str, status: int, detail: str | None) -> None:
    with function("keys") as (ask, left), function("guarded") as (run, _):
        asked = payload("authorizer", headers={"x-key": key})
        decision = ask(asked, Context(seconds=0.5 if key == "hangs" else 30))
        assert decision["isAuthorized"] is True
        event = payload("http_lambda")
        event["requestContext"]["authorizer"]["lambda"] = decision["context"]
        answer = run(event, Context())
    assert answer["statusCode"] == status
    if detail is not None:
        assert body_of(answer)["detail"] == detail
        assert any(line["level"] == "ERROR" for line in left.lines) == (status >= 500)
    else:
        assert body_of(answer)["claims"] == {"tenant": "acme", "level": 3}
    if key == "soon":
        assert answer["headers"]["retry-after"] == "7"
    if key == "teapot":
        assert body_of(answer)["title"] == "I'm a teapot"
    if key == "conflict":
        assert body_of(answer)["errors"] == [{"field": "header.x-key", "message": "the key is used elsewhere"}]
    if key == "other":
        assert answer["headers"]["www-authenticate"] == "Bearer"
    if key == "big":
        assert "put fewer claims into the Caller" in left.lines[0]["message"]


def test_only_what_failed_of_a_batch_is_reported() -> None:
    with function("arrive") as (run, left):
        answer = run(payload("sqs"), Context())
    failed = [failure["itemIdentifier"][-1] for failure in answer["batchItemFailures"]]
    assert (left.said, failed) == (["a"], ["2", "3"])
    assert [line["level"] for line in left.lines] == ["INFO", "WARNING", "WARNING"]
    counted = {name: left.metrics[name] for name in ("messages_failed", "messages_retried")}
    assert counted == {"messages_failed": 2, "messages_retried": 1}


def test_what_follows_a_failure_in_its_group_fails_too() -> None:
    with function("move") as (run, left):
        answer = run(payload("sqs_fifo"), Context())
    failed = [failure["itemIdentifier"][-1] for failure in answer["batchItemFailures"]]
    assert (left.said, failed) == (["a", "c"], ["2", "4"])


def test_a_batch_of_which_nothing_succeeds_is_reported_whole() -> None:
    event = payload("sqs")
    for record in event["Records"]:
        record["body"] = '{"id":"x","to":"nobody","grams":1}'
    with function("arrive") as (run, _):
        assert len(run(event, Context())["batchItemFailures"]) == 3


def test_messages_for_which_no_time_is_left_have_failed() -> None:
    event = payload("sqs")
    event["Records"][1]["body"] = '{"id":"b","to":"hang","grams":1}'
    event["Records"][2]["body"] = '{"id":"c","to":"Ada","grams":1}'
    with function("arrive") as (run, left):
        answer = run(event, Context(seconds=0.6))
    assert left.said == ["a"]
    assert [failure["itemIdentifier"][-1] for failure in answer["batchItemFailures"]] == ["2", "3"]


def test_a_message_that_cannot_be_read_fails_alone() -> None:
    event = payload("sqs")
    event["Records"][1]["attributes"]["SentTimestamp"] = "soon"
    del event["Records"][2]["receiptHandle"]
    with function("arrive") as (run, left):
        answer = run(event, Context())
    assert left.said == ["a"]
    assert [failure["itemIdentifier"][-1] for failure in answer["batchItemFailures"]] == ["2", "3"]
    assert "its counts and times must be numbers" in left.lines[0]["message"]
    assert "receiptHandle" in left.lines[1]["message"]


def test_behind_a_message_of_a_fifo_queue_that_cannot_be_read_nothing_is_handled() -> None:
    event = payload("sqs_fifo")
    event["Records"][0]["attributes"] = {}
    with function("move") as (run, left):
        assert len(run(event, Context())["batchItemFailures"]) == 4
    assert left.said == []


def test_a_firing_runs_its_task() -> None:
    with function("report") as (run, left):
        assert run(payload("schedule"), Context()) is None
    assert left.lines[0]["message"] == "d32c5kddcf5bb8c3 at 2022-03-22 18:59:43+00:00, attempt 2"


def test_a_task_that_fails_raises_so_that_lambda_tries_again() -> None:
    event = payload("schedule")
    event["windlass"]["id"] = "bad"
    with function("report") as (run, left), pytest.raises(TickFailed, match="report failed, attempt 2"):
        run(event, Context())
    assert "there is nothing to report" in left.lines[0]["message"]


@pytest.mark.parametrize(
    ("handler", "event"),
    [
        ("accept", payload("sqs")),
        ("accept", {}),
        ("accept", []),
        ("keys", payload("schedule")),
        ("arrive", payload("http")),
        ("report", payload("sqs")),
        ("report", {"windlass": {"schedule": "weekly", "id": "1", "at": "2026-01-01T00:00:00Z", "attempt": "1"}}),
    ],
)
def test_an_event_of_another_kind_is_refused_in_words(handler: str, event: Any) -> None:
    with function(handler) as (run, left):
        with pytest.raises(UnknownEvent, match=f"{handler} is started by"):
            run(event, Context())
        (line,) = left.lines
    assert line["level"] == "ERROR"
    assert "Traceback" not in line["message"]


@pytest.mark.parametrize(
    "context",
    [
        None,
        {},
        {"http": "GET"},
        {"http": {"method": 1}},
        {"http": {"method": "GET"}, "authorizer": {"lambda": {"caller": "{"}}},
        {"http": {"method": "GET"}, "authorizer": {"jwt": []}},
    ],
)
def test_a_malformed_request_is_a_bare_500_and_a_log_line(context: object) -> None:
    with function("guarded") as (run, left):
        answer = run(payload("http_lambda", requestContext=context), Context())
    assert answer["statusCode"] == 500
    assert body_of(answer)["detail"] == "an internal fault; it was logged under this trace id"
    assert "guarded could not answer: the " in left.lines[0]["message"]
    assert left.lines[0]["trace_id"] == answer["headers"]["x-trace-id"]


@pytest.mark.parametrize(
    ("handler", "event"),
    [
        ("arrive", {"Records": None}),
        ("arrive", {"Records": [{}]}),
        ("arrive", {"Records": [3]}),
        ("report", {"windlass": {}}),
        ("report", {"windlass": {"schedule": "nightly", "id": "1", "at": "<aws.scheduler.scheduled-time>"}}),
        ("report", {"windlass": {"schedule": "nightly", "id": "1", "at": "2026-01-01T00:00:00Z", "attempt": "x"}}),
    ],
)
def test_other_malformed_events_are_refused_in_words(handler: str, event: Any) -> None:
    with function(handler) as (run, left):
        with pytest.raises(MalformedEvent, match="the event is not"):
            run(event, Context())
        assert f"{handler} was not run: the event is not" in left.lines[0]["message"]


def test_the_trace_is_that_of_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", ROOT)
    with function("accept") as (run, left):
        answer = run(payload("http_post"), Context())
    assert answer["headers"]["x-trace-id"] == TRACE
    assert left.lines[0]["trace_id"] == TRACE


def test_a_trace_that_the_caller_names_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", ROOT)
    event = payload("http_post")
    event["headers"]["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with function("accept") as (run, _):
        assert run(event, Context())["headers"]["x-trace-id"] == "0af7651916cd43dd8448eb211c80319c"


def test_all_that_an_invocation_leaves_is_one_write() -> None:
    with function("accept") as (run, left):
        run(payload("http_post"), Context())
        assert len(left.writes) == 1
        run(payload("http_post"), Context())
    assert len(left.writes) == 2
    assert left.lines[0]["message"] == "taken: p1"
    assert left.metrics == {"grams": 1200}


def test_only_the_ports_are_made_that_a_handler_may_use() -> None:
    with function("accept") as (run, _):
        assert set(run.system.ports) == {"staff", "api", "guarded_api"}
