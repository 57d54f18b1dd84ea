"""What only a whole runbook can tell: names that lead nowhere, actions on the wrong thing, ladders that cannot work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from selfheal.checks import CHECKS, read_check
from selfheal.errors import Refused

from . import procedures
from .checkpoints import CheckPart
from .document import Document
from .models import DEFAULT_SETTLE_S, ResponsePart, RunbookPart
from .patterns import common_name
from .problems import Finding, Path, nearest
from .procedures import Fields
from .steps import ROLLS_OUT, StepPart
from .targets import IN_STEPS, TargetPart, kind_of
from .values import STAGE, placeholders

Findings = Iterator[Finding]
StepAt = tuple[Path, StepPart]


def findings(runbook: RunbookPart, document: Document) -> list[Finding]:
    """Everything that the rules find in one runbook, not yet expanded by stage."""
    rules: tuple[Callable[[RunbookPart], Findings], ...] = (
        _names_once,
        _targets_exist_and_fit,
        _deployments_are_stopped_first,
        _steps_have_what_they_need,
        _ladders_end_in_time,
        _exempt_targets_are_known,
        _checks_read,
        _sweeps_check_something,
        _rollouts_can_be_told_apart,
        _rollouts_enable_each_rule_once,
        _looks_are_at_the_runbooks_own,
        _nothing_is_taken_from_no_alarm,
        _watches_can_look,
        _procedures_can_be_read,
    )
    return [found for rule in rules for found in rule(runbook)] + list(_stages_are_used(runbook, document))


def steps(response: ResponsePart, path: Path) -> Iterator[StepAt]:
    """Every step of a response with its path, the probe included."""
    for stage in ("contain", "remediate", "recover"):
        for index, step in enumerate(getattr(response, stage)):
            yield (*path, stage, index), step
    if response.probe is not None:
        yield (*path, "probe"), response.probe


def checks(runbook: RunbookPart) -> Iterator[tuple[Path, CheckPart]]:
    """Every check of a runbook with its path, those of the sweeps included."""
    for index, check in enumerate(runbook.checks):
        yield ("checks", index), check
    for number, sweep in enumerate(runbook.sweeps):
        for index, check in enumerate(sweep.checks):
            yield ("sweeps", number, "checks", index), check


def fields_of(reference: str | TargetPart, runbook: RunbookPart) -> dict[str, Any] | None:
    """The fields of the target that a step means; None if it means one that is not there."""
    target = runbook.targets.get(reference) if isinstance(reference, str) else reference
    return None if target is None else target.written()


def comes_from_alarm(fields: Mapping[str, Any]) -> bool:
    """A field is filled in from the alarm's dimensions."""
    return any(comes_from_alarm(v) if isinstance(v, Mapping) else "{alarm." in v for v in fields.values())


def written_check(check: CheckPart, runbook: RunbookPart) -> dict[str, Any]:
    """The check as `selfheal.checks` reads it: the target that it names is filled in.

    Raises KeyError with the name of a target that is not there.
    """
    given = {"target": check.body} if isinstance(check.body, str) else check.body.written()
    name = given.pop("target", None)
    if name is not None:
        known = CHECKS[check.kind].fields
        given = {key: value for key, value in runbook.targets[name].written().items() if key in known} | given
    return {check.kind: given}


def named(runbook: RunbookPart) -> Fields:
    """The fields of one of `targets` by its name; None if it is not there."""
    return lambda name: fields_of(name, runbook)


def _all_steps(runbook: RunbookPart) -> Iterator[StepAt]:
    for index, response in enumerate(runbook.responses):
        yield from steps(response, ("responses", index))
    yield from _steps_without_alarm(runbook)


def _steps_without_alarm(runbook: RunbookPart) -> Iterator[StepAt]:
    for number, rollout in enumerate(runbook.rollouts):
        for index, step in enumerate(rollout.steps):
            yield ("rollouts", number, "steps", index), step
    for number, window in enumerate(runbook.maintenance):
        for index, step in enumerate(window.before):
            yield ("maintenance", number, "before", index), step
    for number, procedure in enumerate(runbook.procedures):
        for index, step in procedures.asked(procedure):
            yield ("procedures", number, "steps", index, "ask"), step


def _names_once(runbook: RunbookPart) -> Findings:
    for group in ("responses", "sweeps", "watches", "procedures"):
        seen: set[str] = set()
        for index, item in enumerate(getattr(runbook, group)):
            if item.name in seen:
                yield Finding((group, index, "name"), f"another of the {group} is called `{item.name}`; rename one")
            seen.add(item.name)


