"""What source imports."""

from textwrap import dedent

import pytest

from windlass.synth.imports import Source, module_name, read, trace


def source(text: str, module: str = "a.b", *, package: bool = False) -> Source:
    return read(dedent(text).encode(), module, package=package)


def names(text: str, module: str = "a.b", *, package: bool = False) -> list[str]:
    return [each.name for each in source(text, module, package=package).imports]


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("a/b.py", "a.b"),
        ("a/__init__.py", "a"),
        ("six.py", "six"),
        ("a/_core.cpython-312-aarch64-linux-gnu.so", "a._core"),
        ("a/_rust.abi3.so", "a._rust"),
        ("a/data.json", None),
        ("a-1.0.dist-info/x.py", None),
        ("a/b.pyc", None),
    ],
)
def test_a_file_is_a_module_by_its_path(path: str, module: str | None) -> None:
    assert module_name(path) == module


def test_each_form_of_import_is_read() -> None:
    assert names("import x, y.z as w\nfrom p import q, r\nfrom s import *") == ["x", "y.z", "p.q", "p.r", "s"]


def test_relative_imports_begin_at_the_package() -> None:
    assert names("from . import c\nfrom .d import e\nfrom ..f import g", "a.b.m") == ["a.b.c", "a.b.d.e", "a.f.g"]
    assert names("from . import c\nfrom .d import e", "a.b", package=True) == ["a.b.c", "a.b.d.e"]


def test_what_only_a_type_checker_imports_is_left_out() -> None:
    text = """
    import typing
    if typing.TYPE_CHECKING:
        import x
    else:
        import y
    """
    assert names(text) == ["typing", "y"]


def test_an_import_knows_its_function_and_whether_it_may_fail() -> None:
    text = """
    try:
        import fast
    except ImportError:
        import slow
    class A:
        def f(self):
            def g():
                import deep
    async def h():
        import late
    """
    found = [(each.name, each.within, each.optional) for each in source(text).imports]
    assert found == [("fast", None, True), ("slow", None, False), ("deep", "f", False), ("late", "h", False)]


POOL = """
import json
class Pool:
    def __init__(self):
        import begin
    def sign_in(self):
        return self._call()
    def _call(self):
        import client
    def verify(self):
        import keys
"""


@pytest.mark.parametrize(
    ("entries", "needed"),
    [
        (None, {"json", "begin", "client", "keys"}),
        ((), {"json"}),
        (("sign_in",), {"json", "begin", "client"}),
        (("verify",), {"json", "begin", "keys"}),
    ],
)
def test_of_some_modules_only_the_functions_count_that_are_reached(
    entries: tuple[str, ...] | None, needed: set[str]
) -> None:
    assert {each.name for each in source(POOL).needed(entries)} == needed


def test_a_trace_follows_imports_and_brings_packages_along() -> None:
    sources = {
        "main": source("from app.web import serve", "main"),
        "app": source("import app.start", "app", package=True),
        "app.start": source("", "app.start"),
        "app.web": source("import lib.fast\nimport app.gone as gone", "app.web"),
        "app.unused": source("import nothing", "app.unused"),
    }
    found = trace(["main"], sources, {}, ())
    assert found.modules == {"main", "app", "app.start", "app.web"}
    assert found.missing == {"lib.fast": ("app.web", False)}


def test_absent_modules_are_not_followed() -> None:
    sources = {"main": source("import boto3.session\nimport boto3x", "main")}
    assert set(trace(["main"], sources, {}, ["boto3"]).missing) == {"boto3x"}


def test_a_name_is_optional_only_if_all_who_ask_can_do_without() -> None:
    sources = {
        "main": source("import one\nimport two", "main"),
        "one": source("try:\n    import x\nexcept ImportError:\n    x = None", "one"),
        "two": source("import x", "two"),
    }
    assert trace(["main"], sources, {}, ()).missing["x"][1] is False
    assert trace(["one"], sources, {}, ()).missing["x"] == ("one", True)


def test_source_that_is_not_python_is_refused() -> None:
    with pytest.raises(SyntaxError):
        source("def")
