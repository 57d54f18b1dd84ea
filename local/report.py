"""`make incidents`, `make incident ID=…`, `make report INCIDENT=…`: what the local stack tells of its incidents.

`python -m local.report list | show ID | write ID`. A report is written to `.local/reports/`, as Markdown and as a page
to open in a browser; to show one draws its timeline.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.table import Table

from local import invoke, stack
from local.account import Account
from local.emulator.control import Emulator
from local.timeline import Line, Screen

FOLDER = stack.LOCAL / "reports"
_COLUMNS = {"red at": "red_at", "": "severity", "system": "system", "response": "response", "phase": "phase",
            "incident": "incident"}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    what, *named = sys.argv[1:] if arguments is None else arguments
    incident = named[0] if named else ""
    if what != "list" and not incident:
        print(f"error: which one? make {what} ID=…; make incidents lists those that are open", file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    asked = FOLDER / "asked.json"
    asked.write_text(json.dumps({"incident": incident} if incident else {}))
    code, text = invoke.answer_of("Report", asked, quiet=True)
    if code:
        return code
    answer: dict[str, Any] = json.loads(text)
    if "error" in answer:
        print(f"error: {answer['error']}", file=sys.stderr)
        return 1
    if what == "list":
        _list(answer["open"])
        return 0
    _show(answer)
    return _write(answer) if what == "write" else 0


def _list(incidents: list[dict[str, Any]]) -> None:
    screen = Screen()
    if not incidents:
        screen.say("no incident is open")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in _COLUMNS:
        table.add_column(title, overflow="fold", no_wrap=title == "incident")
    for one in sorted(incidents, key=lambda one: str(one["red_at_s"])):
        table.add_row(*(one[name] for name in _COLUMNS.values()))
    screen.console.print(table)


def _show(answer: dict[str, Any]) -> None:
    screen = Screen()
    screen.red_at = answer["red_at_s"]
    screen.heading(f"{answer['severity']} {answer['system']}: {answer['response']}, {answer['verdict']}")
    screen.say(f"  {answer['incident']}, red at {answer['red_at']}")
    for moment in answer["moments"]:
        detail = f": {moment['detail']}" if moment["detail"] else ""
        took = f" ({moment['until'] - moment['at']:.1f} s)" if moment["until"] else ""
        screen.line(Line(moment["at"], moment["kind"], f"{moment['title']}{took}{detail}"))


def _write(answer: dict[str, Any]) -> int:
    if "kept" not in answer:
        print(f"error: the report was not kept: {answer['not_kept']}", file=sys.stderr)
        return 1
    s3 = Account(Emulator.attach(stack.home_of(stack.chosen_port())).endpoint).client("s3")
    for where in answer["kept"].values():
        bucket, _, key = where.removeprefix("s3://").partition("/")
        copy = FOLDER / Path(key).name
        copy.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        print(f"written: {copy.relative_to(stack.LOCAL.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
