"""Answers kept under their idempotency keys, in a table of DynamoDB that all functions of a deployment share.

An item is a key: reserved while its request runs, then with the answer. An answer's body that does not fit into an item
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html) is kept in parts, which are items of
their own. `until` is when the key is free again; `expires` is when DynamoDB may delete the item, which is later, so
that no clock that is a little ahead takes an answer away.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from windlass.dispatch.context import logger
from windlass.engines.aws.attributes import Typed, plain, typed
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.faults import code_of
from windlass.engines.aws.stage import Stage
from windlass.errors import EngineUnavailable
from windlass.ports.api import Response
from windlass.ports.clock import Clock
from windlass.ports.idempotency import Fresh, Running, Seen

__all__ = ["AwsIdempotency"]

# Of the 400 KB of an item; what is left is for the headers, of which API Gateway takes 10 KB.
_PART = 360 * 1024

# Between the end of a key and its deletion.
_GRACE = 3600

_ATTEMPTS = 10
_REFUSED = "ConditionalCheckFailedException"
_NAMES = {"#id": "id", "#until": "until", "#status": "status", "#reservation": "reservation"}


class AwsIdempotency:
    """Implements `ports.idempotency.IdempotencyPort`. `begin` raises EngineUnavailable when DynamoDB does not answer:
    nothing has run yet. `finish` and `abandon` say so in the log only: a caller who got a 503 for what was done would
    come again, and have it done twice."""

    def __init__(self, stage: Stage, clients: Clients, clock: Clock) -> None:
        self._table, self._clients, self._clock = stage.idempotency_table, clients, clock

    def begin(self, scope: str, key: str, fingerprint: bytes, lease: float) -> Fresh | Running | Seen:
        reservation, at = uuid.uuid4().hex, _id(scope, key)
        for _ in range(_ATTEMPTS):
            now = self._clock.now()
            item = {
                "id": typed(at),
                "fingerprint": {"B": fingerprint},
                "reservation": typed(reservation),
                **_times(now + lease),
            }
            held = self._put_unless_held(item, now)
            # A call that is repeated, as its answer was lost, finds what it has written itself.
            if held is None or plain(held["reservation"]) == reservation:
                return Fresh(reservation)
            seconds = plain(held["until"]) - self._clock.now()
            if "status" not in held:
                if seconds > 0:
                    return Running(seconds)
                continue
            return Seen(bytes(held["fingerprint"]["B"]) == fingerprint, self._response(at, held))
        raise EngineUnavailable("an idempotency key is taken and freed again and again; try again")

    def finish(self, scope: str, key: str, fresh: Fresh, response: Response, keep: float) -> None:
        with _told_in_the_log("an answer was not kept, so a request that is repeated runs again"):
            self._finish(_id(scope, key), fresh.reservation, response, keep)

    def _finish(self, at: str, reservation: str, response: Response, keep: float) -> None:
        times = _times(self._clock.now() + keep)
        body, rest = response.body[:_PART], response.body[_PART:]
        parts = [rest[n : n + _PART] for n in range(0, len(rest), _PART)]
        with self._calling() as client:
            for n, part in enumerate(parts):
                item = {"id": typed(_part_id(at, reservation, n)), "body": {"B": part}, **times}
                client.put_item(TableName=self._table, Item=item)
        answer = {
            "status": typed(response.status),
            "headers": {"B": msgspec.json.encode(response.headers)},
            "body": {"B": body},
            "parts": typed(len(parts)),
            **times,
        }
        with self._calling(_REFUSED) as client:
            client.update_item(
                TableName=self._table,
                Key={"id": typed(at)},
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in answer),
                ConditionExpression="attribute_not_exists(#status) AND #reservation = :reservation",
                ExpressionAttributeNames={f"#{name}": name for name in (*answer, "reservation")},
                ExpressionAttributeValues={
                    ":reservation": typed(reservation),
                    **{f":{name}": value for name, value in answer.items()},
                },
            )

    def abandon(self, scope: str, key: str, fresh: Fresh) -> None:
        with (
            _told_in_the_log("the key of a request that failed is taken until its time is over"),
            self._calling(_REFUSED) as client,
        ):
            client.delete_item(
                TableName=self._table,
                Key={"id": typed(_id(scope, key))},
                ConditionExpression="attribute_not_exists(#status) AND #reservation = :reservation",
                ExpressionAttributeNames={name: _NAMES[name] for name in ("#status", "#reservation")},
                ExpressionAttributeValues={":reservation": typed(fresh.reservation)},
            )

    def _put_unless_held(self, item: dict[str, Typed], now: float) -> dict[str, Typed] | None:
        """Stores `item` where its key is free at `now`; otherwise returns what holds it."""
        from botocore.exceptions import ClientError

        with self._calling() as client:
            try:
                client.put_item(
                    TableName=self._table,
                    Item=item,
                    ConditionExpression="attribute_not_exists(#id) OR #until <= :now",
                    ExpressionAttributeNames={name: _NAMES[name] for name in ("#id", "#until")},
                    ExpressionAttributeValues={":now": typed(now)},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if code_of(error) != _REFUSED:
                    raise
                held: dict[str, Typed] = error.response["Item"]
                return held
        return None

    def _response(self, at: str, held: dict[str, Typed]) -> Response:
        """The answer in `held`, with all its parts."""
        body = bytes(held["body"]["B"])
        with self._calling() as client:
            for n in range(plain(held["parts"])):
                key = {"id": typed(_part_id(at, plain(held["reservation"]), n))}
                part = client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
                if part is None:
                    raise EngineUnavailable("an answer that was kept under an idempotency key lost a part")
                body += bytes(part["body"]["B"])
        headers = msgspec.json.decode(held["headers"]["B"], type=list[tuple[str, str]])
        return Response(plain(held["status"]), headers, body)

    @contextmanager
    def _calling(self, *harmless: str) -> Iterator[Any]:
        """DynamoDB's client. What its calls raise, but for the codes in `harmless`, becomes EngineUnavailable: no
        handler's grant is at fault here."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield self._clients.client("dynamodb")
        except ClientError as error:
            if (code := code_of(error)) not in harmless:
                raise EngineUnavailable(f"the table of idempotency keys: AWS answered {code}") from error
        except BotoCoreError as error:
            raise EngineUnavailable(f"the table of idempotency keys: {type(error).__name__}") from error


@contextmanager
def _told_in_the_log(effect: str) -> Iterator[None]:
    try:
        yield
    except EngineUnavailable as error:
        logger.error("%s: %s", effect, error)


def _id(scope: str, key: str) -> str:
    """The partition key: of one length whatever the caller's id is, and without that in it."""
    return hashlib.sha256(f"{len(scope)} {scope} {key}".encode(errors="surrogatepass")).hexdigest()


def _part_id(at: str, reservation: str, part: int) -> str:
    return f"{at}.{reservation}.{part}"


def _times(until: float) -> dict[str, Typed]:
    return {"until": typed(until), "expires": typed(math.ceil(until) + _GRACE)}
