"""All runbooks of a folder, together: one system for each stage, no alarm that two responses want, one JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

from selfheal.target import read_target

from . import cron, procedures, rules
from .document import Document, read
from .models import DEFAULT_SETTLE_S, MaintenancePart, ResponsePart, RolloutPart, RunbookPart, Window
from .patterns import common_name
from .problems import Problem, RunbooksInvalid, nearest
from .shape import read_shape
from .steps import ROLLS_OUT, StepPart
from .targets import TargetPart, kind_of
from .values import STAGE

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Source:
    """One file that was read without a problem of its own."""

    document: Document
    runbook: RunbookPart

    def systems(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(stage, compiled system) for each stage; the stage is empty where there are none."""
        compiled = _system(self)
        for stage in self.runbook.stages or [""]:
            parts = [part for part in self.runbook.rollouts if stage in (part.stages or [stage])]
            whole = {**compiled, "rollouts": [_rollout(part, self.runbook) for part in parts]}
            yield stage, _replace(whole, stage) if stage else whole


def compile_folder(folder: File, shown_as: str | None = None) -> dict[str, Any]:
    """The compiled form of every `*.yaml` in `folder`, files in the order of their names.

    `shown_as` is what the folder is called in messages. Raises RunbooksInvalid with every problem of every file.
    """
    prefix = f"{shown_as or folder}"
    problems = [
        Problem(f"{prefix}/{file.name}", 1, 1, "this file would be ignored; rename it to end in `.yaml`")
        for file in sorted(folder.glob("*.yml"))
    ]
    files = sorted(folder.glob("*.yaml"))
    if not files:
        problems.append(Problem(prefix, 1, 1, "there is no runbook here; add one that ends in `.yaml`"))
    return compile_files([(file, f"{prefix}/{file.name}") for file in files], problems, whole=True)


def compile_files(
    files: list[tuple[File, str]], problems: list[Problem] | None = None, *, whole: bool = False
) -> dict[str, Any]:
    """The compiled form of these files, each with its name for messages. Raises RunbooksInvalid.

    `whole`: there are no others, so that a rollout of another system must be in one of them.
    """
    sources, found = _read(files)
    found += problems or []
    found += _twice(sources)
    if len(sources) == len(files):  # else what is missing may stand in the one that is wrong
        found += _rollouts_to_come_first(sources, whole=whole)
    if found:
        raise RunbooksInvalid(found)
    return {"version": FORMAT_VERSION, "systems": [system for source in sources for _, system in source.systems()]}


def sources_of(folder: File, shown_as: str) -> list[Source]:
    """The files of a folder that have no problem of their own, with the places of all that stands in them."""
    sources, _ = _read([(file, f"{shown_as}/{file.name}") for file in sorted(folder.glob("*.yaml"))])
    return sources


def _read(files: list[tuple[File, str]]) -> tuple[list[Source], list[Problem]]:
    """Those that are right, and what is wrong with the others."""
    sources, found = [], []
    for file, name in files:
        document = read(file, name)
        found += document.problems
        if document.data is None:
            if not document.problems:
                found.append(document.problem((), "the file holds nothing; a runbook begins with `system:`"))
            continue
        runbook, wrong = read_shape(document)
        if runbook is not None:
            wrong = rules.findings(runbook, document)
        found += [document.problem(each.path, each.message, each.at_key) for each in wrong]
        if runbook is not None and not wrong:
            sources.append(Source(document, runbook))
    return sources, found


def write(compiled: dict[str, Any], out: File) -> None:
    """Write the compiled form: the same runbooks give the same bytes, and a reader never sees half a file."""
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(out.name + ".new")
    scratch.write_text(json.dumps(compiled, separators=(",", ":"), allow_nan=False) + "\n", encoding="ascii")
    os.replace(scratch, out)


def _twice(sources: list[Source]) -> Iterator[Problem]:
    """Systems and alarms that more than one runbook or response claims."""
    systems: dict[str, str] = {}
    claims: list[tuple[str, str, str, tuple[str, str, int]]] = []
    for source in sources:
        document = source.document
        for stage, system in source.systems():
            line, _ = document.place(("system",))
            where = f"{document.file}:{line}"
            if system["system"] in systems:
                message = f"system `{system['system']}` has a runbook already ({systems[system['system']]}); merge them"
                yield document.problem(("system",), message)
            systems.setdefault(system["system"], where)
            for number, response in enumerate(system["responses"]):
                owner = (document.file, stage, number)
                for index, pattern in enumerate(response["alarms"]):
                    path = ("responses", number, "alarms", index)
                    line, _ = document.place(path)
                    yield from _overlaps(document, path, pattern, owner, claims)
                    claims.append((pattern, f"{document.file}:{line}", response["name"], owner))


