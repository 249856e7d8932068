"""A site of the embedded engine: links, odd files, and what goes over the wire."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.up import Up
from windlass.engines.embedded.site import EmbeddedSite
from windlass.errors import EngineUnavailable
from windlass.model.site import MAX_FILE
from windlass.model.system import System

SECRET = "not for everybody"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    folder = home / "site"
    (folder / "docs").mkdir(parents=True)
    (folder / ".private").mkdir()
    (folder / "index.html").write_text("<h1>Home</h1>")
    (folder / "docs" / "index.html").write_text("<h1>Docs</h1>")
    (folder / "docs" / "page.txt").write_text("a page")
    (folder / ".private" / "key").write_text(SECRET)
    (home / "secret.txt").write_text(SECRET)
    (home / "site-two").mkdir()
    (home / "site-two" / "index.html").write_text(SECRET)
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> EmbeddedSite:
    return EmbeddedSite(System("shop").site("page", folder=folder))


def body(site: EmbeddedSite, path: str) -> bytes | None:
    response = site.fetch(path, {})
    return None if response is None else response.body


def test_links_are_followed_inside_the_folder_only(folder: Path, site: EmbeddedSite) -> None:
    for name, target in {
        "in.txt": folder / "docs" / "page.txt",
        "folder": folder / "docs",
        "out.txt": folder.parent / "secret.txt",
        "up": folder.parent,
        "beside": folder.parent / "site-two",
        "hidden.txt": folder / ".private" / "key",
        "hidden": folder / ".private",
        "relative.txt": Path("../secret.txt"),
        "nowhere.txt": folder / "nothing",
        "loop.txt": folder / "loop.txt",
    }.items():
        (folder / name).symlink_to(target)
    assert body(site, "/in.txt") == b"a page"
    assert body(site, "/folder/page.txt") == b"a page"
    for path in (
        *("/out.txt", "/up/secret.txt", "/beside/index.html", "/beside/", "/hidden.txt", "/hidden/key"),
        *("/relative.txt", "/nowhere.txt", "/loop.txt", "/loop.txt/", "/up", "/beside"),
    ):
        assert body(site, path) is None, path


def test_a_folder_that_is_reached_through_a_link_is_a_site_too(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(folder)
    site = EmbeddedSite(System("shop").site("page", folder=tmp_path / "current"))
    assert body(site, "/docs/page.txt") == b"a page"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_what_is_no_file_is_not_opened(folder: Path, site: EmbeddedSite) -> None:
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        place = os.path.relpath(folder / "socket")
        listening.bind(place)
        for path in ("/pipe", "/socket", "/docs/page.txt/", "/docs/page.txt/x"):
            assert body(site, path) is None, path


def test_a_file_that_grew_too_large_is_not_sent(folder: Path, site: EmbeddedSite) -> None:
    with (folder / "film.mp4").open("wb") as film:
        film.truncate(MAX_FILE)
    assert len(body(site, "/film.mp4") or b"") == MAX_FILE
    with (folder / "film.mp4").open("ab") as film:
        film.write(b"x")
    with pytest.raises(EngineUnavailable, match="has more than"):
        site.fetch("/film.mp4", {})
    (folder / "film.mp4").unlink()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.HTML", "text/html; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.ico", "image/x-icon"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.pdf", "application/pdf"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.tar.gz", "application/gzip"),
        ("a.js.br", "application/octet-stream"),
        ("a.nobody-knows", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_a_name_says_what_is_in_a_file(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_text("x")
    response = EmbeddedSite(System("shop").site("page", folder=tmp_path)).fetch(f"/{name}", {})
    assert response is not None
    assert dict(response.headers)["content-type"] == kind


def test_a_redirect_leads_nowhere_else(tmp_path: Path) -> None:
    names = ["javascript%3Aalert", "a b", "ä", "%2e%2e", "@evil.example", "?x", "#x"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text("x")
    site = EmbeddedSite(System("shop").site("page", folder=tmp_path))
    for name in names:
        response = site.fetch(f"/{name}", {})
        assert response is not None
        location = dict(response.headers)["location"]
        assert location.startswith("./")
        assert location.isascii()
        parts = urlsplit(location)
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")


@settings(max_examples=300)
@given(st.text(alphabet="./\\%~:\0 adeginoptsx-\n", max_size=30))
def test_no_path_gets_at_what_is_not_public(site: EmbeddedSite, path: str) -> None:
    response = site.fetch(f"/{path}", {"if-none-match": path})
    assert response is None or SECRET.encode() not in response.body


# ---- over the wire

SYSTEM = """
from windlass import System

