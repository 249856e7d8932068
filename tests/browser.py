"""Headless Chromium, driven over its own protocol: https://chromedevtools.github.io/devtools-protocol/

A page is opened, looked at with JavaScript, and used with real keys.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

__all__ = ["CHROMIUM", "Browser"]

CHROMIUM = shutil.which("chromium")
_SECONDS = 30.0
_KEYS = {"Tab": 9, "Enter": 13, " ": 32}


class Browser:
    """One page. `complaints` are what it wrote to the console as an error or a warning, among them what its
    Content-Security-Policy refused."""

    def __init__(self, folder: Path, *, width: int = 1000, height: int = 900) -> None:
        assert CHROMIUM is not None
        # The protocol's pipe is file descriptor 3 to the browser and 4 from it.
        there, self._write = os.pipe()
        self._read, back = os.pipe()
        self.process = subprocess.Popen(
            [
                *("bash", "-c", f'exec 3<&{there} 4>&{back} {there}<&- {back}>&-; exec "$@"', "chromium", CHROMIUM),
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *(f"--user-data-dir={folder}", f"--window-size={width},{height}", "--remote-debugging-pipe"),
            ],
            pass_fds=(there, back),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(there)
        os.close(back)
        self.complaints: list[str] = []
        self._number, self._buffer, self._loaded = 0, b"", False
        self._session: str | None = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._session = None
        self._call("Browser.close")
        self.process.wait(_SECONDS)
        os.close(self._write)
        os.close(self._read)

    def open(self, url: str) -> None:
        """Opens a page, and waits until it is loaded."""
        self._loaded = False
        self._call("Page.navigate", url=url)
        self._loading()

    def reload(self) -> None:
        """Opens the same page again."""
        self._loaded = False
        self._call("Page.reload")
        self._loading()

    def script(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited where it is a promise."""
        done = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Waits until an expression is true, and returns its value."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if value := self.script(expression):
                return value
            self.script("new Promise((resolve) => setTimeout(resolve, 20))")
        raise AssertionError(f"never true: {expression}; the page says: {self.text('body')!r}")

    def text(self, selector: str) -> str:
        """The visible text of an element."""
        found: str = self.script(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    def type(self, text: str) -> None:
        """Types into what has the focus."""
        self._call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Presses Tab, Enter or the space bar."""
        typed = {"Enter": "\r", " ": " "}.get(key)
        named = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": _KEYS[key]}
        self._call("Input.dispatchKeyEvent", type="keyDown", **named, **({"text": typed} if typed else {}))
        self._call("Input.dispatchKeyEvent", type="keyUp", **named)

    def emulate(self, *, width: int, height: int, dark: bool = False) -> None:
        """Gives the page another size, and the colour scheme that its reader prefers."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, file: Path) -> None:
        """Writes the whole page as a PNG file."""
        done = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(done["data"]))

    def _loading(self) -> None:
        deadline = time.monotonic() + _SECONDS
        while not self._loaded:
            self._took(self._message(deadline))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        sent: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            sent["sessionId"] = self._session
        os.write(self._write, json.dumps(sent).encode() + b"\0")
        deadline = time.monotonic() + _SECONDS
        while True:
            message = self._message(deadline)
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self._took(message)

    def _took(self, event: dict[str, Any]) -> None:
        match event.get("method"), event.get("params"):
            case "Page.loadEventFired", _:
                self._loaded = True
            case "Log.entryAdded", {"entry": {"level": "error" | "warning", "text": str(text)}}:
                self.complaints.append(text)
            case "Runtime.consoleAPICalled", {"type": "error" | "warning", "args": arguments}:
                self.complaints.append(json.dumps(arguments))
            case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                self.complaints.append(json.dumps(details))

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self._read, 1 << 20) if ready else b""
            if not chunk:
                raise TimeoutError(f"Chromium said nothing for {_SECONDS:g} seconds, or ended")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message
