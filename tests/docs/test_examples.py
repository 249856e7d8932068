"""The Python in the documentation runs: all ```python blocks of a page, one after the other, as one module.

A block that cannot run by itself is marked ```python no-run.
"""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN = [ROOT / "README.md", ROOT / "docs/telemetry.md", ROOT / "docs/testing.md"]
PAGES = [*OWN, *sorted((ROOT / "docs/resources").glob("*.md"))]
BLOCK = re.compile(r"^```python[ \t]*(no-run)?[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)


def module_of(page: str) -> str:
    """The code of a page. Each line stands where it stands in the page, so that a traceback points there."""
    lines = [""] * page.count("\n")
    for block in BLOCK.finditer(page):
        if block[1] is None:
            first = page.count("\n", 0, block.start(2))
            code = block[2].splitlines()
            lines[first : first + len(code)] = code
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = module_of(page.read_text(encoding="utf-8"))
    assert code.strip(), f"{page.name} has no example"
    module = ModuleType(f"{page.stem}_page")
    # Dataclasses and annotations look their module up by its name.
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, page, "exec"), vars(module))


def test_the_nouns_have_their_pages() -> None:
    assert {"api", "queue", "table"} <= {page.stem for page in PAGES}


def test_a_page_becomes_one_module() -> None:
    page = """
```python
a = 1
```
```python no-run
b
```
```sh
c
```
```python
d = a

e = 2
```
"""
    assert module_of(page).splitlines()[2] == "a = 1"
    names: dict[str, int] = {}
    exec(module_of(page), names)
    assert (names["d"], names["e"]) == (1, 2)
    assert "b" not in names