{name} = System("{name}")
api = {name}.api("api", cors=["https://app.example.com"])
page = {name}.site("page", folder="site")


@api.get("/data")
def data() -> str:
    return "x"
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    home = tmp_path_factory.mktemp("wired")
    system = home / "wired"
    (system / "site" / "docs").mkdir(parents=True)
    (system / "system.py").write_text(SYSTEM.format(name="wired"))
    (system / "site" / "index.html").write_text("<h1>Home</h1>")
    (system / "site" / "docs" / "index.html").write_text("<h1>Docs</h1>")
    (system / "site" / "large.bin").write_bytes(bytes(range(256)) * 4096)
    (home / "secret.txt").write_text(SECRET)
    with Up(system, home=home / "state", options=("--no-reload",)) as up:
        yield up


def raw(up: Up, request: str) -> bytes:
    """The whole answer to a request that is sent as it stands."""
    parts = urlsplit(up.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as connection:
        connection.sendall(request.encode("latin-1"))
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer


def test_the_gateway_serves_it_below_the_systems_name(up: Up) -> None:
    answer = up.http.get("/wired/")
    assert (answer.status_code, answer.text) == (200, "<h1>Home</h1>")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert up.http.get("/wired/data").json() == "x"
    assert up.http.get("/wired/large.bin").content == bytes(range(256)) * 4096
    assert up.http.get("/wired/index.html", headers={"if-none-match": answer.headers["etag"]}).status_code == 304


def test_the_engines_own_pages_stay(up: Up) -> None:
    assert up.http.get("/wired/_openapi.json").json()["openapi"].startswith("3.1")
    assert "<html" in up.http.get("/wired/_docs/").text
    assert up.http.get("/wired/_nothing").status_code == 404
    assert "wired" in up.http.get("/").json()["systems"]


def test_links_in_a_page_are_relative_to_a_slash(up: Up) -> None:
    answer = up.http.get("/wired")
    assert (answer.status_code, answer.headers["location"]) == (308, "/wired/")
    answer = up.http.get("/wired/docs")
    assert answer.status_code == 308
    assert str(answer.next_request.url if answer.next_request else "") == f"{up.url}/wired/docs/"
    assert up.http.get("/wired/docs", follow_redirects=True).text == "<h1>Docs</h1>"


def test_head_has_the_length_and_no_body(up: Up) -> None:
    for path, length in (("/wired/", 13), ("/wired/large.bin", 1_048_576)):
        answer = raw(up, f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert head.lower().count(b"content-length") == 1
        assert f"content-length: {length}".encode() in head.lower()
        assert rest == b""
    assert raw(up, "HEAD /wired HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 308")


def test_what_is_not_there_is_a_problem_that_a_browser_may_read(up: Up) -> None:
    answer = up.http.get("/wired/nothing", headers={"origin": "https://app.example.com"})
    assert answer.status_code == 404
    assert answer.json()["title"] == "Not Found"
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert up.http.post("/wired/index.html", json={}).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/wired/../secret.txt",
        "/wired/../../secret.txt",
        "/wired/%2e%2e/secret.txt",
        "/wired/%2e%2e%2f%2e%2e%2fsecret.txt",
        "/wired/..%5c..%5csecret.txt",
        "/wired/%252e%252e/%252e%252e/secret.txt",
        "/wired/docs/%2e%2e/%2e%2e/system.py",
        "/wired//../system.py",
        "/wired/%00",
        "/wired/index.html%00.png",
        "/wired/%ff%fe",
        "/wired/%c0%ae%c0%ae/system.py",
        "/wired/;/../system.py",
        "//wired/index.html",
        "/wired/" + "a" * 6000,
    ],
)
def test_no_path_on_the_wire_leads_out(up: Up, path: str) -> None:
    answer = raw(up, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer[9:10] == b"4", answer[:200]
    assert SECRET.encode() not in answer
    assert b"import System" not in answer
