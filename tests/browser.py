"""Headless Chromium, spoken to over the pipe of its DevTools protocol; for tests of pages."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

__all__ = ["Browser", "Page", "needs_chromium"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FOUND = next((path for name in _NAMES if (path := shutil.which(name))), None)
_LIMIT_S = 60.0

needs_chromium = pytest.mark.skipif(_FOUND is None, reason="needs Chromium: apt install chromium")


class Browser:
    """A browser process; a context that ends it."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="tokenclock-chromium-", ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        flags = (
            *("--headless", "--no-sandbox", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--no-first-run"),
            *("--enable-unsafe-swiftshader", "--disable-background-networking", "--disable-component-update"),
            f"--user-data-dir={self._profile.name}",
        )
        command = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, str(_FOUND), *flags],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        os.set_blocking(self._in, False)
        self._buffer, self._last_id = b"", 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, AssertionError):
            self.send("Browser.close")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """One command and its answer; events that come meanwhile are kept."""
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        for answer in self._messages():
            if answer.get("id") == self._last_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                found: dict[str, Any] = answer["result"]
                return found
            self.events.append(answer)
        raise AssertionError("unreachable")

    def wait_for(self, method: str) -> None:
        """Until such an event has come."""
        if any(event.get("method") == method for event in self.events):
            return
        for event in self._messages():
            self.events.append(event)
            if event.get("method") == method:
                return

    def _messages(self) -> Iterator[dict[str, Any]]:
        end_s = time.monotonic() + _LIMIT_S
        while True:
            while b"\0" in self._buffer:
                text, _, self._buffer = self._buffer.partition(b"\0")
                yield json.loads(text)
            assert time.monotonic() < end_s, "Chromium did not answer"
            assert self._process.poll() is None, "Chromium ended"
            try:
                self._buffer += os.read(self._in, 1 << 20)
            except BlockingIOError:
                time.sleep(0.005)


class Page:
    """One page in the browser, from a file or an address; its requests and what it said on the console are kept."""

    def __init__(
        self, browser: Browser, path: Path | str, *, width: int = 1300, height: int = 900, dark: bool = False
    ) -> None:
        self._browser = browser
        browser.events = [event for event in browser.events if event.get("method") != "Page.loadEventFired"]
        target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            self._send(f"{domain}.enable")
        phone = width < 500
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.set_dark(dark)
        started_s = time.monotonic()
        self._send("Page.navigate", url=path if isinstance(path, str) else path.resolve().as_uri())
        browser.wait_for("Page.loadEventFired")
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
        self.opened_in_s = time.monotonic() - started_s
        """From the address to the second frame after everything was loaded."""

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.send(method, self._session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript, promises awaited."""
        found = self._send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def set_dark(self, dark: bool) -> None:
        """Whether the system prefers dark pages."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, key: str) -> None:
        """A key, down and up."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            self._send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, text=text)

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        found = self._send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def print_bytes(self) -> bytes:
        """The page as PDF."""
        return base64.b64decode(self._send("Page.printToPDF", printBackground=False)["data"])

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings on the console, and exceptions."""
        found = []
        for event in self._browser.events:
            if event.get("sessionId") != self._session:
                continue
            method, told = event["method"], event["params"]
            if method == "Runtime.exceptionThrown":
                found.append(json.dumps(told["exceptionDetails"])[:300])
            elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
                found.append(json.dumps(told["args"])[:300])
            elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
                found.append(told["entry"]["text"])
        return found

    @property
    def requests(self) -> list[str]:
        """Addresses asked for, besides the page itself and data within it."""
        urls = [
            event["params"]["request"]["url"]
            for event in self._browser.events
            if event.get("method") == "Network.requestWillBeSent" and event.get("sessionId") == self._session
        ]
        return [url for url in urls[1:] if not url.startswith(("data:", "blob:"))]
