"""What a flow costs: each service by hand, and presenter beside the design that it takes up."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.synth.recordings import call, recorded, recording, shop
from tests.unit.synth.seed_design import DEPLOYED, recording_beside, seed
from windlass import System
from windlass.graph.load import load
from windlass.synth.cost import Bill, bill
from windlass.synth.flow import Deployment, flow
from windlass.synth.price import price_table
from windlass.synth.recording import Call, Recorded, Recording, path_of, read
from windlass.synth.units import read_units, sqs_requests, write_units

TABLE = price_table()
MONTH = 730 * 3600
PRESENTER = Path(__file__).parents[3] / "systems" / "presenter"
UNBATCHED = Deployment(rest_api=True, batches=False)


def of(
    recorded: Recording, requests: float = 3600, deployment: Deployment | None = None, *, users: int = 0, keys: int = 0
) -> Bill:
    """A month of `shop`, all of whose requests are posts."""
    made = flow(shop(), recorded, requests, TABLE.assumptions, deployment, {"place": 1})
    return bill(made, TABLE, users=users, keys=keys)


def quantity(made: Bill, service: str, what: str) -> float:
    (line,) = (line for line in made.lines if (line.service, line.what) == (service, what))
    return line.quantity


# ---- each service


def test_requests_to_an_api_are_counted_by_512_kb_and_a_rest_api_costs_more() -> None:
    made = of(recording(place=recorded(answer_bytes=600 * 1024)))
    assert quantity(made, "API Gateway", "POST /orders") == pytest.approx(2 * MONTH)
    assert made.services["API Gateway"] == pytest.approx(2 * MONTH / 1e6 * 1.00)
    rest = of(recording(place=recorded(answer_bytes=600 * 1024)), deployment=Deployment(rest_api=True))
    assert rest.services["API Gateway"] == pytest.approx(MONTH / 1e6 * 3.50)
    assert made.services["data transfer"] == pytest.approx(600 * 1024 * MONTH / 1024**3 * 0.09)


def test_run_time_is_paid_by_the_millisecond_begun() -> None:
    made = of(recording(place=recorded(own_ms=1.2)), deployment=Deployment(memory=2048))
    assert quantity(made, "Lambda", "place: invocations") == pytest.approx(MONTH)
    assert quantity(made, "Lambda", "place: run time") == pytest.approx(MONTH * 0.002 * 2)


def test_a_queue_is_paid_for_what_is_sent_polled_and_deleted() -> None:
    made = of(recording(place=recorded(call("sqs", "SendMessage", "jobs", items=1, bytes=100_000))))
    assert quantity(made, "SQS", "jobs: sent") == pytest.approx(2 * MONTH)
    assert quantity(made, "SQS", "jobs: deleted") <= MONTH
    assert quantity(made, "SQS", "jobs: polled") >= 2 * MONTH


@pytest.mark.parametrize(
    ("made", "units"),
    [
        pytest.param(call("dynamodb", "PutItem", items=1, bytes=1024), 1, id="one_kb"),
        pytest.param(call("dynamodb", "PutItem", items=1, bytes=1025), 2, id="more"),
        pytest.param(call("dynamodb", "BatchWriteItem", items=25, bytes=25 * 100), 25, id="each_by_itself"),
        pytest.param(call("dynamodb", "TransactWriteItems", items=2, bytes=2 * 1500), 8, id="transactions_double"),
        pytest.param(call("dynamodb", "UpdateItem"), 1, id="nothing"),
    ],
)
def test_writes_are_counted_as_dynamodb_counts_them(made: Call, units: float) -> None:
    assert write_units(made, None) == units
    orders = shop().resources["orders"]
    assert write_units(made, orders) == (units if not made.items else 2 * units)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "units"),
    [
        pytest.param(call("dynamodb", "GetItem", items=1, bytes=4097, consistent=True), 2, id="consistent"),
        pytest.param(call("dynamodb", "GetItem", items=1, bytes=4096), 0.5, id="eventually"),
        pytest.param(call("dynamodb", "GetItem"), 0.5, id="nothing_there"),
        pytest.param(call("dynamodb", "BatchGetItem", items=3, bytes=300, consistent=True), 3, id="each_by_itself"),
        pytest.param(call("dynamodb", "Query", items=50, bytes=5000, consistent=True), 2, id="a_page_together"),
        pytest.param(call("dynamodb", "Query"), 0.5, id="empty_page"),
        pytest.param(call("dynamodb", "TransactGetItems", items=2, bytes=200), 4, id="transactions_double"),
        pytest.param(call("dynamodb", "GetItem", count=0), 0, id="none"),
    ],
)
def test_reads_are_counted_as_dynamodb_counts_them(made: Call, units: float) -> None:
    assert read_units(made) == units


def test_a_payload_is_counted_by_64_kb() -> None:
    assert [sqs_requests(2, size) for size in (0, 1, 65_536, 65_537)] == [2, 2, 2, 4]


def test_indexes_are_written_too() -> None:
    made = of(recording(place=recorded(call("dynamodb", "PutItem", "orders", items=1, bytes=100))))
    assert made.services["DynamoDB"] == pytest.approx(2 * MONTH / 1e6 * 0.625)


def test_secrets_mails_users_keys_and_firings_are_paid() -> None:
    tidy = recorded(call("secretsmanager", "GetSecretValue", "key"), call("sesv2", "SendEmail", "mails", items=2))
    made = of(recording(tidy=tidy), users=1000, keys=2)
    assert made.services["Secrets Manager"] == pytest.approx(0.40 + 730 / 10_000 * 0.05)
    assert made.services["KMS"] == pytest.approx(2 + 730 / 10_000 * 0.03)
    assert made.services["SES"] == pytest.approx(2 * 730 / 1000 * 0.10)
    assert made.services["EventBridge Scheduler"] == pytest.approx(730 / 1e6)
    assert "Cognito" not in made.services, "it has no user pool"


def test_users_of_a_pool_are_paid() -> None:
    system = System("pooled")
    system.user_pool("users", sign_in="email")
    nothing = Recording(system="pooled", made_on="", handlers={})
    assert bill(flow(system, nothing, 0, TABLE.assumptions), TABLE, users=200).services["Cognito"] == pytest.approx(3)


def test_a_metric_is_paid_for_the_hours_in_which_it_is_written_once_for_all_who_write_it() -> None:
    both = Recorded(samples=recorded().samples, metrics=["errors", "orders"])
    made = of(recording(place=both, pack=both), requests=0.5)
    # What was posted is delivered too: twice the rate.
    assert quantity(made, "CloudWatch", "metrics") == pytest.approx(2 * (1 - math.exp(-0.5)))
    assert quantity(of(recording(place=both, pack=both)), "CloudWatch", "metrics") == pytest.approx(2)


def test_logs_and_traces_are_paid() -> None:
    made = of(recording(place=recorded(log_bytes=600)), requests=7200)
    written = MONTH * 2 * (600 + 400) + 730 * 400  # pack gets nothing, tidy runs every hour
    assert quantity(made, "CloudWatch", "logs") == pytest.approx(written / 1024**3)
    # Those of the route and of the schedule: what is consumed is part of its sender's.
    assert quantity(made, "X-Ray", "traces") == pytest.approx(MONTH * (1 + 0.05) + 730)
    whole = of(recording(place=recorded()), 7200, Deployment(tracing="requests"))
    assert quantity(whole, "X-Ray", "traces") == pytest.approx(MONTH * (1 + 0.05))
    assert "X-Ray" not in of(recording(), deployment=Deployment(tracing="none")).services


def test_an_alarm_about_a_share_of_requests_is_paid_for_two_metrics() -> None:
    system = System("alarmed")
    system.alarms(defaults=False)
    api = system.api("api")
    system.alarm("share", of=api, metric="errors", statistic="average", above=0.05)
    system.alarm("number", of=api, metric="errors", above=5)
    nothing = Recording(system="alarmed", made_on="", handlers={})
    assert quantity(bill(flow(system, nothing, 0, TABLE.assumptions), TABLE), "CloudWatch", "alarms") == 3


def test_tiers_are_those_of_all_that_is_used_of_a_price() -> None:
    price = TABLE.prices["http_api_request"]
    assert price.of(300e6) == pytest.approx(300)
    assert price.of(400e6) == pytest.approx(390)
    requests = 400e6 / 730
    made = flow(shop(), recording(place=recorded()), requests, TABLE.assumptions)
    assert bill(made, TABLE).services["API Gateway"] == pytest.approx(390)


def test_the_lines_are_the_whole_of_the_bill() -> None:
    made = of(recording())
    assert (
        sum(made.services.values()) == pytest.approx(made.dollars) == pytest.approx(sum(x.dollars for x in made.lines))
    )


# ---- presenter, and the design that it takes up


@pytest.fixture(scope="module")
def presenter() -> System:
    return load(PRESENTER)


@pytest.fixture(scope="module")
def calls(presenter: System) -> Recording:
    return read(path_of(PRESENTER), presenter)


RATES = st.floats(1, 1_000_000)


@given(requests=RATES, scale=st.sampled_from([0.001, 1.0, 1000.0]))
def test_presenter_costs_less_than_with_a_rest_api_and_one_message_an_invocation(
    presenter: System, calls: Recording, requests: float, scale: float
) -> None:
    def paid(deployment: Deployment | None = None) -> float:
        return bill(flow(presenter, calls, requests * scale, TABLE.assumptions, deployment), TABLE).dollars

    assert paid() < paid(UNBATCHED)


@given(requests=RATES, scale=st.sampled_from([0.001, 1.0, 1000.0]))
def test_presenter_costs_less_than_the_design_that_it_takes_up_at_every_size(
    presenter: System, calls: Recording, requests: float, scale: float
) -> None:
    """All of it: what runs, and what watches it."""
    ours = bill(flow(presenter, calls, requests * scale, TABLE.assumptions), TABLE)
    theirs = bill(flow(seed, recording_beside(calls), requests * scale, TABLE.assumptions, DEPLOYED), TABLE)
    assert ours.dollars < theirs.dollars


def test_no_size_between_comes_near_the_design_that_it_takes_up(presenter: System, calls: Recording) -> None:
    beside = recording_beside(calls)
    for step in range(-60, 181):  # a thousandth of a request to a thousand million, in steps of an eighth
        requests = 10 ** (step / 20)
        ours = bill(flow(presenter, calls, requests, TABLE.assumptions), TABLE).dollars
        theirs = bill(flow(seed, beside, requests, TABLE.assumptions, DEPLOYED), TABLE).dollars
        assert ours < 0.95 * theirs, f"at {requests:,.3f} requests an hour"


def test_the_more_requests_the_higher_the_bill(presenter: System, calls: Recording) -> None:
    sizes = [10.0**power for power in range(-3, 10)]
    paid = [bill(flow(presenter, calls, size, TABLE.assumptions), TABLE).dollars for size in sizes]
    assert paid == sorted(paid)


# ---- the table


def test_every_number_of_the_table_names_its_page() -> None:
    assumed = TABLE.assumptions
    pages = [price.source for price in TABLE.prices.values()] + [limit.source for limit in TABLE.limits.values()]
    pages += [getattr(assumed, name).source for name in assumed.__struct_fields__]
    assert [
        page for page in pages if not page.startswith(("https://aws.amazon.com/", "https://docs.aws.amazon.com/"))
    ] == []
    assert all(price.tiers[-1].up_to is None for price in TABLE.prices.values())
    assert all(limit.most > 0 and limit.unit for limit in TABLE.limits.values())
    assert "as known on" in TABLE.note
    assert TABLE.hours_a_month == pytest.approx(timedelta(days=365.25 / 12) / timedelta(hours=1), rel=0.001)
