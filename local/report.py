"""`make incidents`, `make incident ID=…`, `make report INCIDENT=…`: what the local stack tells of its incidents.

`python -m local.report list | show ID | write ID`: those that are open or were closed lately, one with its timeline
and the commands to decide, its report. A report is written to `.local/reports/`, as Markdown and as a page to open in
a browser.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from local import invoke, stack
from local.account import Account
from local.emulator.control import Emulator
from local.timeline import Line, Screen

FOLDER = stack.LOCAL / "reports"
_TYPED = {"show": "make incident ID=…", "write": "make report INCIDENT=…"}


def main(arguments: list[str] | None = None) -> int:
    what, *named = sys.argv[1:] if arguments is None else arguments
    incident = named[0] if named else ""
    if what != "list" and not incident:
        print(f"error: which one? {_TYPED[what]}; make incidents lists them", file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    asked = FOLDER / "asked.json"
    asked.write_text(json.dumps({"incident": incident} if incident else {}))
    code, text = invoke.answer_of("Report", asked, quiet=True)
    if code:
        return code
    answer: dict[str, Any] = json.loads(text)
    if "error" in answer:
        print(f"error: there is no incident {incident!r}; make incidents{_port()} lists them", file=sys.stderr)
        return 1
    screen = Screen()
    if what == "list":
        _list(screen, answer)
        return 0
    _show(screen, answer)
    return _write(answer) if what == "write" else 0


def _port() -> str:
    """What a command needs to lead to the same stack."""
    port = stack.chosen_port()
    return "" if port == stack.DEFAULT_PORT else f" PORT={port}"


def _list(screen: Screen, answer: dict[str, Any]) -> None:
    opened = sorted(answer["open"], key=lambda one: float(one["red_at_s"]))
    screen.say(f"{len(opened)} open" if opened else "no incident is open", "bold")
    for one in opened:
        _item(screen, one, one["phase"])
    if answer.get("closed", []):
        screen.heading("closed today and yesterday")
    for one in answer.get("closed", []):
        _item(screen, one, one["verdict"] + (", a step waits for a person" if one["waits"] else ""))


def _item(screen: Screen, one: dict[str, Any], stands: str) -> None:
    what = f"{one['severity']} {one['system']}: {one['response']}; {stands}; red at {one['red_at']}"
    screen.sentence(what, first="  ", indent=5)
    screen.say(f"     make incident{_port()} ID={one['incident']}")


def _show(screen: Screen, answer: dict[str, Any]) -> None:
    screen.red_at = answer["red_at_s"]
    screen.heading(f"{answer['severity']} {answer['system']}: {answer['response']}, {answer['verdict']}")
    screen.say(f"  {answer['incident']}, red at {answer['red_at']}")
    for moment in answer["moments"]:
        detail = f": {moment['detail']}" if moment["detail"] else ""
        took = f" ({moment['until'] - moment['at']:.1f} s)" if moment["until"] else ""
        screen.line(Line(moment["at"], moment["kind"], f"{moment['title']}{took}{detail}"))
    if answer.get("commands", []):
        env = stack.home_of(stack.chosen_port()) / "env"
        screen.heading(f"To decide, to undo (first `. {stack.shown(env)}`; or make ui{_port()})")
    for command in answer.get("commands", []):
        screen.say(f"  {command['what']}")
        screen.say(f"    {command['line']}", "bold")


def _write(answer: dict[str, Any]) -> int:
    if "kept" not in answer:
        print(f"error: the report was not kept: {answer['not_kept']}", file=sys.stderr)
        return 1
    s3 = Account(Emulator.attach(stack.home_of(stack.chosen_port())).endpoint).client("s3")
    for where in answer["kept"].values():
        bucket, _, key = where.removeprefix("s3://").partition("/")
        copy = FOLDER / Path(key).name
        copy.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        print(f"written: {stack.shown(copy)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