def _targets_exist_and_fit(runbook: RunbookPart) -> Findings:
    for path, step in _all_steps(runbook):
        action = step.entry.name
        fields = fields_of(step.target, runbook)
        if fields is None:
            yield Finding((*path, action), f"unknown target `{step.target}`; {nearest(step.target, runbook.targets)}")
        elif (kind := kind_of(fields)) not in step.entry.kinds:
            wanted = " or ".join("{" + ", ".join(IN_STEPS[kind].required) + "}" for kind in step.entry.kinds)
            yield Finding((*path, action), f"`{action}` cannot work on a {kind}; it needs {wanted}")


def _deployments_are_stopped_first(runbook: RunbookPart) -> Findings:
    for number, response in enumerate(runbook.responses):
        stopped: list[object] = []
        for index, step in enumerate(response.remediate):
            fields = fields_of(step.target, runbook)
            path: Path = ("responses", number, "remediate", index)
            name = step.entry.name
            shifted = bool(fields and "code_deploy" in fields)
            if name == "stop_deployment":
                stopped.append(fields)
                if fields and not shifted:
                    yield Finding(
                        path, "`stop_deployment` needs to know the deployment; add `code_deploy` to the target"
                    )
            if name == "roll_back_alias" and shifted and fields not in stopped:
                yield Finding(
                    path,
                    "CodeDeploy shifts this alias and would undo the rollback; put `stop_deployment` before it",
                )


def _steps_have_what_they_need(runbook: RunbookPart) -> Findings:
    """What an action would refuse every time: better said here than at night."""
    for path, step in _all_steps(runbook):
        fields = fields_of(step.target, runbook) or {}
        name = step.entry.name
        missing = [one for one, option in step.entry.options.items() if option.is_needed and one not in step.options()]
        if path[0] == "responses" and missing:  # what a procedure leaves open, a person fills in
            yield Finding(path, f"`{name}` needs {' and '.join(f'`{one}`' for one in missing)}")
        if name == "replay_dlq" and "queue" in fields and "replay_to" not in fields:
            yield Finding(
                path, "`replay_dlq` needs to know where to; add `replay_to: {function: …, alias: …}` to the target"
            )
        if name == "enable_schedule" and "schedule_group" in fields and not step.options().get("only"):
            yield Finding(
                path, "`enable_schedule` on a group would wake what was off for a reason; list names in `only`"
            )
        if name == "enable_rules" and "rule_prefix" in fields and not step.options().get("only"):
            yield Finding(path, "`enable_rules` on a prefix would wake what was off for a reason; list names in `only`")
        if name == "enable_rules" and "rule" in fields and "only" in step.options():
            yield Finding(path, "`only` is for a prefix; this target is one rule")
        if name == "enable_schedule" and "schedule" in fields and "only" in step.options():
            yield Finding(path, "`only` is for a group; this target is one schedule")


def _ladders_end_in_time(runbook: RunbookPart) -> Findings:
    for number, response in enumerate(runbook.responses):
        begins = 0
        for index, step in enumerate(response.remediate):
            escalate_after = runbook.escalate_after_s(response)
            if begins >= escalate_after:
                yield Finding(
                    ("responses", number, "remediate", index),
                    f"this rung begins after {begins} s at the earliest, but escalate_after is"
                    f" {escalate_after} s; shorten `settle` or raise `escalate_after`",
                )
                break
            begins += DEFAULT_SETTLE_S if step.settle_s is None else step.settle_s


def _exempt_targets_are_known(runbook: RunbookPart) -> Findings:
    for index, reference in enumerate(runbook.exempt):
        fields = fields_of(reference, runbook)
        if fields is None:
            yield Finding(("exempt", index), f"unknown target `{reference}`; {nearest(reference, runbook.targets)}")
        elif comes_from_alarm(fields):
            yield Finding(("exempt", index), "this target is known only when its alarm comes; name the resource itself")


def _checks_read(runbook: RunbookPart) -> Findings:
    for path, check in checks(runbook):
        at: Path = (*path, check.kind)
        try:
            written = written_check(check, runbook)
        except KeyError as error:
            yield Finding(at, f"unknown target `{error.args[0]}`; {nearest(error.args[0], runbook.targets)}")
            continue
        try:
            read_check(written)
        except Refused as refused:
            yield Finding(at, refused.detail)
            continue
        texts = [
            text for value in written[check.kind].values() for text in (value if isinstance(value, list) else [value])
        ]
        bad = next((found for text in texts if isinstance(text, str) and (found := placeholders(text, home=True))), "")
        if bad:
            yield Finding(at, f"a sweep has no alarm to take names from: {bad}" if "alarm." in bad else bad)


def _sweeps_check_something(runbook: RunbookPart) -> Findings:
    for index, sweep in enumerate(runbook.sweeps):
        if not sweep.checks and not runbook.checks:
            yield Finding(("sweeps", index), "this sweep checks nothing; give it `checks`, or the runbook")


