"""The table of actions: every operation that can be granted is in it, and no ARN lets in more than what it names."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import windlass
from windlass import Index, System
from windlass.engines.aws.actions import (
    ACTIONS,
    IDEMPOTENCY,
    NEEDS_NONE,
    RECEIVE,
    idempotency_permission,
    permission,
    receive_permission,
)
from windlass.engines.aws.stage import Stage
from windlass.errors import EngineUnavailable
from windlass.model.resource import Resource, operations_of

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True)
STAGE = Stage("shop", "dev", "eu-west-1", "123456789012")


@dataclass
class Order:
    id: str
    day: str = ""


def test_every_operation_that_can_be_granted_has_its_actions_and_no_other_is_there() -> None:
    for name in windlass.__all__:  # a noun is imported when it is asked for
        getattr(windlass, name)
    granted = {(kind.noun, name) for kind in Resource.__subclasses__() for name in operations_of(kind)}
    assert set(ACTIONS) == granted


def test_a_noun_whose_operations_need_nothing_says_why() -> None:
    assert {noun for (noun, _), actions in ACTIONS.items() if not actions} == set(NEEDS_NONE)


def test_every_action_is_written_as_iam_has_it_and_without_wildcards() -> None:
    every = [action for actions in ACTIONS.values() for action in actions] + [*RECEIVE, *IDEMPOTENCY]
    assert [action for action in every if not re.fullmatch(r"[a-z]+:[A-Z][A-Za-z]+", action)] == []
    assert list(RECEIVE) == sorted(RECEIVE)
    assert list(IDEMPOTENCY) == sorted(IDEMPOTENCY)


def test_an_operation_is_allowed_on_the_arn_of_its_resource() -> None:
    shop = System("shop")
    orders = shop.table("orders", Order, key="id", indexes={"by_day": Index("day")})
    placed = shop.queue("placed", Order)
    ordered = shop.queue("ordered", Order, fifo=True)
    key = shop.secret("bank_key")
    post = shop.mailer("post", sender="The Shop <shop@mail.example.com>")
    users = shop.user_pool("users")
    found = {
        f"{owner.address}.{operation}": permission(owner, operation, STAGE)
        for owner, operation in (
            (orders, "put"),
            (orders.index("by_day"), "query"),
            (placed, "send_many"),
            (ordered, "send"),
            (key, "read"),
            (post, "send"),
        )
    }
    assert {name: (one.name, one.arn.removeprefix("arn:aws:")) for name, one in found.items() if one} == {
        "orders.put": ("TableOrders", "dynamodb:eu-west-1:123456789012:table/shop-dev-orders"),
        "orders/by_day.query": (
            "IndexOrdersByDay",
            "dynamodb:eu-west-1:123456789012:table/shop-dev-orders/index/by_day",
        ),
        "placed.send_many": ("QueuePlaced", "sqs:eu-west-1:123456789012:shop-dev-placed"),
        "ordered.send": ("QueueOrdered", "sqs:eu-west-1:123456789012:shop-dev-ordered.fifo"),
        "bank_key.read": ("SecretBankKey", "secretsmanager:eu-west-1:123456789012:secret:shop/dev/bank_key-??????"),
        "post.send": ("MailerPost", "ses:eu-west-1:123456789012:identity/mail.example.com"),
    }
    assert [name for name, one in found.items() if one and one.condition] == ["post.send"]
    assert permission(users, "sign_in", STAGE) is None


def test_what_is_no_operation_of_the_noun_is_refused() -> None:
    shop = System("shop")
    users = shop.user_pool("users")
    with pytest.raises(EngineUnavailable, match=r"the AWS engine has no user_pool\.create_user, as shop\.users"):
        permission(users, "create_user", STAGE)


def test_a_mailer_may_send_from_its_own_address_only_and_that_is_no_variable_of_a_policy() -> None:
    shop = System("shop")
    for name, sender, said in (
        ("plain", "Ann <ann@example.com>", "ann@example.com"),
        ("odd", "${aws}@example.com", "${$}{aws}@example.com"),
    ):
        needed = permission(shop.mailer(name, sender=sender), "send", STAGE)
        assert needed is not None
        assert needed.condition == {"StringEquals": {"ses:FromAddress": said}}


def test_a_consumer_receives_from_its_queue_and_a_route_keeps_answers() -> None:
    shop = System("shop")
    received = receive_permission(shop.queue("placed", Order, fifo=True), STAGE)
    assert (received.name, received.arn) == ("ReceivePlaced", "arn:aws:sqs:eu-west-1:123456789012:shop-dev-placed.fifo")
    kept = idempotency_permission(STAGE)
    assert kept.arn == "arn:aws:dynamodb:eu-west-1:123456789012:table/shop-dev-idempotency-keys"


@given(one=NAMES, other=NAMES, suffix=st.text("abcdefABCDEF0123456789", min_size=6, max_size=6))
def test_the_pattern_of_a_secret_fits_that_secret_and_no_other(one: str, other: str, suffix: str) -> None:
    shop = System("shop")
    needed = permission(shop.secret(one), "read", STAGE)
    assert needed is not None
    made = f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{STAGE.secret(other)}-{suffix}"
    assert fnmatchcase(made, needed.arn) == (one == other)


@given(table=NAMES, other=NAMES, index=NAMES)
def test_resources_of_different_names_never_share_an_arn(table: str, other: str, index: str) -> None:
    shop = System("shop")
    first = shop.table(table, Order, key="id", indexes={index: Index("day")})
    needed = [permission(first, "get", STAGE), permission(first.index(index), "query", STAGE)]
    if table != other:
        second = shop.table(other, Order, key="id", indexes={index: Index("day")})
        needed += [permission(second, "get", STAGE), permission(second.index(index), "query", STAGE)]
    arns = [one.arn for one in needed if one is not None]
    assert len({*arns}) == len(needed)
    assert not any("*" in arn or "?" in arn for arn in arns)


def test_the_page_about_permissions_shows_the_table_as_it_is() -> None:
    page = (Path(__file__).parents[4] / "docs" / "iam.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)\.([a-z_]+)` \| (.*) \|$", page, re.MULTILINE)
    assert {(noun, name): tuple(re.findall(r"`([^`]+)`", actions)) for noun, name, actions in rows} == ACTIONS
    for actions in (RECEIVE, IDEMPOTENCY):
        assert any(set(actions) <= set(re.findall(r"`([^`]+)`", row)) for row in page.splitlines())
