"""`make compare`: which decisions change with the runbooks of the working copy? Markdown, for a pull request.

Both versions of the runbooks get the same alarms: each alarm of each response red once, in a world of its own, and
the histories that are given. Nothing is called and nothing is changed; it needs git and no AWS account.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfheal.replay import history, table
from selfheal.replay.simulation import Plan, replay
from selfheal.runbook import Runbooks, read_runbooks
from selfheal.words import ResponseMode
from selfheal_build.runbooks import compiler, every_alarm
from selfheal_build.runbooks.problems import RunbooksInvalid

from local.emulator.environments import REPOSITORY

RUNBOOKS = "layers/runbooks"
MAX_COMMENT = 60_000
"""GitHub takes 65,536 characters."""
_SHOWN = frozenset({"alarm", "step", "incident"})


@dataclass(frozen=True)
class Changed:
    """What is decided otherwise about one alarm, or in one history."""

    title: str
    diff: tuple[str, ...]


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    os.environ.setdefault("EVENT_BUS", "compare")
    os.environ.setdefault("LEDGER_TABLE", "compare")
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"
    try:
        before, after = _compiled_at(given.base), compiler.compile_folder(REPOSITORY / RUNBOOKS, RUNBOOKS)
        histories = {str(path): history.events_in(json.loads(path.read_text(encoding="utf-8"))) for path in given.file}
    except RunbooksInvalid as error:
        print(f"### These runbooks are not valid\n\n```text\n{error}\n```")
        return 1
    except subprocess.CalledProcessError as error:
        print(
            f"error: {given.base!r} is no commit or branch with runbooks here: {error.stderr.strip()}", file=sys.stderr
        )
        return 2
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report(before, after, histories, given.base))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make compare", description=__doc__)
    parser.add_argument("--base", default="main", help="the commit or branch to compare with")
    parser.add_argument("--file", type=Path, action="append", default=[], help="a history to replay through both")
    return parser


def report(
    before: Mapping[str, Any], after: Mapping[str, Any], histories: Mapping[str, Sequence[Any]], base: str
) -> str:
    """Markdown: what changes, alarm by alarm; alarms with the same change stand together."""
    alarms = every_alarm.events((before, after))
    changed = list(_changes(read_runbooks(before), read_runbooks(after), {**alarms, **histories}))
    tried = f"{len(alarms)} alarms, each red once" + "".join(f", and {name}" for name in histories)
    head = f"Compared with `{base}`; tried: {tried}. `MaxMode` is taken as `auto`, every step as done at once."
    if not changed:
        return f"### No decision changes\n\n{head}"
    title = f"### {len(changed)} alarms or histories are decided otherwise"
    return _as_much_as_fits([title, head, *map(_block, _together(changed))], base)


def _block(one: Changed) -> str:
    lines = "\n".join(one.diff).replace("```", "'''")  # a runbook's own text must not end the block
    return f"**{one.title}**\n\n```diff\n{lines}\n```"


def _as_much_as_fits(blocks: list[str], base: str) -> str:
    fitting: list[str] = []
    for number, block in enumerate(blocks):
        if sum(map(len, fitting)) + len(block) > MAX_COMMENT:
            fitting.append(f"{len(blocks) - number} more do not fit here: `make compare BASE={base}`")
            break
        fitting.append(block)
    return "\n\n".join(fitting)


def _changes(before: Runbooks, after: Runbooks, tried: Mapping[str, Sequence[Any]]) -> Iterator[Changed]:
    for name, events in tried.items():
        was, now = _decisions(before, events), _decisions(after, events)
        if was != now:
            lines = difflib.unified_diff(was, now, lineterm="", n=2)
            yield Changed(name, tuple(line for line in lines if not line.startswith(("---", "+++", "@@"))))


def _decisions(runbooks: Runbooks, events: Sequence[Any]) -> list[str]:
    home = history.home_of(events)
    if home is None:
        raise ValueError("a history without an alarm")
    plan = Plan(runbooks=runbooks, home=home, max_mode=ResponseMode.AUTO)
    story = replay(history.deliveries(events, home), plan)
    return [" ".join(text.split()) for kind, text in table.lines(story, []) if kind in _SHOWN]


def _together(changed: Iterable[Changed]) -> list[Changed]:
    """Stages of one system change alike: told once, but for their names."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for one in changed:
        alike.setdefault(tuple(line.replace(one.title, "…") for line in one.diff), []).append(one.title)
    return [Changed(", ".join(titles), diff) for diff, titles in alike.items()]


def _compiled_at(base: str) -> dict[str, Any]:
    """The runbooks of another commit, compiled by the compiler of this one."""
    listed = _git("ls-tree", "--name-only", f"{base}:{RUNBOOKS}").splitlines()
    with tempfile.TemporaryDirectory() as scratch:
        for name in listed:
            if name.endswith((".yaml", ".yml")):
                (Path(scratch) / name).write_text(_git("show", f"{base}:{RUNBOOKS}/{name}"), encoding="utf-8")
        return compiler.compile_folder(Path(scratch), f"{base}:{RUNBOOKS}")


def _git(*arguments: str) -> str:
    run = subprocess.run(
        ["git", *arguments], cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    return run.stdout


if __name__ == "__main__":
    sys.exit(main())
