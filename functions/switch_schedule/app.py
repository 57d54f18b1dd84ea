"""Switch an EventBridge Scheduler schedule, or those of a group, off and on again.

Alarm: a scheduled job does damage each time it runs (wrong orders, a failing batch).
Action: `disable_schedule` (safe) and `enable_schedule` (risky), for one schedule, for every enabled one of a group, or
for the ones of a group that the option `only` names.
Precondition: the schedule exists; to be enabled it must still have a run ahead of it.

UpdateSchedule replaces the whole schedule: what is left out falls back to a default (API reference), the time zone and
the dead-letter queue among them. So every field is read and sent again, the state alone is changed, and `verify`
compares the rest. One field can't make the trip: Scheduler refuses a StartDate that has passed. It is left out, which
changes nothing for a cron expression and starts a rate expression anew; the evidence says so.

There is no compare-and-set and no switch for a group. Each schedule is read again right before it is written, and one
that changed since it was looked at is not touched. Before- and after-image have one field per schedule, so that undo
enables exactly those that were enabled. A run that died goes on with the ones that are left.

Never: creates or deletes a schedule, enables one that nobody named, stops what is running or being retried already
(retries go on for up to a day), or switches off other triggers of the same target.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, Image, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.errors import ChangedMeanwhile, Refused, TargetNotFound
from selfheal.handler import handler_for
from selfheal.members import change_each, listed
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

ON, OFF = "ENABLED", "DISABLED"
VERBS = {ON: "enable", OFF: "disable"}
DATES = ("StartDate", "EndDate")
LONGEST_INPUT_KEPT = 4096
"""Characters. Scheduler allows inputs of 256 KB, and the plan must fit into one item of the ledger (400 KB)."""


class SwitchSchedule(Action):
    """Brings schedules into one state, or (`request.wanted`) each of them back into its recorded one.

    AWS calls per schedule: 1 to observe, 2 to apply, 1 to verify; a group costs 1 more per 100 schedules.
    """

    permissions = ("scheduler:GetSchedule", "scheduler:ListSchedules", "scheduler:UpdateSchedule")
    continues = True
    to: ClassVar[str]

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._failed: dict[str, str] = {}

    def observe(self, request: Request) -> State:
        """Every schedule in question, whole; `missing` are those that were named and are not there."""
        schedules, missing = {}, []
        for key in self._in_question(request):
            try:
                schedules[key] = _read(key)
            except TargetNotFound:
                if request.target.kind == "schedule":
                    raise
                missing.append(key)
        return {"now": datetime.now(UTC).isoformat(), "schedules": schedules, "missing": missing}

    def decide(self, state: State, request: Request) -> Decision:
        """Switch what is not as wanted, leave out what can't run again, refuse if nothing remains of it."""
        schedules, image = state["schedules"], self.image(state)
        if state["missing"] and not schedules:
            return Decline(Refusal.TARGET_NOT_FOUND, f"not there: {listed(state['missing'])}")
        wanted = dict.fromkeys(image, self.to) if request.wanted is None else request.wanted
        turning = {key: wanted[key] for key in image if wanted.get(key, image[key]) != image[key]}
        now = datetime.fromisoformat(state["now"])
        ended = [key for key, to in turning.items() if to == ON and _has_ended(schedules[key]["document"], now)]
        for key in ended:
            del turning[key]
        if ended and not turning:
            return Decline(Refusal.SCHEDULE_ENDED, f"no run is ahead of {listed(ended)}; set a new end date or time")
        if not turning:
            return AlreadyDone(f"already as wanted: {listed(image) or 'the group has no schedule to switch'}")
        gone = sorted({*state["missing"], *(wanted.keys() - image.keys())})
        return Change(
            direction=Direction.RISKY if ON in turning.values() else Direction.SAFE,
            summary=_summary(turning, ended, gone),
            before=image,
            after={**image, **turning},
            plan={"schedules": {key: _brief(schedules[key]) for key in turning}},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Write one schedule after the other, each right after it was read again.

        Of a group, each failure is noted beside the schedule and the others go on; when nothing at all was written,
        the first failure is raised. Stops in time to verify.
        """
        planned: Mapping[str, Mapping[str, Any]] = change.plan["schedules"]

        def switch(key: str, evidence: dict[str, Any]) -> None:
            _switch(key, planned[key], change.after[key], request.action_id, evidence)

        alone = request.target.kind == "schedule"
        return change_each(planned, switch, self._failed, alone=alone, remaining_s=self.remaining_s)

    def verify(self, request: Request, change: Change) -> Verification:
        """Read each switched schedule again: the state as wanted, and every other field as it was."""
        after, wrong, waiting = dict(change.after), {}, []
        for key, planned in change.plan["schedules"].items():
            try:
                now = _brief(_read(key))
            except TargetNotFound:
                if change.after[key] == ON:
                    wrong[key] = "it is gone"
                continue
            after[key] = now["document"]["State"]
            if after[key] == change.after[key]:
                if differing := _differences(now["document"], planned["document"]):
                    wrong[key] = f"{after[key]}, but other fields are not as before: {differing}"
            elif now == planned and key not in self._failed:
                waiting.append(key)
            else:
                wrong[key] = self._failed.get(key, f"it is {after[key]}: somebody switched it back")
        if wrong:
            return Verification(Verdict.DOES_NOT_HOLD, after, f"not as wanted: {listed(wrong)}", {"wrong": wrong})
        if waiting:
            return Verification(Verdict.NOT_YET, after, f"still to be switched: {listed(waiting)}")
        return Verification(Verdict.HOLDS, after)

    def image(self, state: State) -> Image:
        """One field per schedule, `group/name`, with its state."""
        return {key: schedule["document"]["State"] for key, schedule in state["schedules"].items()}

    def _in_question(self, request: Request) -> list[str]:
        """The keys of the schedules to read. An undo reads the whole group: the image to restore names its part."""
        target = request.target
        only = request.options.get("only")
        if target.kind == "schedule":
            if only is not None:
                raise Refused(Refusal.BAD_OPTIONS, "only is for a group; this target is one schedule")
            return [f"{target['group']}/{target['schedule']}"]
        group = target["schedule_group"]
        if request.undo_of is not None or request.wanted is not None:
            return _list(group)
        if self.to == OFF:
            return _list(group, State=ON)
        return [f"{group}/{name}" for name in _names(only)]


class DisableSchedule(SwitchSchedule):
    """Disable a schedule, or every enabled one of a group."""

    name = "disable_schedule"
    to = OFF


class EnableSchedule(SwitchSchedule):
    """Enable a schedule, or those of a group that are named."""

    name = "enable_schedule"
    to = ON


def _names(only: object) -> list[str]:
    """The names in the option `only`. To enable a group without names would also wake what was off for a reason."""
    if not isinstance(only, list) or not only:
        raise Refused(Refusal.BAD_OPTIONS, "only must list the names of the schedules of this group to enable")
    for name in only:
        if not isinstance(name, str) or not 0 < len(name) <= 64 or set(name) & set("*?/"):
            raise Refused(Refusal.BAD_OPTIONS, f"only must list exact names without their group, got {name!r:.80}")
    return list(dict.fromkeys(only))


def _list(group: str, **having: str) -> list[str]:
    try:
        pages = client("scheduler").get_paginator("list_schedules").paginate(GroupName=group, **having)
        return sorted(f"{group}/{schedule['Name']}" for page in pages for schedule in page["Schedules"])
    except AwsError as error:
        translate(error, f"schedule group {group}")


def _read(key: str) -> dict[str, Any]:
    """The schedule as UpdateSchedule takes it, in JSON types, and when it was modified."""
    scheduler = client("scheduler")
    group, name = key.split("/")
    try:
        answer = scheduler.get_schedule(GroupName=group, Name=name)
    except AwsError as error:
        translate(error, f"schedule {key}")
    # Taken from the model and not from a list here: a field that AWS adds is kept as soon as botocore knows it.
    fields = scheduler.meta.service_model.operation_model("UpdateSchedule").input_shape.members
    document = {field: _plain(answer[field]) for field in sorted(fields) if answer.get(field) is not None}
    return {"document": document, "last_modified": _plain(answer.get("LastModificationDate"))}


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _brief(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the digest of a long input in its place: enough to see whether it changed. What is written is
    always what was read right before, never what was recorded."""
    target = schedule["document"].get("Target", {})
    text = target.get("Input", "")
    if len(text) <= LONGEST_INPUT_KEPT:
        return dict(schedule)
    digest = f"{len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()}"
    return {**schedule, "document": {**schedule["document"], "Target": {**target, "Input": digest}}}


def _switch(key: str, planned: Mapping[str, Any], to: str, action_id: str, evidence: dict[str, Any]) -> None:
    """Read, compare, write one schedule; notes in `evidence` what a person should know."""
    now = _read(key)
    seen = _brief(now)
    if seen["document"]["State"] == to and not _differences(seen["document"], planned["document"]):
        evidence.setdefault("as_wanted_before", []).append(key)
        return
    if seen != planned:
        raise ChangedMeanwhile(f"schedule {key} changed after it was looked at")
    document = {**now["document"], "State": to}
    start = document.get("StartDate")
    if start and datetime.fromisoformat(start) <= datetime.now(UTC):
        del document["StartDate"]
        evidence.setdefault("start_date_dropped", {})[key] = start
    if to == ON and document["ScheduleExpression"].startswith("rate("):
        evidence.setdefault("rate_starts_anew", []).append(key)
    moments = {field: datetime.fromisoformat(document[field]) for field in DATES if field in document}
    token = _token(action_id, planned["last_modified"], document)
    try:
        client("scheduler").update_schedule(**{**document, **moments, "ClientToken": token})
    except AwsError as error:
        translate(error, f"schedule {key}")
    evidence.setdefault("switched", []).append(key)


def _token(action_id: str, last_modified: object, document: Mapping[str, Any]) -> str:
    """64 characters that are the same for a repeated call and for no other.

    The time of the last modification is part of it: were the schedule switched back in between, the same body would
    otherwise be taken for the repeat of a call that succeeded, and nothing would be written.
    """
    text = json.dumps([action_id, last_modified, document], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """The fields besides the state that are not as they were, save a start date that passed and was left out."""
    fields = [field for field in sorted({*now, *before} - {"State"}) if now.get(field) != before.get(field)]
    if "StartDate" in fields and "StartDate" not in now and _moment(before, "StartDate") <= datetime.now(UTC):
        fields.remove("StartDate")
    return fields


def _moment(document: Mapping[str, Any], field: str) -> datetime:
    return datetime.fromisoformat(document[field])


def _has_ended(document: Mapping[str, Any], now: datetime) -> bool:
    """No run is ahead of it. Scheduler keeps such a schedule ENABLED and ignores EndDate for a one-time schedule."""
    expression = document["ScheduleExpression"]
    if not expression.startswith("at("):
        return "EndDate" in document and _moment(document, "EndDate") <= now
    try:
        zone = ZoneInfo(document.get("ScheduleExpressionTimezone", "UTC"))
        return datetime.fromisoformat(expression[3:-1]).replace(tzinfo=zone) <= now
    except (ZoneInfoNotFoundError, ValueError):
        return False  # can't be told; AWS checks what it is sent


def _summary(turning: Mapping[str, str], ended: Iterable[str], gone: Iterable[str]) -> str:
    parts = []
    for to, verb in VERBS.items():
        keys = [key for key, own in turning.items() if own == to]
        parts += [f"{verb} {listed(keys)}"] if keys else []
    parts += [f"left out, as their end has passed: {listed(ended)}"] if ended else []
    parts += [f"not there any more: {listed(gone)}"] if gone else []
    return "; ".join(parts)


lambda_handler = handler_for(DisableSchedule, EnableSchedule)
