"""A real browser, driven over a pair of pipes: opens a file, tells what it measures, takes pictures, prints.

The protocol is Chromium's own (https://chromedevtools.github.io/devtools-protocol/): JSON messages parted by NUL bytes.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ANSWER_S = 60.0


def program() -> str | None:
    """Return the browser of this machine, None when there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@dataclass
class Browser:
    """One browser with one page. `complaints` collects what the page logged, threw, or tried to load."""

    process: subprocess.Popen[bytes]
    to: int
    back: int
    session: str = ""
    complaints: list[str] = field(default_factory=list)
    _buffer: bytes = b""
    _sent: int = 0
    _events: list[Json] = field(default_factory=list)

    def send(self, method: str, **parameters: Any) -> Json:
        """Call a method of the protocol and return its result."""
        self._sent += 1
        message: Json = {"id": self._sent, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._sent:
                assert "error" not in answer, (method, answer["error"])
                result: Json = answer["result"]
                return result
            self._event(answer)

    def wait(self, event: str) -> None:
        """Return when an event has come."""
        while not any(one.get("method") == event for one in self._events):
            self._event(self._message())
        self._events.clear()

    def _message(self) -> Json:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self.back], [], [], ANSWER_S)
            assert ready, "the browser does not answer"
            part = os.read(self.back, 1 << 20)
            assert part, "the browser is gone"
            self._buffer += part
        first, _, self._buffer = self._buffer.partition(b"\0")
        message: Json = json.loads(first)
        return message

    def _event(self, message: Json) -> None:
        self._events.append(message)
        parameters = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(f"thrown: {parameters['exceptionDetails'].get('text')}")
            case "Runtime.consoleAPICalled":
                self.complaints.append(f"console: {parameters['args']}")
            case "Log.entryAdded":
                self.complaints.append(f"log: {parameters['entry']['text']}")
            case "Page.javascriptDialogOpening":
                self.complaints.append(f"dialog: {parameters['message']}")
            case "Network.requestWillBeSent":
                if not parameters["request"]["url"].startswith(("file:", "data:")):
                    self.complaints.append(f"request: {parameters['request']['url']}")

    # --- the page ----------------------------------------------------------------------------------------------------

    def open(self, path: Path, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Open a file as a window of that many CSS pixels shows it."""
        self.complaints.clear()
        phone = width < 600
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone)
        self.media("screen", dark=dark)
        self._events.clear()
        self.send("Page.navigate", url=path.as_uri())
        self.wait("Page.loadEventFired")

    def media(self, kind: str, *, dark: bool = False) -> None:
        """Show the page as on a screen or in print, light or dark."""
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.send("Emulation.setEmulatedMedia", media=kind, features=features)

    def ask(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def key(self, name: str) -> None:
        """Press a key."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if name == "Enter" and kind == "keyDown" else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=codes[name], **text)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Save a PNG of the page, all of it or what is in the window."""
        path.write_bytes(b64decode(self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]))

    def pdf(self) -> bytes:
        """Return the page as printed."""
        self.send("Emulation.setEmulatedMedia", media="", features=[])
        printed = self.send("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        return b64decode(printed["data"])


@contextmanager
def running(folder: Path) -> Iterator[Browser]:
    """Start a browser with a profile in `folder`, without any network, and end it."""
    found = program()
    assert found is not None
    out, to = os.pipe()
    back, into = os.pipe()
    options = (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank"),
    )
    # The browser reads commands from descriptor 3 and answers on 4.
    shell = f'exec "$@" 3<&{out} 4>&{into}'
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", found, *options], pass_fds=(out, into), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(out)
    os.close(into)
    browser = Browser(process, to, back)
    try:
        target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        browser.session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            browser.send(f"{domain}.enable")
        yield browser
        browser.session = ""
        browser.send("Browser.close")
        process.wait(timeout=20)
    finally:
        process.kill()
        process.wait()
        os.close(to)
        os.close(back)
