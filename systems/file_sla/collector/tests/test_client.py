from __future__ import annotations

import json

import pytest

from file_sla_collector.client import (
    SIGN_IN_PAUSE,
    Client,
    RefusedError,
    SignInError,
    UnavailableError,
)
from file_sla_collector.clock import Clock
from file_sla_collector.credentials import Credentials, CredentialSource
from file_sla_collector.endpoint import Endpoint, Line
from file_sla_collector.retry import RetryPolicy
from hand_clock import HandClock
from peer import PASSWORD, USERNAME, Fault, Peer, close_mid_body, hang_up, not_http, status, text

BODY = b'{"sla_error":[{"folder":"in","sla":20,"files":[]}]}'


def right() -> Credentials:
    return Credentials(USERNAME, PASSWORD)


def wrong() -> Credentials:
    return Credentials(USERNAME, "not it")


def client(
    peer: Peer, clock: Clock, credentials: CredentialSource = right, policy: RetryPolicy | None = None
) -> Client:
    # The jitter is drawn at its bound, so that waits can be foretold.
    line = Line(Endpoint.parse(peer.url), limit=5)
    return Client(line, credentials, clock, policy=policy, draw=lambda low, high: high)


def test_a_post_is_signed_in_and_carries_its_key(peer: Peer, clock: HandClock) -> None:
    assert client(peer, clock).post(BODY, "k1") == ("id",)
    (sign_in,), (post,) = peer.on("/auth"), peer.posts
    assert sign_in.json() == {"username": USERNAME, "password": PASSWORD}
    assert "authorization" not in sign_in.headers
    assert (post.key, post.body, post.headers["authorization"]) == ("k1", BODY, "Bearer token-1")
    assert clock.waits == []


def test_one_sign_in_serves_many_posts(peer: Peer, clock: HandClock) -> None:
    ours = client(peer, clock)
    for n in range(3):
        ours.post(BODY, f"k{n}")
    assert peer.signed_in == 1


def test_a_token_is_replaced_before_it_ends(peer: Peer, clock: HandClock) -> None:
    ours = client(peer, clock)
    ours.post(BODY, "k1")
    clock.advance(3600 - 31)
    ours.post(BODY, "k2")
    assert peer.signed_in == 1
    clock.advance(2)
    ours.post(BODY, "k3")
    assert peer.signed_in == 2


@pytest.mark.parametrize("expires_in", [None, "soon", 0, -1, True, 10])
def test_a_token_of_unknown_length_is_used_until_it_is_refused(
    peer: Peer, clock: HandClock, expires_in: object
) -> None:
    peer.state.expires_in = expires_in
    ours = client(peer, clock)
    ours.post(BODY, "k1")
    clock.advance(1_000_000)
    ours.post(BODY, "k2")
    assert peer.signed_in == 1


def test_a_refused_token_is_replaced_once(peer: Peer, clock: HandClock) -> None:
    ours = client(peer, clock)
    ours.post(BODY, "k1")
    peer.forget_tokens()
    ours.post(BODY, "k2")
    assert peer.signed_in == 2
    assert [post.key for post in peer.posts] == ["k1", "k2", "k2"]


def test_a_post_that_is_never_allowed_is_a_sign_in_error(peer: Peer, clock: HandClock) -> None:
    peer.fault("/file_sla_error", *[status(401)] * 3)
    with pytest.raises(SignInError, match="not allowed: 401"):
        client(peer, clock).post(BODY, "k1")
    assert (peer.signed_in, len(peer.posts)) == (2, 2)