def _rollouts_can_be_told_apart(runbook: RunbookPart) -> Findings:
    """A name stands for one rollout in each stage."""
    seen: set[tuple[str, str]] = set()
    for index, rollout in enumerate(runbook.rollouts):
        for place, stage in enumerate(rollout.stages):
            if stage not in runbook.stages:
                known = nearest(stage, runbook.stages)
                yield Finding(("rollouts", index, "stages", place), f"unknown stage `{stage}`; {known}")
        names = {(rollout.name, stage) for stage in rollout.stages or runbook.stages or [""]}
        if names & seen:
            yield Finding(
                ("rollouts", index, "name"), f"another of the rollouts is called `{rollout.name}`; rename one"
            )
        seen |= names


def _rollouts_enable_each_rule_once(runbook: RunbookPart) -> Findings:
    for number, rollout in enumerate(runbook.rollouts):
        seen: list[object] = []
        for index, step in enumerate(rollout.steps):
            fields = fields_of(step.target, runbook)
            if step.entry.name not in ROLLS_OUT:
                continue
            if fields and fields in seen:
                yield Finding(("rollouts", number, "steps", index), "an earlier step enables the same; keep one")
            seen.append(fields)
        if not seen:
            yield Finding(("rollouts", number, "steps"), "this rollout changes nothing; add a step that does")


def _nothing_is_taken_from_no_alarm(runbook: RunbookPart) -> Findings:
    for path, step in _steps_without_alarm(runbook):
        fields = fields_of(step.target, runbook)
        if fields and comes_from_alarm(fields):
            yield Finding(
                path, f"{_WITHOUT_ALARM[str(path[0])]} has no alarm to take names from; name the resource itself"
            )


_WITHOUT_ALARM = {"rollouts": "a rollout", "maintenance": "a window", "procedures": "a procedure"}


def _looks_are_at_the_runbooks_own(runbook: RunbookPart) -> Findings:
    sweeps = [sweep.name for sweep in runbook.sweeps]
    for path, step in _all_steps(runbook):
        fields = fields_of(step.target, runbook) or {}
        if "system" in fields and fields["system"] != runbook.system:
            message = f"`{fields['system']}` is not this runbook's system; write `{runbook.system}`"
            yield Finding((*path, step.entry.name, "system"), message)
        given = step.options()
        for option in ("sweep", "after_sweep"):
            if option in given and given[option] not in sweeps:
                yield Finding((*path, option), f"unknown sweep `{given[option]}`; {nearest(given[option], sweeps)}")
        if step.entry.name == "check_health" and "sweep" not in given and not runbook.checks:
            yield Finding(path, "this looks at nothing; name a `sweep`, or give the runbook `checks`")


def _watches_can_look(runbook: RunbookPart) -> Findings:
    sweeps = [sweep.name for sweep in runbook.sweeps]
    for number, watch in enumerate(runbook.watches):
        if watch.sweep not in sweeps:
            at: Path = ("watches", number, "sweep")
            yield Finding(at, f"unknown sweep `{watch.sweep}`; {nearest(watch.sweep, sweeps)}")
        for index, pattern in enumerate(watch.on):
            if not any(common_name(pattern, name) for name in runbook.targets):
                message = f"no target fits `{pattern}`; {nearest(pattern, runbook.targets)}"
                yield Finding(("watches", number, "on", index), message)


def _procedures_can_be_read(runbook: RunbookPart) -> Findings:
    names = [procedure.name for procedure in runbook.procedures]
    for number, procedure in enumerate(runbook.procedures):
        path: Path = ("procedures", number)
        yield from procedures.findings(procedure, path, named(runbook), list(runbook.targets))
    for number, response in enumerate(runbook.responses):
        for index, name in enumerate(response.procedures):
            if name not in names:
                at: Path = ("responses", number, "procedures", index)
                yield Finding(at, f"unknown procedure `{name}`; {nearest(name, names)}")
        theirs = [procedure for procedure in runbook.procedures if procedure.name in response.procedures]
        if sum(map(procedures.length, theirs)) > procedures.MAX_LENGTH:
            message = f"more than {procedures.MAX_LENGTH} characters in all; an incident carries what it may need"
            yield Finding(("responses", number, "procedures"), message)


def _stages_are_used(runbook: RunbookPart, document: Document) -> Findings:
    if runbook.stages and STAGE not in runbook.system:
        yield Finding(("system",), "`stages` make one system each; put `{stage}` into `system`, or leave `stages` away")
    if not runbook.stages:
        for path, text in _texts(document.data, ()):
            if STAGE in text:
                yield Finding(path, "`{stage}` is replaced only where there are stages; add `stages: [dev, prod]`")


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
