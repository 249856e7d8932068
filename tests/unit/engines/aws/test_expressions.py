"""Conditions as expressions: how they are written, and that on moto they hold as on the embedded engine."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.engines.aws.aws_peer import clients_of, moto_server
from windlass import InvalidItem, between, field
from windlass.engines.aws.attributes import typed_item
from windlass.engines.aws.expressions import Expressions, both, split
from windlass.model.filter import holds
from windlass.ports.table import All, AnyOf, Attributes, Compare, Condition, KeyCondition, Not

Meets = Callable[[Condition, Attributes], bool]
A, B, C = Compare("eq", "a", "x"), Compare("eq", "b", "y"), Compare("eq", "c", "z")


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (A, "#0 = :0"),
        (Compare("eq", "a", 1), "attribute_type(#0, :1) AND #0 = :0"),
        (Compare("ne", "a", "x"), "NOT (#0 = :0)"),
        (Compare("lt", "a", "x"), "attribute_type(#0, :1) AND #0 < :0"),
        (Compare("between", "a", (1, 2)), "attribute_type(#0, :2) AND (#0 BETWEEN :0 AND :1)"),
        (Compare("in", "a", ("x", "y", "x", None)), "#0 IN (:0, :1)"),
        (Compare("begins_with", "a", "x"), "begins_with(#0, :0)"),
        (Compare("contains", "a", "x"), "contains(#0, :0)"),
        (Compare("exists", "a"), "attribute_exists(#0) AND NOT (attribute_type(#0, :0))"),
        (Compare("absent", "a"), "attribute_not_exists(#0) OR attribute_type(#0, :0)"),
        (Compare("exists", "key"), "attribute_exists(#0)"),
        (Compare("absent", "key"), "attribute_not_exists(#0)"),
        (A & B, "#0 = :0 AND #1 = :1"),
        (A & B & C, "(#0 = :0 AND #1 = :1) AND #2 = :2"),
        (A & (B | C), "#0 = :0 AND (#1 = :1 OR #2 = :2)"),
        (~(A | B), "NOT (#0 = :0 OR #1 = :1)"),
        (~A & B, "(NOT (#0 = :0)) AND #1 = :1"),
        (~~A, "#0 = :0"),
        (A & A, "#0 = :0 AND #0 = :0"),
        (All((A,)), "#0 = :0"),
    ],
    ids=str,
)
def test_a_condition_is_written_with_placeholders_and_no_redundant_parentheses(condition: Condition, text: str) -> None:
    assert Expressions({"key"}).condition(condition) == text


@pytest.mark.parametrize(
    "condition",
    [
        Compare("eq", "a", None),
        Compare("lt", "a", True),
        Compare("ge", "a", ["x"]),
        Compare("between", "a", (2, 1)),
        Compare("between", "a", (1, "x")),
        Compare("between", "a", (None, 1)),
        Compare("in", "a", (None,)),
        Compare("begins_with", "a", 1),
    ],
    ids=str,
)
def test_what_dynamodb_refuses_to_compare_holds_of_nothing(condition: Condition) -> None:
    expressions = Expressions()
    assert expressions.condition(condition) == "attribute_exists(#0) AND attribute_not_exists(#0)"
    assert expressions.parameters() == {"ExpressionAttributeNames": {"#0": "a"}}


def test_names_and_values_are_shared_by_the_expressions_of_a_call() -> None:
    expressions = Expressions()
    assert expressions.key_condition("a", "x", "b", between(1, 2)) == "#0 = :0 AND #1 BETWEEN :1 AND :2"
    assert expressions.condition(Compare("contains", "a", "x")) == "contains(#0, :0)"
    assert expressions.update({"c": 1, "d": True}, {"e": 2}, ["f"]) == "SET #2 = :1, #3 = :3 ADD #4 :2 REMOVE #5"
    assert expressions.parameters() == {
        "ExpressionAttributeNames": {"#0": "a", "#1": "b", "#2": "c", "#3": "d", "#4": "e", "#5": "f"},
        "ExpressionAttributeValues": {":0": {"S": "x"}, ":1": {"N": "1"}, ":2": {"N": "2"}, ":3": {"BOOL": True}},
    }
    assert Expressions().parameters() == {}


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (None, "#0 = :0"),
        (KeyCondition("equal", 2), "#0 = :0 AND #1 = :1"),
        (KeyCondition("less", 2), "#0 = :0 AND #1 < :1"),
        (KeyCondition("less_equal", 2), "#0 = :0 AND #1 <= :1"),
        (KeyCondition("greater", 2), "#0 = :0 AND #1 > :1"),
        (KeyCondition("greater_equal", 2), "#0 = :0 AND #1 >= :1"),
        (KeyCondition("begins_with", "x"), "#0 = :0 AND begins_with(#1, :1)"),
    ],
    ids=str,
)
def test_a_condition_on_the_sort_key_is_written_beside_the_partition(condition: KeyCondition | None, text: str) -> None:
    assert Expressions().key_condition("p", 1, "s", condition) == text


@pytest.mark.parametrize("value", [10**40 + 1, 1e300, "\ud800", ["\udfff"]], ids=ascii)
def test_a_value_that_dynamodb_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(InvalidItem):
        Expressions().condition(Compare("eq", "a", value))


def test_a_filter_on_keys_is_left_to_be_tested_here() -> None:
    assert split(None, {"a"}) == (None, None)
    assert split(A, {"a"}) == (None, A)
    assert split(A, {"b"}) == (A, None)
    assert split((A & B) & ~C, {"b"}) == (All((A, ~C)), B)
    assert split(A | B, {"b"}) == (None, A | B)
    assert split(A & (B | C) & ~B, {"b"}) == (A, All((B | C, ~B)))


def test_conditions_that_are_none_say_nothing() -> None:
    assert both(None, None) is None
    assert both(None, A) is A
    assert both(A, None, B) == All((A, B))


# Against moto


@pytest.fixture(scope="module")
def meets() -> Iterator[Meets]:
    """Whether moto finds that a condition holds of an item."""
    with moto_server() as endpoint:
        dynamodb = clients_of(endpoint).client("dynamodb")
        dynamodb.create_table(
            TableName="facts",
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

        def found(condition: Condition, attributes: Attributes) -> bool:
            key = {"S": uuid.uuid4().hex}
            dynamodb.put_item(TableName="facts", Item={"key": key, **typed_item(attributes)})
            expressions = Expressions({"key"})
            answer = dynamodb.query(
                TableName="facts",
                KeyConditionExpression=expressions.key_condition("key", key["S"], None, None),
                FilterExpression=expressions.condition(condition),
                **expressions.parameters(),
            )
            return bool(answer["Items"])

        yield found


# moto tells true from 1 only where it is asked for the type too, which IN and a list's elements are not: so these have
# no number that equals a bool.
PARTS = st.sampled_from(["", "a", "ab", 0, 1, 1.5])
AMONG = st.sampled_from(["", "a", "ab", 1.5, None])
HELD = st.none() | st.booleans() | PARTS | st.lists(PARTS, max_size=2) | st.fixed_dictionaries({"a": PARTS})
VALUES = HELD.filter(lambda value: value is not None)
NAMES = st.sampled_from(["a", "b"])
COMPARISONS = st.one_of(
    st.builds(Compare, st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]), NAMES, VALUES),
    st.builds(Compare, st.just("begins_with"), NAMES, VALUES),
    st.builds(Compare, st.just("contains"), NAMES, PARTS),
    st.builds(Compare, st.just("between"), NAMES, st.tuples(VALUES, VALUES)),
    st.builds(Compare, st.just("in"), NAMES, st.lists(AMONG, min_size=1, max_size=3).map(tuple)),
    st.builds(Compare, st.sampled_from(["exists", "absent"]), NAMES),
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    COMPARISONS,
    lambda parts: st.one_of(
        st.builds(Not, parts),
        st.builds(All, st.tuples(parts, parts)),
        st.builds(AnyOf, st.tuples(parts, parts) | st.tuples(parts, parts, parts)),
    ),
    max_leaves=4,
)


@given(condition=CONDITIONS, attributes=st.fixed_dictionaries({}, optional={"a": HELD, "b": HELD}))
def test_a_condition_holds_as_on_the_embedded_engine(
    meets: Meets, condition: Condition, attributes: Attributes
) -> None:
    assert meets(condition, attributes) == holds(condition, attributes)


@pytest.mark.parametrize("name", ["name", "a.b", "a b", "#0", ":x", "\N{SNOWMAN}", "x" * 200])
def test_a_field_may_have_any_name(meets: Meets, name: str) -> None:
    assert meets(field(name) == 1, {name: 1})
    assert not meets(field(name) == 2, {name: 1})