def test_a_user_without_the_right_is_a_sign_in_error(peer: Peer, clock: HandClock) -> None:
    peer.fault("/file_sla_error", status(403, "Forbidden"))
    with pytest.raises(SignInError, match="403 Forbidden"):
        client(peer, clock).post(BODY, "k1")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(hang_up, id="hangs up"),
        pytest.param(close_mid_body, id="closes mid-body"),
        pytest.param(not_http, id="is not HTTP"),
        *[pytest.param(status(code), id=str(code)) for code in (408, 409, 425, 429, 500, 503)],
        pytest.param(text(200, b"<html>sign in to the wi-fi</html>"), id="portal"),
        pytest.param(text(200, b"[]"), id="no object"),
        pytest.param(text(200, b'{"stored": "yes"}'), id="no list"),
        pytest.param(text(204, b""), id="nothing"),
    ],
)
def test_what_may_pass_is_tried_again_with_the_same_key(peer: Peer, clock: HandClock, fault: Fault) -> None:
    peer.fault("/file_sla_error", fault, fault)
    client(peer, clock).post(BODY, "k1")
    assert [(post.key, post.body) for post in peer.posts] == [("k1", BODY)] * 3
    assert clock.waits == [0.5, 1.0]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(hang_up, id="hangs up"),
        pytest.param(status(502), id="502"),
        pytest.param(text(200, b"{}"), id="no token"),
        pytest.param(text(200, b'{"access_token": 5}'), id="number"),
        pytest.param(text(200, b'{"access_token": "a\\r\\nX:y"}'), id="header injection"),
        pytest.param(text(200, b'{"access_token": "\xc3\xa9"}'), id="not ASCII"),
        pytest.param(text(200, b"\xff"), id="not UTF-8"),
        pytest.param(text(200, b"[" * 100_000), id="deep"),
    ],
)
def test_a_sign_in_is_tried_again_too(peer: Peer, clock: HandClock, fault: Fault) -> None:
    peer.fault("/auth", fault)
    client(peer, clock).post(BODY, "k1")
    assert (peer.signed_in, len(peer.posts)) == (2, 1)


def test_a_certificate_that_nobody_vouches_for_is_not_tried_again(clock: HandClock) -> None:
    with Peer(tls=True) as peer, pytest.raises(UnavailableError, match="certificate verify failed"):
        client(peer, clock).post(BODY, "k1")
    assert clock.waits == []


def test_trying_has_an_end(peer: Peer, clock: HandClock) -> None:
    peer.fault("/file_sla_error", *[status(503, "Busy")] * 9)
    with pytest.raises(UnavailableError, match=r"503 Busy \(5 attempts\)"):
        client(peer, clock).post(BODY, "k1")
    assert len(peer.posts) == 5
    assert clock.waits == [0.5, 1.0, 2.0, 4.0]


def test_retry_after_is_honoured(peer: Peer, clock: HandClock) -> None:
    peer.fault("/file_sla_error", status(429, Retry_After="30"))
    client(peer, clock).post(BODY, "k1")
    assert clock.waits == [30.5]


def test_retry_after_as_a_date_is_honoured(peer: Peer, clock: HandClock) -> None:
    peer.fault("/auth", status(503, Retry_After="Sun, 01 Mar 2026 12:00:20 GMT"))
    client(peer, clock).post(BODY, "k1")
    assert clock.waits == [20.5]


def test_a_long_retry_after_ends_the_run_and_keeps_the_next_one_silent(peer: Peer, clock: HandClock) -> None:
    peer.fault("/file_sla_error", status(503, Retry_After="600"))
    ours = client(peer, clock)
    with pytest.raises(UnavailableError, match="asks to wait 600 s"):
        ours.post(BODY, "k1")
    clock.advance(599)
    with pytest.raises(UnavailableError, match="not to be called for another 1 s"):
        ours.post(BODY, "k1")
    assert (clock.waits, len(peer.posts)) == ([], 1)
    clock.advance(1)
    ours.post(BODY, "k1")


def test_no_retry_after_silences_the_collector_for_more_than_an_hour(peer: Peer, clock: HandClock) -> None:
    peer.fault("/file_sla_error", status(503, Retry_After="9" * 400))
    ours = client(peer, clock)
    with pytest.raises(UnavailableError, match="asks to wait"):
        ours.post(BODY, "k1")
    clock.advance(3600)
    ours.post(BODY, "k1")


