"""The pages about AWS: what one of them says to try, the names that it gives, and the page of divergences."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import windlass
from tests.aws.servers import KINDS, Kind, Server, missing
from tests.conformance.divergences import DIVERGENCES
from tests.conformance.report import page as page_of_divergences
from windlass.engines.aws.actions import ACTIONS
from windlass.engines.aws.stage import Stage
from windlass.errors import EngineUnavailable
from windlass.model.index import TableIndex
from windlass.model.resource import Resource
from windlass.runtime.environment import Environment

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ON_AWS = (DOCS / "aws.md").read_text()
REFERENCES = {"docs.aws.amazon.com", "aws.amazon.com"}


def nouns() -> set[str]:
    for name in windlass.__all__:  # a noun is imported when it is asked for
        getattr(windlass, name)
    return {kind.noun for kind in Resource.__subclasses__() if kind is not TableIndex}


def section_on_aws(noun: str) -> str:
    """What the page of a noun says about AWS, without the sections after it."""
    page = (DOCS / "resources" / f"{noun}.md").read_text()
    return page.partition("\n## On AWS\n")[2].partition("\n## ")[0]


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_page_says_to_try(kind: Kind) -> None:
    (script,) = re.findall(r"^```sh\n(.*?)^```", ON_AWS, re.MULTILINE | re.DOTALL)
    with Server(kind, flows=True) as server:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env={**os.environ, "ENDPOINT": server.endpoint},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    taken, persisted, shown = (json.loads(text) for text in re.split(r"(?<=^})\n", done.stdout.strip(), flags=re.M))
    assert taken["statusCode"] == 201
    assert persisted == {"batchItemFailures": []}
    assert [item["InformationOne"] for item in json.loads(shown["body"])] == ["tea"]


def test_the_names_on_the_page_are_the_stages() -> None:
    stage = Stage("shop", "dev", "eu-west-1", "123456789012")
    kinds = ("HANDLER", "POOL", "TABLE", "SCHEDULE", "ALARM")
    names = {
        *(stage.called(kind) for kind in kinds),
        stage.queue("QUEUE", fifo=False),
        stage.queue("QUEUE", fifo=False, dead=True),
        stage.secret("SECRET"),
        stage.idempotency_table,
    }
    assert set(re.findall(r"`(shop[-/]dev[-/][\w-]+)`", ON_AWS)) == names


def test_the_variables_on_the_page_are_those_that_a_function_reads() -> None:
    told = {"data": ("url",), "api": ("url",), "users": ("pool", "client")}
    variables = {Stage.variable(resource, what) for resource, some in told.items() for what in some}
    with pytest.raises(EngineUnavailable) as refused:
        Environment.read({})
    needed = set(re.findall(r"WINDLASS_\w+", str(refused.value)))
    assert set(re.findall(r"`(WINDLASS_\w+)`", ON_AWS)) == variables | needed


def test_the_page_links_to_what_each_noun_becomes() -> None:
    assert set(re.findall(r"\(resources/(\w+)\.md#on-aws\)", ON_AWS)) == nouns()


@pytest.mark.parametrize("noun", sorted(nouns()))
def test_the_page_of_a_noun_says_what_it_becomes_and_what_is_different(noun: str) -> None:
    section = section_on_aws(noun)
    assert "../divergences.md" in section
    assert re.search(r"\b[Pp]ermissions?\b", section)
    if any(granted == noun for granted, _ in ACTIONS):
        assert "../iam.md" in section


def test_the_page_of_divergences_is_what_the_suite_says() -> None:
    assert (DOCS / "divergences.md").read_text() == page_of_divergences()


def test_every_divergence_names_a_page_of_aws() -> None:
    linked = re.findall(r"\[page\]\(([^)\s]+)\)", page_of_divergences())
    assert len(linked) == len(DIVERGENCES)
    addresses = [urlsplit(link) for link in linked]
    assert [address.geturl() for address in addresses if address.scheme != "https"] == []
    assert {address.netloc for address in addresses} <= REFERENCES
    assert [address.geturl() for address in addresses if not re.search(r"/[\w.-]+\.html$", address.path)] == []


def test_every_test_that_diverges_exists() -> None:
    places = [*(ROOT / "tests" / "conformance").glob("test_*.py"), *(ROOT / "systems").glob("*/tests/test_*.py")]
    known = set(re.findall(r"^def (test_\w+)", "\n".join(place.read_text() for place in places), re.MULTILINE))
    named = {test.partition("[")[0] for row in DIVERGENCES for test in row.tests}
    assert named <= known, named - known
