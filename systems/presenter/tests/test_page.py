"""The page, in a real browser against a real server, with keys only."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, Browser
from tests.up import Up

SYSTEM = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


class Desk:
    """A server, a browser with the page open, and whoever sits before it."""

    def __init__(self, up: Up, browser: Browser) -> None:
        self.up, self.browser = up, browser
        self.open()

    def open(self) -> None:
        self.browser.open(f"{self.up.url}/presenter/")

    def token(self, sub: str, *roles: str) -> str:
        options = [option for role in roles for option in ("--role", role)]
        command = [sys.executable, "-m", "windlass", "token", str(SYSTEM), "--sub", sub, *options]
        done = subprocess.run([*command, "--home", str(self.up.home)], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def use(self, token: str) -> None:
        """Pastes a token, tabs to the button and presses it."""
        self.browser.script("document.getElementById('token').focus()")
        self.browser.script("document.getElementById('token').select()")
        self.browser.type(token)
        self.browser.press("Tab")
        self.browser.press("Enter")

    def post(self, one: str, two: str) -> None:
        self.browser.script("document.getElementById('one').focus()")
        self.browser.type(one)
        self.browser.press("Tab")
        self.browser.type(two)
        self.browser.press("Enter")

    def says(self, notice: str, text: str) -> None:
        """Waits until a notice begins with a text."""
        self.browser.wait(f"document.getElementById('{notice}').textContent.startsWith({text!r})")

    def entries(self) -> list[list[str]]:
        """The two texts of each entry, as they are shown."""
        found: list[list[str]] = self.browser.script(
            "[...document.querySelectorAll('#items li')]"
            ".map((li) => [...li.querySelectorAll('p')].map((p) => p.textContent))"
        )
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Up(SYSTEM, home=tmp_path / "home", options=("--no-reload",)) as up, Browser(tmp_path / "browser") as browser:
        yield Desk(up, browser)


def test_what_is_posted_appears_by_itself(desk: Desk) -> None:
    desk.says("list-notice", "Give a token")
    desk.use(f"Bearer {desk.token('ada', 'data.read', 'data.write')}\n")
    desk.says("token-notice", "In use: ada, with data.read and data.write, until ")
    desk.says("list-notice", "Nothing yet.")
    desk.post("first", "<img src=x onerror=alert(1)>")
    desk.says("post-notice", "Stored.")
    assert desk.entries() == [["first", "<img src=x onerror=alert(1)>"]]
    assert desk.browser.script("document.activeElement.id") == "one"
    desk.post("first", "<img src=x onerror=alert(1)>")
    desk.browser.wait("document.querySelectorAll('#items li').length === 2")
    desk.browser.reload()
    desk.browser.wait("document.querySelectorAll('#items li').length === 2")
    assert desk.browser.complaints == []


def test_older_entries_come_page_by_page(desk: Desk) -> None:
    token = desk.token("ada", "data.read", "data.write")
    for number in range(13):
        content = {"informationOne": f"number {number}", "informationTwo": "x"}
        answer = desk.up.http.post("/presenter/data", json=content, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 201
    desk.use(token)
    desk.browser.wait(
        "document.getElementById('refresh').click() || document.querySelectorAll('#items li').length === 10"
    )
    desk.says("list-notice", "The newest 10 entries; there are older ones.")
    desk.browser.script("document.getElementById('older').focus()")
    desk.browser.press(" ")
    desk.says("list-notice", "13 entries")
    assert [one for one, _ in desk.entries()] == [f"number {number}" for number in reversed(range(13))]
    assert desk.browser.script("document.getElementById('older').hidden")
    assert desk.browser.script("document.activeElement === document.querySelectorAll('#items li')[10]")
    assert desk.browser.complaints == []


def test_what_is_wrong_is_said_where_it_is(desk: Desk) -> None:
    desk.post("a", "b")
    desk.says("post-notice", "Give a token first.")
    assert desk.browser.script("document.activeElement.id") == "token"
    desk.use("not.a.token")
    desk.says("list-notice", "Unauthorized: the token")
    desk.use("ключ")
    desk.says("token-notice", "This is not a token")
    desk.use(desk.token("ada", "data.write"))
    desk.says("list-notice", "Forbidden: this needs the role data.read.")
    desk.post("c", "d")
    desk.says("post-notice", "It was taken, and cannot be shown. Forbidden: ")
    desk.use(desk.token("ada", "data.read"))
    desk.browser.wait("document.querySelectorAll('#items li').length === 1")
    desk.post("e", "f")
    desk.says("post-notice", "Forbidden: this needs the role data.write.")
    desk.use(desk.token("ada", "data.read", "data.write"))
    desk.says("token-notice", "In use")
    desk.browser.script("document.getElementById('post-form').reset()")
    desk.post("  ", "x")
    desk.browser.wait("document.getElementById('one').getAttribute('aria-invalid') === 'true'")
    assert desk.browser.text("#one-problem") == "Fill this in."
    assert desk.browser.script("document.getElementById('one').getAttribute('aria-describedby')") == "one-problem"
    assert desk.browser.script("document.getElementById('two').hasAttribute('aria-invalid')") is False


def test_another_user_sees_nothing_of_the_one_before(desk: Desk) -> None:
    desk.use(desk.token("ada", "data.read", "data.write"))
    desk.post("of ada", "x")
    desk.says("post-notice", "Stored.")
    desk.use(desk.token("eve", "data.read"))
    desk.says("list-notice", "Nothing yet.")
    assert desk.entries() == []
    desk.browser.script("document.getElementById('forget').click()")
    desk.says("token-notice", "Forgotten.")
    assert desk.browser.script("sessionStorage.length + localStorage.length") == 0
    assert desk.browser.script("document.cookie") == ""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 1000])
def test_it_fits_narrow_screens_and_can_be_read_in_light_and_dark(desk: Desk, width: int, dark: bool) -> None:
    desk.browser.emulate(width=width, height=800, dark=dark)
    desk.use(desk.token("ada", "data.read", "data.write"))
    desk.post("w" * 300, "x" * 300)
    desk.says("post-notice", "Stored.")
    assert desk.browser.script("document.documentElement.scrollWidth") <= width
    # WCAG 2.2, 1.4.3: each text against the colours behind it.
    poor = desk.browser.script(
        """(() => {
          const parts = (text) => text.match(/[\\d.]+/g).map(Number);
          const luminance = ([r, g, b]) => [r, g, b]
            .map((part) => part / 255)
            .map((p) => (p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4))
            .reduce((sum, p, i) => sum + p * [0.2126, 0.7152, 0.0722][i], 0);
          const behind = (element) => {
            for (let e = element; e !== null; e = e.parentElement) {
              const colour = parts(getComputedStyle(e).backgroundColor);
              if (colour.length === 3 || colour[3] === 1) return colour;
            }
            return [255, 255, 255];
          };
          return [...document.querySelectorAll("h1,h2,p,label,button,time,code,input,textarea")]
            .filter((e) => e.checkVisibility() && (e.textContent || e.value !== undefined))
            .map((e) => {
              const [low, high] = [getComputedStyle(e).color, null].map((c) => luminance(c ? parts(c) : behind(e)))
                .sort((a, b) => a - b);
              return [e.outerHTML.slice(0, 60), (high + 0.05) / (low + 0.05)];
            })
            .filter(([, ratio]) => ratio < 4.5);
        })()"""
    )
    assert poor == []
    unnamed = desk.browser.script(
        """[...document.querySelectorAll("input,textarea,button")]
          .filter((e) => !(e.labels?.length || e.textContent.trim())).map((e) => e.outerHTML)"""
    )
    assert unnamed == []
