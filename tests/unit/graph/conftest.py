"""The sample system, loaded once."""

from pathlib import Path

import pytest

from windlass.graph.build import build
from windlass.graph.document import Document
from windlass.graph.load import load
from windlass.model.system import System


@pytest.fixture(scope="session")
def orders() -> System:
    return load(Path(__file__).parent / "orders")


@pytest.fixture(scope="session")
def document(orders: System) -> Document:
    return build(orders)
