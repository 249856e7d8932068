"""Declaring an alarm."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from windlass.errors import DeclarationError
from windlass.model.alarm_metric import METRICS
from windlass.model.system import System


@dataclass
class Job:
    id: str


def shop() -> System:
    system = System("shop")
    system.api("api")
    system.queue("jobs", Job)
    system.site("pages", folder="pages")

    @system.schedule("nightly", every=timedelta(minutes=5)).task()
    def close_the_day() -> None: ...

    return system


def declare(of: str | None = "api", **settings: Any) -> Any:
    system = shop()
    resource = None if of is None else system.resources[of]
    given: dict[str, Any] = {"metric": "errors", "above": 1} | settings
    return system.alarm("watched", of=resource, **given)


@pytest.mark.parametrize(
    ("settings", "fault", "fix"),
    [
        ({"metric": "error"}, "an api has no metric 'error'", "did you mean 'errors'?"),
        ({"metric": "depth"}, "an api has no metric 'depth'", "an api has requests, errors, client_errors, throttles,"),
        ({"of": "jobs", "metric": "deaths"}, "a queue has no metric 'deaths'", "in_flight, dead, age, sent, handled,"),
        ({"metric": None}, "an api has no metric None", "latency; one of your own goes with of=None"),
        ({"of": "pages"}, "of is the site pages, of which nothing is measured", "api, handler, mailer, queue"),
        ({"of": None, "metric": "errors"}, "no metric of the system's own", "of=..., an api or a table or"),
        ({"of": None, "metric": "Worth", "statistic": "sum"}, "no metric of the system's own", "windlass.metric"),
        ({"of": None, "metric": "worth"}, "nobody knows what the values of worth are", 'statistic="sum"'),
        ({"statistic": "mean"}, "statistic='mean' is unknown", '"average"'),
        ({"statistic": "p0"}, "statistic='p0' is unknown", '"p0.01" to "p99.99"'),
        ({"statistic": "p100"}, "statistic='p100' is unknown", "percentile"),
        ({"statistic": 99}, "statistic=99 is unknown", "percentile"),
        ({"above": None}, "this one has none", "one of above="),
        ({"below": 3}, "this one has above= and below=", "one of above="),
        ({"above": timedelta(seconds=1)}, "is a time, and the sum of errors is not", "above=10"),
        ({"metric": "latency", "statistic": "count", "above": timedelta(1)}, "count of latency is not", "above=10"),
        ({"above": "5%"}, "above='5%' is not a number", "above=10"),
        ({"above": True}, "above=True is not a number", "above=10"),
        ({"above": float("nan")}, "above=nan is not a number", "above=10"),
        ({"period": 60}, "period=60 is not a timedelta", "period=timedelta"),
        ({"period": timedelta(seconds=90)}, "whole number of minutes", "period=timedelta(minutes=5)"),
        ({"period": timedelta(0)}, "whole number of minutes", "period=timedelta(minutes=5)"),
        ({"periods": 0}, "periods=0 is out of range", "1 to 1440"),
        ({"periods": 1.5}, "periods=1.5 is out of range", "1 to 1440"),
        ({"periods": 25, "period": timedelta(hours=1)}, "periods=25 is out of range", "1 to 24"),
        ({"period": timedelta(days=2)}, "periods=1 is out of range", "a day at most"),
        ({"periods": 3, "datapoints": 4}, "datapoints=4 is out of range", "1 to 3"),
        ({"periods": 3, "datapoints": 0}, "datapoints=0 is out of range", "1 to 3"),
        ({"datapoints": 2}, "datapoints=2 is out of range", "give more periods"),
        ({"missing": "notBreaching"}, "missing='notBreaching' is unknown", "'not_breaching'"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "-",
)
def test_what_is_refused_is_explained(settings: dict[str, Any], fault: str, fix: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        declare(**settings)
    assert raised.value.where == "shop.watched"
    assert fault in raised.value.summary
    assert fix in raised.value.fix


def test_only_what_the_system_has_is_watched() -> None:
    system, other = shop(), shop()
    with pytest.raises(DeclarationError, match=r"of is shop.api, which is not a resource of shop"):
        system.alarm("watched", of=other.resources["api"], metric="errors", above=1)
    with pytest.raises(DeclarationError, match="no handler of shop so far"):
        system.alarm("watched", of=test_only_what_the_system_has_is_watched, metric="errors", above=1)
    with pytest.raises(DeclarationError, match="neither a resource nor the function of a handler"):
        system.alarm("watched", of="api", metric="errors", above=1)  # type: ignore[arg-type]


def test_a_name_is_declared_once() -> None:
    system = shop()
    system.alarm("watched", of=system.resources["api"], metric="errors", above=1)
    with pytest.raises(DeclarationError, match="declared twice"):
        system.alarm("watched", of=system.resources["api"], metric="errors", above=2)


def test_what_is_not_said_is_taken_as_the_metric_has_it() -> None:
    rule = declare(metric="latency", above=timedelta(milliseconds=250)).rule()
    assert (rule.statistic, rule.threshold, rule.unit) == ("p99", 0.25, "seconds")
    assert (rule.period, rule.periods, rule.datapoints, rule.missing) == (1, 1, 1, "not_breaching")
    assert (rule.series, rule.labels) == ("request_seconds", (("api", "api"), ("system", "shop")))
    assert rule.subject == "api api: latency, p99 of 1 min"
    assert declare(periods=4).rule().datapoints == 4


def test_a_schedule_is_measured_by_its_handler() -> None:
    rule = declare("nightly", metric="duration", above=None, at_least=5).rule()
    assert (rule.series, rule.labels) == ("duration", (("handler", "close_the_day"), ("system", "shop")))
    assert rule.subject == "schedule nightly: duration, p99 of 1 min"


def test_an_average_of_events_is_a_share() -> None:
    rule = declare(statistic="average", above=None, at_least=0.05, periods=5, datapoints=3).rule()
    assert (rule.unit, rule.condition) == ("share", "at least 5%, 3 of 5 times")


def test_a_metric_of_ones_own_takes_a_time_too() -> None:
    rule = declare(None, metric="worked", statistic="p95", below=None, above=timedelta(minutes=1)).rule()
    assert (rule.series, rule.labels, rule.threshold) == ("worked", (("system", "shop"),), 60.0)
    assert rule.subject == "worked, p95 of 1 min"


@pytest.mark.parametrize(
    "change", [{"above": 2}, {"periods": 2}, {"missing": "ignore"}, {"statistic": "average"}], ids=str
)
def test_rules_that_decide_otherwise_are_other_rules(change: dict[str, Any]) -> None:
    assert declare(**change).rule().evaluated != declare().rule().evaluated
    assert declare(description="what it means").rule().evaluated == declare().rule().evaluated


def test_every_metric_can_be_declared() -> None:
    system = shop()

    @system.api("other").get("/")
    def index() -> None: ...

    system.table("items", Job, key="id")
    system.mailer("mails", sender="shop@example.com")
    system.secret("key")
    system.user_pool("users")
    by_noun: dict[str, Any] = {resource.noun: resource for resource in system.resources.values()} | {"handler": index}
    for noun, metrics in METRICS.items():
        for name in metrics:
            assert system.alarm(f"{noun}_{name}", of=by_noun[noun], metric=name, above=1).rule().noun == noun


# Who is told


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"to": "ops@example.com"}, "to is not a list"),
        ({"to": ["ops"]}, "'ops' is not"),
        ({"to": ["ops@example.com\nBcc: all@example.com"]}, "line break"),
        ({"to": ["ops@example.com"], "sender": "nobody"}, "'nobody' is not"),
        ({"to": ["ops@example.com"] * 51}, "to has 51 addresses"),
    ],
    ids=["text", "address", "line", "sender", "many"],
)
def test_whom_to_tell_is_checked(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(DeclarationError, match=fault) as raised:
        System("shop").alarms(**settings)
    assert raised.value.where == "shop.alarms"


def test_the_sender_is_the_first_who_is_told_unless_said() -> None:
    system = System("shop")
    assert system.alarm_settings.sender == "alarms@localhost"
    system.alarms(to=["ops@example.com", "ann@example.com"])
    assert system.alarm_settings.sender == "ops@example.com"
    system.alarms(to=["ops@example.com"], sender="Shop <shop@example.com>")
    assert system.alarm_settings.sender == "Shop <shop@example.com>"


def test_the_mailer_of_alarms_is_not_declared() -> None:
    with pytest.raises(DeclarationError, match="the mailer alarms is Windlass's own"):
        System("shop").mailer("alarms", sender="shop@example.com")
