"""Tables on DynamoDB: attributes natively typed under their fields' names, each write one call with its condition.

DynamoDB deletes what has expired only in the course of days
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html), so every read and every condition asks for
the time to live too. What the caller is told of a fault is ours, never what DynamoDB said.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from windlass.engines.aws.attempt import backoff, in_doubt, retries_of, surely_undone
from windlass.engines.aws.attributes import Items, Typed, plain_item, typed_item
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.expressions import Expressions, both, split
from windlass.engines.aws.faults import calling, code_of
from windlass.engines.aws.stage import Stage
from windlass.errors import (
    Conflict,
    EngineUnavailable,
    InvalidItem,
    InvalidState,
    NotFound,
    Problem,
    TransactionConflict,
)
from windlass.model.filter import holds
from windlass.model.item_size import MAX_ITEM
from windlass.model.keys import condition_fields
from windlass.model.resource import Resource
from windlass.model.table import Table
from windlass.ports.clock import Clock
from windlass.ports.table import (
    AnyOf,
    Attributes,
    Check,
    Compare,
    Condition,
    Delete,
    Key,
    Not,
    Put,
    Query,
    Slice,
    Update,
    Write,
)

__all__ = ["AwsTable"]

T = TypeVar("T")

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html and API_BatchWriteItem.html
_MOST_GOT = 100
_MOST_WRITTEN = 25

# How many items a filtered query looks at in one call: more each time that it finds too few.
_LOOKED_AT = 256
_MOST_LOOKED_AT = 4096

_ATTEMPTS = 10

# What passes by itself, and which boto3 does not try again: https://docs.aws.amazon.com/amazondynamodb/latest/
# developerguide/transaction-apis.html#transaction-conflict-handling
_PASSING = "TransactionConflictException"
_PASSING_REASONS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})

_READS = frozenset({"get_item", "batch_get_item", "query", "scan"})
_METHODS = {"Put": "put_item", "Update": "update_item", "Delete": "delete_item"}
_OPERATIONS: dict[type[Write], str] = {Put: "put", Update: "update", Delete: "delete", Check: "check"}


class _Refused(Exception):
    """A condition did not hold: for each write of the call whether it was refused, and the item that was there;
    `repeated` where boto3 had made the call before, so that the item may be the call's own."""

    def __init__(self, refused: Sequence[tuple[bool, Mapping[str, Typed] | None]], *, repeated: bool = False) -> None:
        super().__init__()
        self.refused, self.repeated = refused, repeated


@dataclass(frozen=True, slots=True)
class _Guess:
    """What an update takes for granted of the item, which it makes a condition: that it is `there`, and that of the
    numbers to add to those in `unset` are not. Of an item that has expired, `left` are the attributes."""

    there: bool = True
    unset: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()


