"""A headless Chromium, driven over a pipe by the protocol of its developer tools: no port, no package."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 60.0
_READS, _WRITES = 3, 4
"""Where Chromium reads commands and writes answers."""


class NoBrowser(Exception):
    """There is none; the message says how to get one."""


class BrowserFailed(Exception):
    """It did not do what it was asked for; the message carries what it said."""


def find(environment: Mapping[str, str]) -> str:
    """CHROME of the environment, else the first that is installed. Raises NoBrowser."""
    chosen = environment.get("CHROME")
    found = shutil.which(chosen) if chosen else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        what = f"{chosen} is no program" if chosen else "there is no Chromium"
        raise NoBrowser(f"{what}: on Debian `apt-get install chromium`; else name one: make screenshots CHROME=/path")
    return found


class Browser:
    """One page of a running browser."""

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes = reads, writes
        self._buffer = b""
        self._number = 0
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = str(self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def open(self, url: str, width: int, height: int) -> None:
        """Go there, in a window of this size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._send("Emulation.setDeviceMetricsOverride", **metrics)
        self._send("Page.navigate", url=url)

    def prefer(self, scheme: str) -> None:
        """What the person is said to prefer: `light` or `dark`."""
        self._send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def until(self, condition: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until this expression of JavaScript is true. Raises BrowserFailed."""
        deadline = time.monotonic() + patience_s
        while not self.value(f"Boolean({condition})"):
            if time.monotonic() > deadline:
                raise BrowserFailed(
                    f"waited {patience_s:.0f} s for {condition}; {self.value('document.body.innerText')}"
                )
            time.sleep(0.1)

    def value(self, expression: str) -> Any:
        """What the expression is on the page."""
        told = self._send("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in told:
            raise BrowserFailed(f"{expression}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def click(self, selector: str, text: str = "") -> None:
        """Press the first element that is shown, fits the selector and has this text, where a person would."""
        fitting = f"[...document.querySelectorAll({json.dumps(selector)})].find(one => one.textContent.trim()"
        find = f"{fitting}.startsWith({json.dumps(text)}) && one.getClientRects().length)"
        self.until(find)
        self.value(f"{find}.scrollIntoView({{block: 'center'}})")
        x, y = self.value(f"(one => [one.x + one.width / 2, one.y + one.height / 2])({find}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, selector: str, text: str) -> None:
        """Fill a field in, key by key."""
        self.until(f"document.querySelector({json.dumps(selector)})")
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        self._send("Input.insertText", text=text)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """The page as PNG, from top to end; or with ``whole`` false, what the window shows."""
        clip: dict[str, Any] = {}
        if whole:
            size = self._send("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1},
                    "captureBeyondViewport": True}  # fmt: skip
        path.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", format="png", **clip)["data"]))

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if hasattr(self, "_session"):
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while True:
            told = json.loads(self._next(method))
            if told.get("id") == self._number:
                break
        if "error" in told:
            raise BrowserFailed(f"{method}: {told['error']}")
        result: dict[str, Any] = told["result"]
        return result

    def _next(self, method: str) -> bytes:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reads], [], [], PATIENCE_S)
            some = os.read(self._reads, 1 << 20) if ready else b""
            if not some:
                raise BrowserFailed(f"no answer to {method}")
            self._buffer += some
        message, _, self._buffer = self._buffer.partition(b"\0")
        return message


@contextmanager
def started(program: str) -> Iterator[Browser]:
    """While the block runs; it leaves nothing behind."""
    its_reads, our_writes = os.pipe()
    our_reads, its_writes = os.pipe()

    def hand_over() -> None:  # the pipes, under the numbers at which Chromium looks for them
        first, second = os.dup(its_reads), os.dup(its_writes)
        os.dup2(first, _READS)
        os.dup2(second, _WRITES)

    with tempfile.TemporaryDirectory(prefix="selfheal-browser-", ignore_cleanup_errors=True) as home:
        options = ["--headless=new", "--remote-debugging-pipe", f"--user-data-dir={home}", "--no-first-run",
                   "--hide-scrollbars", "--disable-gpu", "--disable-extensions", "--disable-background-networking",
                   "--no-proxy-server", "--force-color-profile=srgb", "--lang=en-GB"]  # fmt: skip
        options += ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has no sandbox for root
        running = subprocess.Popen(
            [program, *options, "about:blank"],
            close_fds=False,
            preexec_fn=hand_over,  # noqa: PLW1509
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TZ": "UTC"},
        )
        os.close(its_reads)
        os.close(its_writes)
        try:
            yield Browser(our_reads, our_writes)
        finally:
            running.terminate()
            running.wait(10)
            os.close(our_reads)
            os.close(our_writes)