def _rollouts_to_come_first(sources: list[Source], *, whole: bool) -> Iterator[Problem]:
    systems = [(source, system) for source in sources for _, system in source.systems()]
    known = {f"{system['system']}/{rollout['name']}" for _, system in systems for rollout in system["rollouts"]}
    names = {system["system"] for _, system in systems}
    for source, system in systems:
        numbers = {rollout.name: number for number, rollout in enumerate(source.runbook.rollouts)}
        for rollout in system["rollouts"]:
            wanted = rollout["requires"]["rollout"] if rollout["requires"] else ""
            path = ("rollouts", numbers[rollout["name"]], "requires", "rollout")
            if wanted == f"{system['system']}/{rollout['name']}":
                yield source.document.problem(path, f"`{wanted}` would wait for itself; name the one before it")
            elif wanted and wanted not in known and (whole or wanted.rpartition("/")[0] in names):
                yield source.document.problem(path, f"there is no rollout `{wanted}`; {nearest(wanted, known)}")


def _overlaps(document: Document, path: Any, pattern: str, owner: Any, claims: Any) -> Iterator[Problem]:
    for other, where, name, other_owner in claims:
        if owner != other_owner and (alarm := common_name(pattern, other)) is not None:
            yield document.problem(
                path,
                f"`{pattern}` overlaps with `{other}` of response `{name}` ({where}): alarm `{alarm}` would fit"
                " both; narrow one of them",
            )
            return


def _replace(value: Any, stage: str) -> Any:
    if isinstance(value, str):
        return value.replace(STAGE, stage)
    if isinstance(value, dict):
        return {key: _replace(item, stage) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace(item, stage) for item in value]
    return value


def _system(source: Source) -> dict[str, Any]:
    runbook, document = source.runbook, source.document
    return {
        "system": runbook.system,
        "file": File(document.file).name,
        "owner": runbook.owner,
        "timezone": runbook.timezone,
        "maintenance": [_maintenance(window, runbook) for window in runbook.maintenance],
        "holidays": runbook.holidays,
        "exempt": [_key(reference, runbook) for reference in runbook.exempt],
        "targets": {name: target.written() for name, target in runbook.targets.items()},
        "responses": [
            _response(response, runbook, document.place(("responses", number))[0])
            for number, response in enumerate(runbook.responses)
        ],
        "checks": [rules.written_check(check, runbook) for check in runbook.checks],
        "sweeps": [
            {
                "name": sweep.name,
                "at": sweep.at,
                "when": cron.moments(sweep.at) if sweep.at else None,
                "timezone": runbook.timezone,
                "checks": [rules.written_check(check, runbook) for check in sweep.checks or runbook.checks],
            }
            for sweep in runbook.sweeps
        ],
        "watches": [
            {"name": watch.name, "sweep": watch.sweep, "every_s": watch.every, "for_s": watch.for_, "on": watch.on}
            for watch in runbook.watches
        ],
        "procedures": [
            procedures.written(procedure, rules.named(runbook), runbook.system) for procedure in runbook.procedures
        ],
    }


def _maintenance(window: MaintenancePart, runbook: RunbookPart) -> dict[str, Any]:
    return {
        **_window(window),
        "notice_s": window.notice,
        "before": [_step(step, runbook) for step in window.before],
        "before_s": window.before_at if window.before else 0,
    }


def _window(window: Window) -> dict[str, Any]:
    return {"days": window.days, "from": window.start, "to": window.end}


def _key(reference: str | TargetPart, runbook: RunbookPart) -> str:
    fields = rules.fields_of(reference, runbook) or {}
    return read_target(fields, (kind_of(fields) or "",)).key


def _response(response: ResponsePart, runbook: RunbookPart, line: int) -> dict[str, Any]:
    return {
        "name": response.name,
        "line": line,
        "alarms": response.alarms,
        "severity": response.severity,
        "mode": response.mode,
        "contain": [_step(step, runbook) for step in response.contain],
        "remediate": [_step(step, runbook, DEFAULT_SETTLE_S) for step in response.remediate],
        "probe": None if response.probe is None else _step(response.probe, runbook),
        "recover": [_step(step, runbook) for step in response.recover],
        "escalate_after_s": runbook.escalate_after_s(response),
        "respond_within_s": runbook.respond_within_s(response.severity),
        "procedures": response.procedures,
        "cooldown_s": response.cooldown,
        "limits": response.limits.model_dump(),
    }


def _rollout(rollout: RolloutPart, runbook: RunbookPart) -> dict[str, Any]:
    return {
        "name": rollout.name,
        "steps": [
            _step(step, runbook, DEFAULT_SETTLE_S if step.entry.name in ROLLS_OUT else 0) for step in rollout.steps
        ],
        "failed_invocations": rollout.gate.failed_invocations,
        "quiet_ok": rollout.gate.quiet_ok,
        "requires": rollout.requires
        and {"rollout": rollout.requires.rollout, "clean_for_s": rollout.requires.clean_for},
        "only": [_window(window) for window in rollout.only],
        "notify": rollout.notify,
    }


def _step(step: StepPart, runbook: RunbookPart, default_settle_s: int = 0) -> dict[str, Any]:
    return {
        "action": step.entry.name,
        "target_name": step.target if isinstance(step.target, str) else str(step.options().get("sweep", "")),
        "target": rules.fields_of(step.target, runbook),
        "settle_s": default_settle_s if step.settle_s is None else step.settle_s,
        "approval": step.needs_approval,
        "options": step.options(),
    }
