"""The rules that every noun has without being asked, and what the graph shows of alarms."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from windlass.graph.alarm import rules
from windlass.graph.build import build
from windlass.graph.diagram import mermaid
from windlass.graph.document import Document
from windlass.graph.svg import svg
from windlass.model.resource import Resource
from windlass.model.system import System
from windlass.ports.alarm import AlarmRule


@dataclass
class Job:
    id: str


def shop(**queue: timedelta) -> System:
    system = System("shop")
    system.api("api")
    jobs = system.queue("jobs", Job, **queue)  # type: ignore[arg-type]
    system.table("items", Job, key="id")
    system.mailer("mails", sender="shop@example.com")
    system.secret("key")
    system.user_pool("users")

    @jobs.consumer()
    def work(job: Job) -> None: ...

    @system.schedule("nightly", every=timedelta(minutes=5)).task()
    def close_the_day() -> None: ...

    return system


def by_name(system: System) -> dict[str, AlarmRule]:
    return {rule.name: rule for rule in rules(system)}


def test_every_noun_has_its_default_rules() -> None:
    found = by_name(shop())
    assert {name: f"{rule.subject} {rule.condition}" for name, rule in found.items()} == {
        "api_errors": "api api: errors, average of 1 min above 5%, 1 of 5 times",
        "api_latency": "api api: latency, p99 of 1 min above 3 s, 3 of 5 times",
        "api_throttles": "api api: throttles, average of 1 min above 10%, 3 of 5 times",
        "jobs_dead_letters": "queue jobs: dead, maximum of 1 min above 0",
        "jobs_age": "queue jobs: age, maximum of 1 min above 10 min",
        "items_errors": "table items: errors, sum of 1 min above 0",
        "mails_errors": "mailer mails: errors, sum of 1 min above 0",
        "mails_failures": "mailer mails: failures, sum of 1 min above 0",
        "key_errors": "secret key: errors, sum of 1 min above 0",
        "users_errors": "user pool users: errors, sum of 1 min above 0",
        "nightly_failures": "schedule nightly: errors, sum of 1 min above 0",
    }
    assert all(rule.default and rule.description and rule.missing == "not_breaching" for rule in found.values())


def test_messages_are_old_before_they_are_dropped() -> None:
    assert by_name(shop(retention=timedelta(minutes=2)))["jobs_age"].threshold == 60.0


def test_a_declared_rule_takes_the_place_of_a_default_one() -> None:
    system = shop()
    system.alarm("jobs_age", of=system.resources["jobs"], metric="age", above=timedelta(minutes=1))
    system.alarm("deep", of=system.resources["jobs"], metric="depth", above=100)
    assert [rule.name for rule in rules(system)][:2] == ["jobs_age", "deep"]
    assert (by_name(system)["jobs_age"].threshold, by_name(system)["jobs_age"].default) == (60.0, False)
    assert len(by_name(system)) == 12


def test_defaults_can_be_turned_off() -> None:
    system = shop()
    system.alarms(defaults=False)
    assert rules(system) == []
    system.alarm("deep", of=system.resources["jobs"], metric="depth", above=100)
    assert [rule.name for rule in rules(system)] == ["deep"]


def test_the_document_has_every_rule() -> None:
    system = shop()
    system.alarm("deep", of=system.resources["jobs"], metric="depth", above=100, description="Too much to do.")
    system.alarms(to=["ops@example.com"])
    document = build(system)
    deep, *defaults = document.alarms
    assert (deep.name, deep.default, deep.series, deep.labels) == (
        "deep",
        False,
        "queue_depth",
        {"queue": "jobs", "system": "shop"},
    )
    assert (deep.statistic, deep.comparison, deep.threshold, deep.period) == ("maximum", "above", 100.0, 60.0)
    assert len(defaults) == 11
    assert all(alarm.default for alarm in defaults)
    assert document.alarms_to == ["ops@example.com"]
    assert Document.decode(document.encode()) == document


@pytest.mark.parametrize("drawn", [svg, mermaid], ids=["svg", "mermaid"])
def test_default_rules_are_not_drawn(drawn: object) -> None:
    assert callable(drawn)
    with_defaults, without = shop(), shop()
    without.alarms(defaults=False)
    assert drawn(build(with_defaults)) == drawn(build(without))


def test_a_declared_alarm_is_drawn_with_what_it_watches() -> None:
    system = shop()
    system.alarm("deep", of=system.resources["jobs"], metric="depth", above=100)
    document = build(system)
    assert ">queue jobs: depth above 100</text>" in svg(document)
    assert 'resource_deep{{"deep (alarm)"}}' in mermaid(document)


def test_every_measured_noun_is_thought_of() -> None:
    """A noun without default rules is one of which nothing is measured, or an alarm itself."""
    system = shop()
    system.site("pages", folder="pages")
    watched = {rule.of for rule in rules(system)}
    left = [resource for resource in system.resources.values() if resource.name not in watched]
    assert [resource.noun for resource in left] == ["site"]
    assert isinstance(left[0], Resource)


def test_a_default_rule_may_have_a_long_name() -> None:
    system = System("shop")
    name = "q" * 40
    jobs = system.queue(name, Job)

    @jobs.consumer()
    def work(job: Job) -> None: ...

    first = rules(system)[0]
    assert first == replace(first, name=f"{name}_dead_letters")
    assert build(system).alarms[0].name == f"{name}_dead_letters"
