"""What a secret does."""

import logging

import pytest

from tests.conformance.plugin import Start
from windlass import InvalidItem, Secret, SecretNotSet, System
from windlass.errors import Denied


def declared(generate: int | None = None) -> tuple[System, Secret]:
    system = System("shop")
    return system, system.secret("jwt_key", generate=generate)


def test_it_has_no_value_until_one_is_set(start: Start) -> None:
    system, secret = declared()
    app = start(system)
    assert not app.secret("jwt_key").is_set()
    with app.bound(), pytest.raises(SecretNotSet):
        secret.read()
    app.secret("jwt_key").write("hunter2")
    assert app.secret("jwt_key").is_set()
    with app.bound():
        assert secret.read() == "hunter2"


def test_the_last_value_counts_at_once(start: Start) -> None:
    system, secret = declared()
    app = start(system)
    with app.bound():
        for value in ("first", "second", "łąka 🌾", " spaces\tand\nlines "):
            app.secret("jwt_key").write(value)
            assert secret.read() == value


@pytest.mark.parametrize("value", ["x", "x" * 65_536, "ł" * 32_768])
def test_a_value_within_the_bounds_is_kept(start: Start, value: str) -> None:
    system, secret = declared()
    app = start(system)
    app.secret("jwt_key").write(value)
    with app.bound():
        assert secret.read() == value


@pytest.mark.parametrize("value", ["", "x" * 65_537, "ł" * 32_769])
def test_a_value_out_of_bounds_is_refused(start: Start, value: str) -> None:
    system, secret = declared()
    app = start(system)
    app.secret("jwt_key").write("before")
    with pytest.raises(InvalidItem):
        app.secret("jwt_key").write(value)
    with app.bound():
        assert secret.read() == "before"


def test_a_value_is_generated_at_the_first_start(start: Start) -> None:
    system, secret = declared(generate=32)
    with start(system).bound():
        value = secret.read()
    assert len(value) >= 32
    assert value.isascii()


def test_a_generated_value_stays(start: Start) -> None:
    system, secret = declared(generate=32)
    first = start(system)
    with first.bound():
        value = secret.read()
    first.close()
    with start(system).bound():
        assert secret.read() == value


def test_each_world_generates_its_own(start: Start) -> None:
    system, secret = declared(generate=32)
    values = set()
    for state in ("one", "two"):
        app = start(system, state=state)
        with app.bound():
            values.add(secret.read())
    assert len(values) == 2


def test_a_set_value_is_not_generated_over(start: Start) -> None:
    system, _ = declared()
    first = start(system)
    first.secret("jwt_key").write("chosen")
    first.close()
    generating, secret = declared(generate=32)
    with start(generating).bound():
        assert secret.read() == "chosen"


def test_reading_needs_a_grant(start: Start) -> None:
    system, secret = declared(generate=32)
    outcomes: list[object] = []
    api = system.api("api")

    @api.get("/granted", uses=[secret.read])
    def granted() -> dict[str, int]:
        return {"length": len(secret.read())}

    @api.get("/denied")
    def denied() -> dict[str, int]:
        try:
            return {"length": len(secret.read())}
        except Denied as error:
            outcomes.append(error)
            raise

    app = start(system)
    assert app.get("/granted").status == 200
    assert app.get("/denied").status == 500
    assert len(outcomes) == 1


def test_a_value_is_not_logged(start: Start) -> None:
    system, secret = declared()
    app = start(system)
    app.secret("jwt_key").write("hunter2-hunter2")
    with app.bound():
        logging.getLogger("shop").warning("the key is %s", secret.read())
    assert app.logs
    assert not any("hunter2" in line.message for line in app.logs)
