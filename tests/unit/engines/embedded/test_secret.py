"""Secrets on the embedded engine: encrypted, fresh, made once, and masked in logs."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from windlass.dispatch.redact import Redactor
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.secret import EmbeddedSecret
from windlass.errors import InvalidItem, InvalidState, SecretNotSet
from windlass.model.secret import Secret
from windlass.model.system import System
from windlass.ports.clock import ManualClock
from windlass.ports.secret import SecretOperator


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    opened = Namespace(tmp_path, clock=ManualClock())
    yield opened
    opened.close()


def declared(name: str = "smtp_password", *, system: str = "shop", generate: int | None = None) -> Secret:
    return System(system).secret(name, generate=generate)


def test_it_keeps_the_last_value(namespace: Namespace) -> None:
    secret: SecretOperator = EmbeddedSecret(declared(), namespace)
    assert not secret.is_set()
    with pytest.raises(SecretNotSet, match="'smtp_password' has no value"):
        secret.read()
    secret.write("hunter2")
    secret.write("łąka 🌾")
    assert secret.is_set()
    assert secret.read() == "łąka 🌾"


def test_a_value_outlives_the_process(tmp_path: Path) -> None:
    first = Namespace(tmp_path)
    EmbeddedSecret(declared(), first).write("hunter2")
    second = Namespace(tmp_path)  # `first` is not closed: as after kill -9
    assert EmbeddedSecret(declared(), second).read() == "hunter2"
    second.close()
    first.close()


def test_what_another_process_sets_counts_within_a_second(tmp_path: Path) -> None:
    clock = ManualClock()
    engine, command_line = Namespace(tmp_path, clock=clock), Namespace(tmp_path)
    read = EmbeddedSecret(declared(), engine)
    engine.store.flush()
    written = EmbeddedSecret(declared(), command_line)
    for value in ("first", "second"):
        written.write(value)
        clock.advance(timedelta(seconds=1))
        assert read.read() == value
    read.write("third")
    assert read.read() == "third", "what this process sets counts at once"
    engine.close()
    command_line.close()


def test_each_secret_is_its_own(namespace: Namespace) -> None:
    models = [declared("a"), declared("b"), declared("a", system="blog")]
    secrets = [EmbeddedSecret(model, namespace) for model in models]
    for number, secret in enumerate(secrets):
        secret.write(f"value {number}")
    assert [secret.read() for secret in secrets] == ["value 0", "value 1", "value 2"]


def test_the_file_holds_no_plain_value(namespace: Namespace) -> None:
    EmbeddedSecret(declared(), namespace).write("a-very-plain-value")
    files = [path.read_bytes() for path in namespace.path.iterdir()]
    assert len(files) >= 2
    assert not any(b"a-very-plain-value" in content for content in files)


def test_a_value_cannot_be_passed_off_as_another_secret(namespace: Namespace) -> None:
    low, high = EmbeddedSecret(declared("low"), namespace), EmbeddedSecret(declared("high"), namespace)
    low.write("chosen by an attacker")
    high.write("hunter2")
    with namespace.store.write() as db:
        db.execute("update secrets set value = (select value from secrets where name = 'low') where name = 'high'")
    with pytest.raises(InvalidState, match="cannot be decrypted"):
        high.read()


@pytest.mark.parametrize("value", ["", "x" * 65_537, "ł" * 32_769, "\ud800"])
def test_a_value_out_of_bounds_is_refused(namespace: Namespace, value: str) -> None:
    secret = EmbeddedSecret(declared(), namespace)
    with pytest.raises(InvalidItem) as raised:
        secret.write(value)
    assert not secret.is_set()
    assert not value or value not in str(raised.value)
    secret.write("x" * 65_536)


def test_a_value_is_generated_once(namespace: Namespace) -> None:
    secret = EmbeddedSecret(declared(generate=32), namespace)
    secret.ensure_generated()
    value = secret.read()
    assert len(value) == 43
    secret.ensure_generated()
    EmbeddedSecret(declared(generate=32), namespace).ensure_generated()
    assert secret.read() == value


def test_a_value_that_was_set_is_not_generated_over(namespace: Namespace) -> None:
    secret = EmbeddedSecret(declared(generate=32), namespace)
    secret.write("chosen")
    secret.ensure_generated()
    assert secret.read() == "chosen"


def test_nothing_is_generated_unasked(namespace: Namespace) -> None:
    secret = EmbeddedSecret(declared(), namespace)
    secret.ensure_generated()
    assert not secret.is_set()


def test_values_are_masked_in_logs(tmp_path: Path) -> None:
    namespace = Namespace(tmp_path)
    writing, reading = Redactor(), Redactor()
    EmbeddedSecret(declared(), namespace, writing).write("hunter2")
    assert writing.mask("sent hunter2") == "sent ***"
    assert reading.mask("sent hunter2") == "sent hunter2"
    EmbeddedSecret(declared(), namespace, reading).read()
    assert reading.mask("sent hunter2") == "sent ***"
    namespace.close()


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_as_it_was(namespace: Namespace, value: str) -> None:
    secret = EmbeddedSecret(declared(), namespace)
    secret.write(value)
    assert secret.read() == value
