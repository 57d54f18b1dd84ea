"""Procedures: what stays with a person, told with its exact commands. Nothing here does any of it.

The build has filled in every name. An action of selfheal in a procedure is asked for by a command as well, and every
guard is asked then as it is for any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from selfheal import commands
from selfheal.errors import Refused
from selfheal.refusal import Refusal
from selfheal.runbook import Runbooks

Procedure = Mapping[str, Any]
FIRST_STEPS = 3
FIRST_LINES = 12
"""As much of a procedure stands in a message; who reads on is at a keyboard."""


def answer(event: Mapping[str, Any], runbooks: Runbooks, stack: str) -> dict[str, Any]:
    """The whole procedure that a person asks for by `{"procedure": "system/name"}`, as data and as Markdown."""
    asked, strange = event.get("procedure"), sorted(str(name) for name in event if name != "procedure")
    if strange or not isinstance(asked, str):
        return _refused(
            Refusal.NOT_A_REQUEST, f"""write {{"procedure": "system/name"}} and no more; got {strange[:5]}"""
        )
    try:
        system, procedure = find(asked, runbooks)
    except Refused as refused:
        return _refused(refused.refusal, refused.detail)
    whole = {**procedure, "steps": [_with_command(step, stack) for step in procedure["steps"]]}
    return {"decision": "told", "procedure": {"system": system, **whole}, "text": markdown(system, procedure, stack)}


def find(asked: str, runbooks: Runbooks) -> tuple[str, Procedure]:
    """System and procedure by `system/name`. Raises Refused(BAD_TARGET) with those of the system, else the systems."""
    system, _, name = asked.rpartition("/")
    runbook = runbooks.system(system)
    if runbook is None:
        systems = ", ".join(one.system for one in runbooks.runbooks)
        raise Refused(Refusal.BAD_TARGET, f"there is no system {system!r:.100}; known are {systems}")
    procedure = runbook.procedure(name)
    if procedure is None:
        known = ", ".join(one["name"] for one in runbook.procedures) or "none"
        raise Refused(Refusal.BAD_TARGET, f"{system} has no procedure {name!r:.100}; known are {known}")
    return system, procedure


def command(ask: Mapping[str, Any], stack: str) -> str:
    """The command that asks selfheal for an action."""
    return commands.invoke(ask["function"], ask["event"], stack)


def markdown(system: str, procedure: Procedure, stack: str) -> str:
    """For a terminal, a ticket, a wiki."""
    severity = f" ({procedure['severity']})" if procedure["severity"] else ""
    parts = [f"# {system}: {procedure['name']}{severity}", f"When: {procedure['when']}"]
    for number, step in enumerate(procedure["steps"], 1):
        if "say" in step:
            parts.append(f"{number}. {_indented(step['say'])}")
        else:
            what = "Run:" if "run" in step else f"Ask selfheal for {_asked(step['ask'])}:"
            typed = step["run"] if "run" in step else command(step["ask"], stack)
            parts.append(f"{number}. {what}\n\n   ```sh\n   {_indented(typed)}\n   ```")
    return "\n\n".join(parts) + "\n"


def lines(system: str, procedure: Procedure, stack: str) -> list[str]:
    """Its beginning, for a message."""
    steps = list(procedure["steps"])
    told = [text for number, step in enumerate(steps[:FIRST_STEPS], 1) for text in _lines(number, step, stack)]
    rest = len(steps) > FIRST_STEPS or len(told) > FIRST_LINES
    more = f"  the whole of it, {len(steps)} steps: make procedure SYSTEM={system} NAME={procedure['name']}"
    head = f"Procedure {procedure['name']}: {procedure['when']}"
    return [head, *told[:FIRST_LINES], *([more] if rest else [])]


def _lines(number: int, step: Mapping[str, Any], stack: str) -> Iterator[str]:
    text = step.get("say") or step.get("run") or command(step["ask"], stack)
    first, *others = text.split("\n")
    yield f"  {number}. {'' if 'say' in step else '$ '}{first}"
    yield from (f"     {other}" for other in others)


def _with_command(step: Mapping[str, Any], stack: str) -> Mapping[str, Any]:
    return {**step, "command": command(step["ask"], stack)} if "ask" in step else step


def _asked(ask: Mapping[str, Any]) -> str:
    return f"`{ask['event']['action']}`"


def _indented(text: str) -> str:
    return text.replace("\n", "\n   ")


def _refused(refusal: Refusal, detail: str) -> dict[str, Any]:
    return {"decision": "refused", "reason": refusal.value, "detail": detail}
