"""`make screenshots`: the story of the demo on a stack of its own, looked at and decided in a real browser.

Writes docs/pictures/: the control room, where it presses pause and approve as a person would and fails if the answer is
not what it should be; the report of the incident; the terminal of the demo.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from local import demo, stack
from local.account import Account
from local.emulator.control import EmulatorError
from local.emulator.environments import REPOSITORY, InstallError
from local.sam import SamFailed
from local.screenshots import browser, png, terminal
from local.screenshots.browser import Browser, BrowserFailed, NoBrowser
from local.timeline import Screen
from local.ui import server
from local.ui.functions import Functions

FOLDER = REPOSITORY / "docs" / "pictures"
WIDE, NARROW, HEIGHT = 1280, 460, 860
REPORT_WIDTH, REPORT_HEIGHT = 1000, 1120
MAX_ALL_BYTES = 800_000
OPEN_WITHIN_S = 120.0
DECISION_WITHIN_S = 300.0
SHOWN = "document.body.dataset.state === 'shown'"


def main() -> int:
    screen = Screen()
    try:
        program = browser.find(os.environ)
        with screen.busy():
            running = stack.start(None, stack.LOCAL / "stacks" / "screenshots", screen.step, detached=False)
        shown = terminal.Recorded()
        try:
            with server.served(running.emulator.endpoint) as page, browser.started(program) as driven:
                Story(screen, page.url, driven, Functions(running.emulator.endpoint)).tell(
                    lambda: demo.play(shown, running, keep=True)
                )
                _report(screen, driven, running.account)
        finally:
            running.stop()
    except (NoBrowser, BrowserFailed, InstallError, EmulatorError, SamFailed) as error:
        screen.say(f"error: {error}", style="bold red")
        return 1
    (FOLDER / "demo.svg").write_text(shown.svg("make demo"), encoding="utf-8")
    size = sum(path.stat().st_size for path in FOLDER.iterdir())
    screen.say(f"{size // 1000} KB of pictures in {FOLDER.relative_to(REPOSITORY)}; look at each of them")
    return int(size > MAX_ALL_BYTES)


def _report(screen: Screen, driven: Browser, account: Account) -> None:
    """The report that was written when the incident was closed, as a person would open it."""
    s3, bucket = account.client("s3"), account.outputs(stack.NAME)["ArchiveBucketName"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="reports/").get("Contents", ())
    keys = [one["Key"] for one in listed if one["Key"].endswith(".html")]
    if not keys:
        raise BrowserFailed("no report was written")
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "report.html"
        page.write_bytes(s3.get_object(Bucket=bucket, Key=keys[0])["Body"].read())
        for scheme, name in (("light", "report.png"), ("dark", "report-dark.png")):
            driven.prefer(scheme)
            driven.open(page.as_uri(), REPORT_WIDTH, REPORT_HEIGHT)
            driven.until("document.readyState === 'complete' && document.querySelector('main')")
            _keep(screen, driven, FOLDER / name, whole=False)


def _keep(screen: Screen, driven: Browser, path: Path, *, whole: bool) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    driven.picture(path, whole=whole)
    png.shrink(path)
    screen.say(f"  {path.name}  {path.stat().st_size // 1000} KB")


class Story:
    """The pictures in the order in which they happen."""

    def __init__(self, screen: Screen, url: str, driven: Browser, functions: Functions) -> None:
        self._screen, self._url, self._driven, self._functions = screen, url, driven, functions

    def tell(self, play: Callable[[], int]) -> None:
        """All of it. Raises BrowserFailed."""
        self._take("nothing-open")
        with ThreadPoolExecutor(max_workers=1) as side:
            going_on = side.submit(play)
            self._wait_for_an_open_incident(going_on)
            self._take("open")
            self._take("open-dark", dark=True)
            self._wait_for_a_decision(going_on)
        self._pause()
        self._take("waits")
        self._take("waits-dark", dark=True)
        self._take("narrow-dark", dark=True, width=NARROW)
        self._approve()

    def _wait_for_an_open_incident(self, going_on: Future[int]) -> None:
        """Contained, rolled back, and not green yet."""
        deadline = time.monotonic() + OPEN_WITHIN_S
        while "it settles for" not in self._functions.widget({}):
            if time.monotonic() > deadline or going_on.done():
                raise BrowserFailed("no incident was seen that settles")
            time.sleep(0.5)

    def _wait_for_a_decision(self, going_on: Future[int]) -> None:
        """Healed, and a person may resume trading. A slow machine is too late for the demo, not for pictures."""
        deadline = time.monotonic() + DECISION_WITHIN_S
        while "Waits for your decision" not in self._functions.widget({}):
            if time.monotonic() > deadline:
                raise BrowserFailed("nothing waits for a decision; make demo says why it does not heal")
            time.sleep(1)
        going_on.result()

    def _pause(self) -> None:
        self._open()
        self._fill_in("network maintenance, alarms are expected")
        self._press("Pause what is risky", "risky actions paused")

    def _approve(self) -> None:
        """The picture is of the answer, with the page behind it."""
        self._open()
        self._fill_in("the rollback holds, the orders are as they should be")
        self._driven.click(".sh-btn", "Approve")
        self._driven.until("document.getElementById('ask').open")
        self._picture("asks", whole=False)
        self._answer("approved")
        self._picture("answer", whole=False)

    def _fill_in(self, reason: str) -> None:
        self._driven.write("input[name=requested_by]", "ann")
        self._driven.write("input[name=reason]", reason)

    def _press(self, button: str, answer: str) -> None:
        self._driven.click(".sh-btn", button)
        self._answer(answer)
        self._driven.click("#answer button", "Close")
        self._driven.until(f"!document.getElementById('answer').open && {SHOWN}")

    def _answer(self, answer: str) -> None:
        self._driven.click("#ask button", "Yes")
        self._driven.until(f"document.getElementById('answer').innerText.includes('{answer}')")

    def _take(self, name: str, *, dark: bool = False, width: int = WIDE) -> None:
        self._open(dark=dark, width=width)
        self._picture(name)

    def _open(self, *, dark: bool = False, width: int = WIDE) -> None:
        self._driven.open(f"{self._url}/?theme={'dark' if dark else 'light'}", width, HEIGHT)
        self._driven.until(f"document.body && {SHOWN}")

    def _picture(self, name: str, *, whole: bool = True) -> None:
        _keep(self._screen, self._driven, FOLDER / f"control-room-{name}.png", whole=whole)


if __name__ == "__main__":
    sys.exit(main())
