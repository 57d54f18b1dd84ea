"""What would happen if this alarm went red, and which line of which file says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any

from selfheal.catalogue import ACTIONS
from selfheal.replay.rehearsal import direction_of
from selfheal.runbook import fits
from selfheal.words import Direction, ResponseMode

from .compiler import Source, compile_folder, sources_of
from .problems import nearest

_STAGES = {
    "contain": "at once, together",
    "remediate": "then, one rung at a time, until it is green",
    "recover": "once it is green",
}


def explain(folder: File, shown_as: str, alarm: str, max_mode: ResponseMode) -> str:
    """For a terminal. Raises RunbooksInvalid: of runbooks that are wrong nothing can be said."""
    compile_folder(folder, shown_as)
    patterns = []
    for source in sources_of(folder, shown_as):
        for _, system in source.systems():
            for number, response in enumerate(system["responses"]):
                patterns += response["alarms"]
                for index, pattern in enumerate(response["alarms"]):
                    if fits(pattern, alarm):
                        return "\n".join(_Explained(source, system, number, index, max_mode).lines(alarm)) + "\n"
    return (
        f"{alarm}: no response fits it. It is recorded as `no_runbook`, people are told once each time it turns red,\n"
        f"and nothing else is done. Of the patterns, {nearest(alarm, patterns)}\n"
    )


class _Explained:
    """One response of one file."""

    def __init__(
        self, source: Source, system: Mapping[str, Any], number: int, pattern: int, max_mode: ResponseMode
    ) -> None:
        self._source = source
        self._system = system
        self._number = number
        self._pattern = pattern
        self._response = system["responses"][number]
        self._max_mode = max_mode
        self._mode = ResponseMode(self._response["mode"])

    def lines(self, alarm: str) -> Iterator[str]:
        response = self._response
        yield f"{alarm}"
        yield f"{self._at()}  {response['severity']} `{response['name']}` of {self._system['system']}"
        yield f"{self._at('alarms', self._pattern)}  because of `{response['alarms'][self._pattern]}`"
        if self._mode is ResponseMode.OFF:
            yield f"{self._at('mode')}  nothing is done: the response is off"
            return
        for stage, when in _STAGES.items():
            if response[stage]:
                yield f"\n{when} ({stage})"
                for index, step in enumerate(response[stage]):
                    yield from self._step(step, stage, index)
            if stage == "remediate" and response["probe"]:
                yield f"\nit is green if the alarm is OK with newer data, or if this passes\n{self._probe()}"
        yield ""
        yield from self._bounds()

    def _step(self, step: Mapping[str, Any], stage: str, index: int) -> Iterator[str]:
        settle = f"; then {_span(step['settle_s'])} to turn green" if step["settle_s"] else ""
        yield f"{self._at(stage, index)}  {_named(step)}"
        yield f"{' ' * len(self._at(stage, index))}  {self._what_becomes_of(step)}{settle}"

    def _probe(self) -> str:
        return f"{self._at('probe')}  {_named(self._response['probe'])}"

    def _what_becomes_of(self, step: Mapping[str, Any]) -> str:
        if step["approval"]:
            return "waits for a person, in any mode"
        direction = direction_of(ACTIONS[step["action"]])
        if direction is Direction.READ:
            return "reads only: done"
        if self._mode is ResponseMode.SUGGEST:
            return f"{direction.value}: planned, and a person is told (the response says `mode: suggest`)"
        if direction is Direction.SAFE:
            return "safe: done, in any MaxMode"
        told = {
            ResponseMode.OFF: "refused, and a person is told",
            ResponseMode.SUGGEST: "planned, and a person is told",
            ResponseMode.AUTO: "done, if no guard stops it",
        }
        return f"risky: with MaxMode {self._max_mode.value} {told[self._max_mode]}"

    def _bounds(self) -> Iterator[str]:
        response, limits = self._response, self._response["limits"]
        yield f"a person is told if it is not green after {_span(response['escalate_after_s'])}, or when all was tried"
        pause = _span(response["cooldown_s"])
        often = f"{limits['per_hour']} incidents an hour, {limits['per_day']} a day"
        yield f"at most {often}; {pause} between two on a target"
        yield f"after {limits['useless']} in a row that it did not heal, it stops"
        if self._system["maintenance"]:
            yield f"{self._top('maintenance')}  in these windows nothing risky is done by itself"
        if response["procedures"]:
            yield f"people get these procedures: {', '.join(response['procedures'])}"

    def _at(self, *path: str | int) -> str:
        return self._top("responses", self._number, *path)

    def _top(self, *path: str | int) -> str:
        line, _ = self._source.document.place(path)
        return f"{self._source.document.file}:{line}"


def _named(step: Mapping[str, Any]) -> str:
    target = ", ".join(f"{name} {value}" for name, value in step["target"].items() if isinstance(value, str))
    return f"{step['action']} {step['target_name']}: {target}"


def _span(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
