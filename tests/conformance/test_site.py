"""What a site does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.plugin import Start
from windlass import System
from windlass.testing import Driver

FILES = {
    "index.html": "<h1>Home</h1>",
    "gone.html": "<h1>Gone</h1>",
    "page.css": "h1 {}",
    "a b/ä.txt": "zażółć",
    "docs/index.html": "<h1>Docs</h1>",
    "docs/deep/index.html": "<h1>Deep</h1>",
    "empty.txt": "",
    ".hidden": "secret",
    ".git/config": "secret",
    "docs/.env": "secret",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (tmp_path / "outside.txt").write_text("secret")
    return folder


def begun(start: Start, folder: Path, **options: Any) -> Driver:
    system = System("shop")
    system.site("page", folder=folder, **options)
    return start(system)


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/index.html", "index.html", "text/html; charset=utf-8"),
        ("/page.css", "page.css", "text/css; charset=utf-8"),
        ("/a%20b/%C3%A4.txt", "a b/ä.txt", "text/plain; charset=utf-8"),
        ("/docs/", "docs/index.html", "text/html; charset=utf-8"),
        ("/docs/deep/", "docs/deep/index.html", "text/html; charset=utf-8"),
        ("/empty.txt", "empty.txt", "text/plain; charset=utf-8"),
    ],
)
def test_a_file_is_sent_as_what_it_is(start: Start, folder: Path, path: str, name: str, kind: str) -> None:
    answer = begun(start, folder).get(path)
    assert (answer.status, answer.body.decode()) == (200, FILES[name])
    assert answer.headers["content-type"] == kind


def test_it_needs_no_token_and_no_grant(start: Start, folder: Path) -> None:
    system = System("shop")
    system.api("api", auth=system.user_pool("users"))
    system.site("page", folder=folder)
    app = start(system)
    assert app.get("/page.css").status == 200
    assert app.unused_grants == {}


def test_a_page_is_sent_with_a_policy(start: Start, folder: Path) -> None:
    headers = begun(start, folder).get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "same-origin"


def test_headers_can_be_added_replaced_and_dropped(start: Start, folder: Path) -> None:
    given = {"Content-Security-Policy": "default-src 'none'", "Referrer-Policy": None, "X-Frame-Options": "DENY"}
    headers = begun(start, folder, headers=given).get("/").headers
    assert headers["content-security-policy"] == "default-src 'none'"
    assert "referrer-policy" not in headers
    assert headers["x-frame-options"] == "DENY"


def test_what_a_browser_has_is_not_sent_again(start: Start, folder: Path) -> None:
    app = begun(start, folder)
    first = app.get("/page.css")
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = app.get("/page.css", headers={"if-none-match": known})
        assert (answer.status, answer.body) == (304, b""), known
        assert answer.headers["etag"] == tag
        assert answer.headers["cache-control"] == first.headers["cache-control"]
    assert app.get("/page.css", headers={"if-none-match": '"other"'}).status == 200
    assert app.get("/", headers={"if-none-match": tag}).status == 200


def test_a_file_that_was_changed_has_another_tag(start: Start, folder: Path) -> None:
    app = begun(start, folder)
    tag = app.get("/page.css").headers["etag"]
    assert app.get("/page.css").headers["etag"] == tag
    (folder / "page.css").write_text("h2 {}")
    answer = app.get("/page.css", headers={"if-none-match": tag})
    assert (answer.status, answer.body) == (200, b"h2 {}")
    assert answer.headers["etag"] != tag


def test_how_long_a_browser_may_use_what_it_has(start: Start, folder: Path) -> None:
    assert begun(start, folder).get("/").headers["cache-control"] == "no-cache"
    app = begun(start, folder, max_age=timedelta(hours=1))
    assert app.get("/").headers["cache-control"] == "public, max-age=3600"


def test_head_is_get_without_the_body(start: Start, folder: Path) -> None:
    app = begun(start, folder)
    head, get = app.request("HEAD", "/page.css"), app.get("/page.css")
    assert (head.status, head.body) == (200, b"")
    assert head.headers == get.headers | {"content-length": str(len(get.body))}
    assert app.request("HEAD", "/nothing").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_another_method_is_not_offered(start: Start, folder: Path, method: str) -> None:
    app = begun(start, folder)
    answer = app.request(method, "/page.css")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert app.request(method, "/nothing").status == 404
    assert (folder / "page.css").read_text() == FILES["page.css"]


def test_a_folder_without_its_slash_is_redirected_there(start: Start, folder: Path) -> None:
    app = begun(start, folder)
    for path, location in (("/docs", "./docs/"), ("/docs/deep", "./deep/")):
        answer = app.get(path)
        assert (answer.status, answer.headers["location"]) == (308, location)
    assert app.get("/a%20b").status == 404, "it has no index"


def test_the_index_may_have_another_name(start: Start, folder: Path) -> None:
    assert begun(start, folder, index="gone.html").get("/").body == b"<h1>Gone</h1>"


def test_what_is_not_there_is_a_problem_or_the_sites_own_page(start: Start, folder: Path) -> None:
    plain = begun(start, folder).get("/nothing")
    assert (plain.status, plain.headers["content-type"]) == (404, "application/problem+json")
    app = begun(start, folder, not_found="gone.html")
    own = app.get("/nothing", headers={"if-none-match": "*"})
    assert (own.status, own.body) == (404, b"<h1>Gone</h1>")
    assert own.headers["content-type"] == "text/html; charset=utf-8"
    assert app.post("/nothing", json={}).headers["content-type"] == "application/problem+json"


def test_routes_come_first(start: Start, folder: Path) -> None:
    system = System("shop")
    api = system.api("api")
    system.site("page", folder=folder, not_found="gone.html")

    @api.get("/page.css")
    def shadow() -> str:
        return "the route"

    @api.post("/docs/{name}")
    def note(name: str) -> str:
        return name

    app = start(system)
    assert app.get("/page.css").json() == "the route"
    assert app.request("DELETE", "/page.css").headers["allow"] == "GET"
    assert app.post("/docs/x").json() == "x"
    assert app.get("/docs/index.html").status == 405, "the path is the api's, with POST"
    assert app.get("/docs/").status in (200, 400, 405)
    assert app.get("/").body == b"<h1>Home</h1>"


@pytest.mark.parametrize(
    "path",
    [
        "/../outside.txt",
        "/docs/../../outside.txt",
        "/docs/../page.css",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/..%5coutside.txt",
        "/docs%2f..%2f..%2foutside.txt",
        "/%252e%252e/outside.txt",
        "/./page.css",
        "//page.css",
        "/docs//index.html",
        "/page.css/",
        "/page.css%00",
        "/page.css%00.txt",
        "/%00",
        "/.hidden",
        "/.git/config",
        "/.git/",
        "/docs/.env",
        "/page.css::$DATA",
        "/c:/windows/win.ini",
        "/%0a",
        "/" + "x" * 5000,
        "/" + "x/" * 2000,
    ],
)
def test_nothing_else_is_ever_sent(start: Start, folder: Path, path: str) -> None:
    app = begun(start, folder)
    for method in ("GET", "HEAD", "POST"):
        answer = app.request(method, path)
        assert answer.status == 404, (method, answer)
        assert b"secret" not in answer.body