class AwsTable:
    """Implements `ports.table.TablePort`. `pause` waits for some seconds, before DynamoDB is asked again. Raises
    DeclarationError as `Items` does."""

    def __init__(
        self,
        model: Table[Any],
        stage: Stage,
        clients: Clients,
        clock: Clock,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._model, self._stage, self._clients, self._clock, self._pause = model, stage, clients, clock, pause
        self._siblings: dict[str, AwsTable] = {model.name: self}
        self._name, self._where = stage.called(model.name), model.where
        self._key, self._sort, self._ttl = model.key, model.sort, model.ttl
        self._own = [name for name in (model.key, model.sort) if name]
        self._items = Items(model, clock)

    # ---- reading

    def get(self, key: Key) -> Attributes | None:
        request = {"TableName": self._name, "Key": self._items.at(key), "ConsistentRead": True}
        return self._items.live(self._call(self._model, "get", "get_item", request).get("Item"))

    def get_many(self, keys: Sequence[Key]) -> list[Attributes | None]:
        found: dict[Key, Mapping[str, Typed]] = {}
        for part in _parts(list(dict.fromkeys(keys)), _MOST_GOT):
            pending: dict[str, Any] = {
                self._name: {"Keys": [self._items.at(key) for key in part], "ConsistentRead": True},
            }
            for answer in self._until_done("get_many", "batch_get_item", pending, "UnprocessedKeys"):
                for item in answer["Responses"].get(self._name, ()):
                    found[self._items.key_of(item)] = item
        return [self._items.live(found.get(key)) for key in keys]

    def query(self, query: Query) -> Slice:
        index = self._model.indexes[query.index] if query.index else None
        partition, sort = (index.index.key, index.index.sort) if index else (self._key, self._sort)
        names = [name for name in (sort, *self._own) if name] if index else self._own
        if query.start is not None and index is None and sort is None:
            return Slice([], None, False)  # one item at most has this key, and it was seen
        condition = query.sort
        if condition is not None and condition.op == "between" and _reversed(condition.low, condition.high):
            return Slice([], None, False)  # DynamoDB refuses ends that are the wrong way round
        start = None
        if query.start is not None:
            start = {partition: query.partition, **{name: query.start[name] for name in names}}
        # It takes no filter on keys; an index's own are those of the table too, for all that is documented.
        there, here = split(both(self._alive(), query.where), {*self._own, partition, sort or partition})
        expressions = Expressions(self._own)
        request = {
            "KeyConditionExpression": expressions.key_condition(partition, query.partition, sort, condition),
            "ScanIndexForward": not query.descending,
            **({"IndexName": index.name} if index else {"ConsistentRead": True}),
        }
        filtered = query.where is not None
        ask = _Ask(index or self._model, "query", request, expressions, names, there, here, filtered)
        return self._slice(ask, query.limit, start, query.fields)

    def scan(
        self, *, where: Condition | None, limit: int, start: Attributes | None, fields: tuple[str, ...] | None
    ) -> Slice:
        request = {"ConsistentRead": True}
        there = both(self._alive(), where)
        ask = _Ask(self._model, "scan", request, Expressions(self._own), self._own, there, None, where is not None)
        return self._slice(ask, limit, {name: start[name] for name in self._own} if start else None, fields)

    def _slice(self, ask: _Ask, limit: int, start: Attributes | None, fields: tuple[str, ...] | None) -> Slice:
        request = {"TableName": self._name, **ask.request}
        if ask.there is not None:
            request["FilterExpression"] = ask.expressions.condition(ask.there)
        if fields is not None:
            read = {*fields, *ask.names, *(condition_fields(ask.here) if ask.here is not None else ())}
            request["ProjectionExpression"] = ", ".join(ask.expressions.name(name) for name in sorted(read))
        request |= ask.expressions.parameters()
        if start is not None:
            request["ExclusiveStartKey"] = typed_item(start)
        found: list[Attributes] = []
        looked_at = max(limit + 1, _LOOKED_AT) if ask.filtered else limit + 1
        while True:
            answer = self._call(ask.resource, ask.operation, ask.operation, {**request, "Limit": looked_at})
            for item in map(self._items.read, answer["Items"]):
                if ask.here is None or holds(ask.here, item):
                    found.append(item)
            if len(found) > limit or not answer.get("LastEvaluatedKey"):
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            whole = ask.there is None and ask.here is None
            looked_at = limit + 1 - len(found) if whole else min(2 * looked_at, _MOST_LOOKED_AT)
        items, positions = found[:limit], None
        if items:
            first, last = ({name: item[name] for name in ask.names} for item in (items[0], items[-1]))
            positions = (first, last)
        if fields is not None:
            items = [{name: item[name] for name in fields if name in item} for item in items]
        return Slice(items, positions, len(found) > limit)

    # ---- writing

    def write(self, write: Put | Update | Delete) -> Attributes | None:
        operation, guess = _OPERATIONS[type(write)], _Guess()
        for _ in range(_ATTEMPTS):
            kind, request = self._request(write, guess)
            if not isinstance(write, Put):
                request["ReturnValues"] = "ALL_NEW" if isinstance(write, Update) else "ALL_OLD"
            try:
                answer = self._call(self._model, operation, _METHODS[kind], request, once=_only_once(write))
            except _Refused as refused:
                held_now = refused.refused[0][1]
                if isinstance(write, Put) and refused.repeated and self._holds(held_now, write):
                    return write.attributes
                judged = self._judged(write, guess, held_now)
                if isinstance(judged, Problem):
                    raise judged from None
                guess = judged
                continue
            if isinstance(write, Put):
                return write.attributes
            held = answer.get("Attributes")
            return self._items.read(held) if held and isinstance(write, Update) else self._items.live(held)
        raise self._changing()

    def write_many(self, writes: Sequence[Put | Delete]) -> None:
        requests: dict[Key, dict[str, Any]] = {}
        for write in writes:
            if isinstance(write, Put):
                requests[write.key] = {"PutRequest": {"Item": self._items.item(write.attributes)}}
            else:
                requests[write.key] = {"DeleteRequest": {"Key": self._items.at(write.key)}}
        operation = "put_many" if any(isinstance(write, Put) for write in writes) else "delete_many"
        for part in _parts(list(requests.values()), _MOST_WRITTEN):
            for _ in self._until_done(operation, "batch_write_item", {self._name: part}, "UnprocessedItems"):
                continue

    def transact(self, writes: Sequence[tuple[str, Write]]) -> None:
        parts = [(self._sibling(name), write) for name, write in writes]
        guesses = [_Guess()] * len(parts)
        operation = _OPERATIONS[type(parts[0][1])]
        for _ in range(_ATTEMPTS):
            made = [table._request(write, guess) for (table, write), guess in zip(parts, guesses, strict=True)]
            request = {"TransactItems": [{kind: part} for kind, part in made], "ClientRequestToken": uuid.uuid4().hex}
            try:
                self._call(parts[0][0]._model, operation, "transact_write_items", request)
                return
            except _Refused as error:
                refused = error.refused
            reasons: list[str | None] = [None] * len(parts)
            for n, ((table, write), (is_refused, held)) in enumerate(zip(parts, refused, strict=True)):
                if is_refused:
                    judged = table._judged(write, guesses[n], held)
                    if isinstance(judged, InvalidItem):
                        raise judged
                    if isinstance(judged, Problem):
                        reasons[n] = judged.detail
                    else:
                        guesses[n] = judged
            if any(reasons):
                told = "; ".join(f"write {n + 1}: {reason}" for n, reason in enumerate(reasons) if reason)
                raise TransactionConflict(f"the transaction was refused: {told}", reasons)
        raise self._changing()

    def _sibling(self, name: str) -> AwsTable:
        if name not in self._siblings:
            model = self._model.system.resources[name]
            assert isinstance(model, Table)
            self._siblings[name] = AwsTable(model, self._stage, self._clients, self._clock, self._pause)
        return self._siblings[name]

    # ---- what a write asks DynamoDB for, and what its refusal means

    def _request(self, write: Write, guess: _Guess) -> tuple[str, dict[str, Any]]:
        expressions = Expressions(self._own)
        request: dict[str, Any] = {"TableName": self._name}
        condition: Condition | None
        if isinstance(write, Put):
            kind, condition = "Put", self._unless_expired(write.when)
            request["Item"] = self._items.item(write.attributes)
            if condition is not None:
                request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        else:
            request["Key"] = self._items.at(write.key)
            condition = self._unless_expired(write.when)
            kind = "Delete" if isinstance(write, Delete) else "ConditionCheck"
        if isinstance(write, Update):
            kind = "Update"
            if guess.there:
                condition, request["UpdateExpression"] = self._change(write, guess, expressions)
            else:
                condition, request["UpdateExpression"] = self._start(write, guess, expressions)
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if condition is not None:
            request["ConditionExpression"] = expressions.condition(condition)
        return kind, request | expressions.parameters()

    def _change(self, update: Update, guess: _Guess, expressions: Expressions) -> tuple[Condition | None, str]:
        """The condition and the expression of an update of an item that is there."""
        self._items.check({**update.set, **update.add})
        # ADD counts from 0 where there is no attribute, but fails on a null.
        nulls = self._items.nulls(update.add)
        numbers: list[Condition] = [Compare("absent" if name in guess.unset else "exists", name) for name in nulls]
        numbers += [Not(too_far) for name, step in update.add.items() for too_far in self._items.too_far(name, step)]
        stored = self._items.stored({**update.set, **{name: update.add[name] for name in guess.unset}})
        add = {name: step for name, step in update.add.items() if name not in guess.unset}
        remove = [*update.remove, *(name for name in update.set if name not in stored)]
        condition = both(Compare("exists", self._key), self._alive(), update.when, *numbers)
        return condition, expressions.update(stored, add, remove)

    def _start(self, update: Update, guess: _Guess, expressions: Expressions) -> tuple[Condition | None, str]:
        """The condition and the expression of an update that starts an item from its default. It is an update too,
        since that is what its grant allows; of an expired item it removes what is left."""
        changed = _changed(update, update.default or {})
        self._items.check(changed)
        stored = {name: value for name, value in self._items.stored(changed).items() if name not in self._own}
        gone = {*update.set, *update.add, *update.remove}
        if self._ttl:
            gone |= {*self._model.shape.fields, *guess.left}
        remove = sorted(gone.difference(stored, self._own))
        return self._unless_expired(Compare("absent", self._key)), expressions.update(stored, {}, remove)

    def _judged(self, write: Write, guess: _Guess, item: Mapping[str, Typed] | None) -> _Guess | Problem:
        """Why a write was refused when `item` was there, or what an update is to be tried with instead."""
        if not isinstance(write, Update):
            if write.when is self._model.absent:
                return Conflict(f"{self._model.name} has an item with this key already")
            return self._refusal()
        held = self._items.live(item)
        if held is None:
            if write.default is None:
                return NotFound(f"{self._model.name} has no item with this key")
            if write.when is not None and not holds(write.when, {}):
                return self._refusal()
            return _Guess(there=False, left=frozenset(item or ()))
        if write.when is not None and not holds(write.when, held):
            return self._refusal()
        for name, step in write.add.items():
            if any(holds(too_far, held) for too_far in self._items.too_far(name, step)):
                return InvalidItem(f"{name} of {self._where} must be an integer of 64 bits", field=name)
        found = _Guess(unset=frozenset(name for name in self._items.nulls(write.add) if held.get(name) is None))
        if found == guess and write.when is not None:
            return self._refusal()
        return found

    def _holds(self, item: Mapping[str, Typed] | None, put: Put) -> bool:
        """Whether `item` is just what was to be put."""
        return item is not None and plain_item(item) == self._items.stored(put.attributes)

    def _refusal(self) -> Conflict:
        return Conflict(f"the condition on the item of {self._model.name} does not hold")

    def _changing(self) -> EngineUnavailable:
        return EngineUnavailable(f"{self._where}: an item is changed by others again and again; try again")

    def _alive(self) -> Condition | None:
        return None if self._ttl is None else Not(self._past(self._ttl))

    def _past(self, ttl: str) -> Compare:
        return Compare("le", ttl, math.floor(self._clock.now()))

    def _unless_expired(self, when: Condition | None) -> Condition | None:
        """`when`, tested against nothing where the item has expired."""
        if when is None or self._ttl is None:
            return when
        return AnyOf((self._past(self._ttl), when)) if holds(when, {}) else both(self._alive(), when)

    # ---- calls

    def _until_done(
        self, operation: str, method: str, pending: Mapping[str, Any], left: str
    ) -> Iterator[Mapping[str, Any]]:
        """The answers to a batch and to what each answer `left` undone, for which DynamoDB wants to be given time:
        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html#Programming.Errors.BatchOperations
        """
        for attempt in range(_ATTEMPTS):
            answer = self._call(self._model, operation, method, {"RequestItems": pending})
            yield answer
            pending = answer.get(left) or {}
            if not pending:
                return
            self._pause(backoff(attempt))
        raise EngineUnavailable(f"{self._where}.{operation}: DynamoDB left a part of a batch undone, {_ATTEMPTS} times")

    def _call(
        self, resource: Resource, operation: str, method: str, request: Mapping[str, Any], *, once: bool = False
    ) -> Mapping[str, Any]:
        """One call of DynamoDB, again when it met a transaction; with `once`, never when it may have been done. Raises
        _Refused when a condition did not hold, and what `calling` does."""
        with calling(resource, operation):
            from botocore.exceptions import BotoCoreError, ClientError

            send = getattr(self._clients.client("dynamodb", once=once), method)
            attempt = 0
            while True:
                try:
                    answer: Mapping[str, Any] = send(**request)
                    return answer
                except (ClientError, BotoCoreError) as error:
                    passes = isinstance(error, ClientError) and self._passes(error, method)
                    if not passes and not (once and surely_undone(error)):
                        if once and in_doubt(error):
                            raise EngineUnavailable(
                                f"{resource.where}.{operation}: DynamoDB did not say whether it was done: "
                                f"{code_of(error) or type(error).__name__}"
                            ) from error
                        raise
                    attempt += 1
                    if attempt == _ATTEMPTS:
                        raise
                self._pause(backoff(attempt))

    def _passes(self, error: Exception, method: str) -> bool:
        """Whether a call may be repeated. Raises what a refusal means that no repetition would change."""
        code, response = code_of(error), getattr(error, "response", {})
        if code == "ConditionalCheckFailedException":
            raise _Refused([(True, response.get("Item"))], repeated=retries_of(error) > 0) from None
        if code == "ValidationException":
            raise self._invalid(str(error), method) from error
        if code != "TransactionCanceledException":
            return code == _PASSING
        reasons = [(reason.get("Code") or "None", reason) for reason in response.get("CancellationReasons", ())]
        codes = {code for code, _ in reasons}
        if "ConditionalCheckFailed" in codes:
            told = [(code == "ConditionalCheckFailed", reason.get("Item")) for code, reason in reasons]
            raise _Refused(told) from None
        if "ValidationError" in codes:
            raise self._invalid(" ".join(str(reason.get("Message")) for _, reason in reasons), method) from error
        return bool(codes & _PASSING_REASONS)

    def _invalid(self, said: str, method: str) -> Exception:
        """What DynamoDB found invalid."""
        said = said.lower()
        if "expression" in said and ("size" in said or "operators" in said):
            return InvalidItem(f"a condition or an update of {self._where} is too large for DynamoDB")
        if "item size" in said:
            return InvalidItem(f"an item of {self._where} has more than {MAX_ITEM:,} bytes (400 KB)")
        if "size" in said and method == "transact_write_items":
            return InvalidItem(f"a transaction with {self._where} has more than 4 MB")
        if "magnitude" in said or "significant digits" in said or "number overflow" in said:
            return InvalidItem(f"an item of {self._where} has a number that is too large or has too many digits")
        if "nesting" in said:
            return InvalidItem(f"an item of {self._where} is nested more deeply than DynamoDB's 32 levels")
        if any(part in said for part in ("schema", "type mismatch", "specified index", "invalid index")):
            return InvalidState(
                f"{self._where} is deployed with other keys or indexes than it declares\n  fix: deploy it again"
            )
        if method in _READS:
            return EngineUnavailable(f"{self._where}: DynamoDB refused to read as it was asked to")
        return InvalidItem(f"DynamoDB cannot hold this item of {self._where}")


@dataclass(slots=True)
class _Ask:
    """What a query or a scan asks for: `there` is DynamoDB's filter, `here` is ours; `names` are the position's."""

    resource: Resource
    operation: str
    request: Mapping[str, Any]
    expressions: Expressions
    names: Sequence[str]
    there: Condition | None
    here: Condition | None
    filtered: bool


def _changed(update: Update, held: Attributes) -> Attributes:
    changed = {**held, **update.set}
    for name, step in update.add.items():
        changed[name] = (changed.get(name) or 0) + step
    for name in update.remove:
        changed.pop(name, None)
    return changed


def _only_once(write: Write) -> bool:
    """Whether a write that was done must not be done again: a sum would grow twice, and what a condition asked for may
    not hold any more. A put is told from another's by what it has put."""
    if isinstance(write, Update):
        return bool(write.add) or write.when is not None
    return isinstance(write, Delete) and write.when is not None


def _reversed(low: Any, high: Any) -> bool:
    return bool(low > high)


def _parts(values: Sequence[T], size: int) -> Iterator[list[T]]:
    for n in range(0, len(values), size):
        yield list(values[n : n + size])