@pytest.mark.parametrize("code", [400, 413, 415, 422])
def test_a_refused_post_is_not_tried_again(peer: Peer, clock: HandClock, code: int) -> None:
    peer.fault("/file_sla_error", status(code, "Bad\n\x1b[31mthing"))
    with pytest.raises(RefusedError) as caught:
        client(peer, clock).post(BODY, "k1")
    assert caught.value.status == code
    assert caught.value.reason == f"{code} Bad  [31mthing"
    assert len(peer.posts) == 1


def test_the_reason_of_a_refusal_names_the_field(peer: Peer, clock: HandClock) -> None:
    problem = {
        "title": "Invalid",
        "detail": "one field is wrong",
        "errors": [{"pointer": "#/sla_error/0/sla"}],
    }
    peer.fault("/file_sla_error", text(422, json.dumps(problem).encode()))
    with pytest.raises(RefusedError, match=r"422 Invalid: one field is wrong: .*#/sla_error/0/sla"):
        client(peer, clock).post(BODY, "k1")


@pytest.mark.parametrize("code", [301, 307, 404, 405])
def test_a_wrong_url_is_said_at_once(peer: Peer, clock: HandClock, code: int) -> None:
    peer.fault("/auth", status(code, Location="http://127.0.0.1:1/"))
    with pytest.raises(UnavailableError, match="is the URL that of the API"):
        client(peer, clock).post(BODY, "k1")
    assert (peer.signed_in, clock.waits) == (1, [])


def test_a_redirect_takes_no_token_elsewhere(peer: Peer, clock: HandClock) -> None:
    with Peer() as elsewhere:
        peer.fault("/file_sla_error", status(308, Location=f"{elsewhere.url}/file_sla_error"))
        with pytest.raises(UnavailableError, match="308"):
            client(peer, clock).post(BODY, "k1")
        assert elsewhere.state.received == []


def test_a_wrong_password_is_asked_about_once(peer: Peer, clock: HandClock) -> None:
    ours = client(peer, clock, wrong)
    with pytest.raises(SignInError, match="was refused: 401 Unauthorized"):
        ours.post(BODY, "k1")
    assert (peer.signed_in, clock.waits) == (1, [])


def test_the_password_is_not_repeated_even_if_the_server_does(peer: Peer, clock: HandClock) -> None:
    with pytest.raises(SignInError) as caught:
        client(peer, clock, wrong).post(BODY, "k1")
    assert "not it" not in str(caught.value)
    assert "not it" not in repr(wrong())


def test_a_refused_password_rests_so_that_the_account_is_not_locked(peer: Peer, clock: HandClock) -> None:
    ours = client(peer, clock, wrong)
    for _ in range(5):
        with pytest.raises(SignInError):
            ours.post(BODY, "k1")
    assert peer.signed_in == 1
    clock.advance(SIGN_IN_PAUSE)
    with pytest.raises(SignInError):
        ours.post(BODY, "k1")
    assert peer.signed_in == 2


def test_a_corrected_password_is_tried_at_once(peer: Peer, clock: HandClock) -> None:
    passwords = iter([wrong(), right()])
    ours = client(peer, clock, lambda: next(passwords))
    with pytest.raises(SignInError):
        ours.post(BODY, "k1")
    assert ours.post(BODY, "k1") == ("id",)


def test_too_many_sign_ins_are_a_sign_in_error_after_waiting_as_asked(peer: Peer, clock: HandClock) -> None:
    peer.fault("/auth", *[status(429, Retry_After="10")] * 2)
    policy = RetryPolicy(attempts=2)
    with pytest.raises(SignInError, match="429"):
        client(peer, clock, policy=policy).post(BODY, "k1")
    assert (peer.signed_in, clock.waits) == (2, [10.5])


def test_a_stop_ends_the_waiting(peer: Peer, clock: HandClock) -> None:
    peer.fault("/auth", status(503))
    clock.stopped = True
    with pytest.raises(UnavailableError, match="stopped before another attempt"):
        client(peer, clock).post(BODY, "k1")
    assert peer.signed_in == 1
