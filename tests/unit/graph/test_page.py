"""The page that tries an api's operations out: what keeps it working under a strict Content-Security-Policy."""

import re
from pathlib import Path

PAGES = Path(__file__).parents[3] / "src" / "windlass" / "engines" / "embedded" / "pages"
HTML, SCRIPT, STYLE = ((PAGES / f"api.{kind}").read_text(encoding="utf-8") for kind in ("html", "js", "css"))


def test_nothing_comes_from_elsewhere() -> None:
    assert re.findall(r'(?:href|src)="([^"#]+)"', HTML) == [
        "data:,",
        "api.css",
        "api.js",
        "../_openapi.json",
        "../_openapi.json",
    ]
    assert "@import" not in STYLE
    assert "url(" not in STYLE
    assert "import(" not in SCRIPT
    assert not re.search(r"^import ", SCRIPT, re.MULTILINE)


def test_nothing_is_inline() -> None:
    assert "style=" not in HTML
    assert "<style" not in HTML
    assert not re.search(r"<script(?![^>]* src=)", HTML)
    assert not re.search(r"\son\w+=", HTML)


def test_text_is_never_markup_and_the_token_is_never_stored() -> None:
    for dangerous in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert dangerous not in SCRIPT
    for store in ("localStorage", "sessionStorage", "document.cookie", "indexedDB"):
        assert store not in SCRIPT


def test_what_the_script_looks_for_is_on_the_page() -> None:
    wanted = set(re.findall(r'byId\("([^"]+)"\)', SCRIPT))
    assert wanted
    assert wanted <= set(re.findall(r'id="([^"]+)"', HTML))


def test_every_field_of_the_page_has_a_label() -> None:
    for field in re.findall(r"<input[^>]*>", HTML):
        assert re.search(r"<label>[^<]*" + re.escape(field), HTML), field
