"""Switch an EventBridge rule, or those of a bus whose names begin alike, off and on again.

Alarm: a rule delivers events that do damage, or its targets fail with each of them.
Action: `disable_rules` (safe or risky) and `enable_rules` (risky), for one rule, for every enabled one with a prefix,
or for the ones that the option `only` names.
Precondition: the rule exists on the bus that is named, and no AWS service owns it.

A rule is a name on a bus, and a call without a bus means the default one: EventBusName is sent with every call, and
each rule is read again afterwards. What a disabled rule would have matched is lost unless the bus archives it, so to
disable is safe only if an archive without a pattern of its own is ENABLED on the bus, and risky if there is none or it
can't be told. Matching goes on for a short while after either call (API reference).

EnableRule can't bring back ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS. An undo does it by PutRule, which replaces
the whole rule: every field that was read right before is sent again, and `verify` compares them; the tags stay. There
is no compare-and-set. Each rule is read again right before its call, and one that was switched since it was looked at
is not touched. Before- and after-image have one field per rule, so that undo enables exactly those that were enabled.

Never: touches a rule that an AWS service manages, enables one that nobody named, replays what was missed, or passes a
role (a rule with a role of its own can't get its CloudTrail state back from here).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, Image, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.errors import (
    ChangedMeanwhile,
    Refused,
    SelfhealError,
    TargetNotFound,
)
from selfheal.handler import handler_for
from selfheal.members import change_each, listed
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

ON, OFF = "ENABLED", "DISABLED"
ON_WITH_CLOUDTRAIL = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
VERBS = {ON: "enable", ON_WITH_CLOUDTRAIL: "enable with all CloudTrail events", OFF: "disable"}
PAUSES_S = (0.2, 0.5, 1.0)
"""After each ConcurrentModificationException: somebody else's call on the same rule or its targets is under way."""


class SwitchRules(Action):
    """Brings rules into one state, or (`request.wanted`) each of them back into its recorded one.

    AWS calls: 1 to observe (per 100 rules), and to disable 1 and 1 per archive of the bus; per rule 2 to apply, 1 to
    verify.
    """

    permissions = (
        "events:DescribeArchive",
        "events:DescribeRule",
        "events:DisableRule",
        "events:EnableRule",
        "events:ListArchives",
        "events:ListRules",
        "events:PutRule",
    )
    continues = True
    to: ClassVar[str]

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._failed: dict[str, str] = {}

    def observe(self, request: Request) -> State:
        """Every rule in question; those that were named and are not there; what keeps the events of the bus."""
        state, arn = self._rules(request)
        loses = self.to == OFF or _restores(request)
        return state | (_archives(arn) if state["rules"] and loses else {"archives": []})

    def look(self, request: Request) -> State:
        """The rules: what keeps the events is not written."""
        state, _ = self._rules(request)
        return state

    def _rules(self, request: Request) -> tuple[dict[str, Any], str]:
        """The rules, and the ARN of one of them, which names the bus."""
        found, missing = self._found(request)
        own = [rule for rule in found if not rule.get("ManagedBy")]
        state = {
            "rules": {_key(rule): _fields(rule) for rule in own if self._is_in_question(rule, request)},
            "managed": [_key(rule) for rule in found if rule.get("ManagedBy")],
            "missing": missing,
            "own": len(own),
        }
        return state, found[0]["Arn"] if found else ""

    def decide(self, state: State, request: Request) -> Decision:
        """Switch what is not as wanted; what is switched off must be archived, or it is risky."""
        rules, image, managed = state["rules"], self.image(state), state["managed"]
        if managed and not state["own"]:
            return Decline(Refusal.MANAGED_RULE, f"an AWS service owns {listed(managed)}")
        if not rules and state["missing"]:
            return Decline(Refusal.TARGET_NOT_FOUND, f"not there: {listed(state['missing'])}")
        turning = self._turning(image, request)
        if not turning:
            return AlreadyDone(f"already as wanted: {listed(image) or 'none of these rules is enabled'}")
        wanted = request.wanted or {}
        loses = [key for key, to in turning.items() if to == OFF]
        wakes = len(loses) < len(turning)
        return Change(
            direction=Direction.RISKY if wakes or not state["archives"] else Direction.SAFE,
            summary=_summary(turning, loses, state, gone=sorted(wanted.keys() - image.keys())),
            before=image,
            after={**image, **turning},
            plan={"rules": {key: _needed(rules[key], to) for key, to in turning.items()}},
        )

    def _turning(self, image: Image, request: Request) -> dict[str, str]:
        """Each rule that is not as wanted, with the state that it is to have."""
        if request.wanted is not None:
            return {key: to for key, to in request.wanted.items() if image.get(key, to) != to}
        return {key: self.to for key, state in image.items() if state.startswith(ON) != self.to.startswith(ON)}

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Switch one rule after the other, each right after it was read again.

        Of several, each failure is noted beside the rule and the others go on; when nothing at all was switched, the
        first failure is raised. Stops in time to verify.
        """
        planned: Mapping[str, Mapping[str, Any]] = change.plan["rules"]

        def switch(key: str, evidence: dict[str, Any]) -> None:
            evidence.setdefault(_switch(key, planned[key]["State"], change.after[key]), []).append(key)

        alone = request.target.kind == "rule"
        return change_each(planned, switch, self._failed, alone=alone, remaining_s=self.remaining_s)

    def verify(self, request: Request, change: Change) -> Verification:
        """Read each switched rule again: the state as wanted, and every other field as it was."""
        after, wrong, waiting = dict(change.after), {}, []
        for key, planned in change.plan["rules"].items():
            try:
                now = _fields(_read(key))
            except TargetNotFound:
                if change.after[key] != OFF:
                    wrong[key] = "it is gone"
                continue
            after[key] = now["State"]
            if now["State"] == change.after[key]:
                if change.after[key] == ON_WITH_CLOUDTRAIL and (differing := _differences(now, planned)):
                    wrong[key] = f"{now['State']}, but other fields are not as before: {differing}"
            elif now["State"] == planned["State"] and key not in self._failed:
                waiting.append(key)
            else:
                wrong[key] = self._failed.get(key, f"it is {now['State']}: somebody switched it")
        if wrong:
            return Verification(Verdict.DOES_NOT_HOLD, after, f"not as wanted: {listed(wrong)}", {"wrong": wrong})
        if waiting:
            return Verification(Verdict.NOT_YET, after, f"still to be switched: {listed(waiting)}")
        return Verification(Verdict.HOLDS, after)

    def image(self, state: State) -> Image:
        """One field per rule, `bus/name`, with its state."""
        return {key: rule["State"] for key, rule in state["rules"].items()}

    def _found(self, request: Request) -> tuple[list[Mapping[str, Any]], list[str]]:
        """The rules that the target names, as AWS has them, and what is named and not there."""
        target, only = request.target, request.options.get("only")
        if target.kind == "rule":
            if only is not None:
                raise Refused(Refusal.BAD_OPTIONS, "only is for the rules with a prefix; this target is one rule")
            return [_read(f"{target['bus']}/{target['rule']}")], []
        bus, prefix = target["bus"], target["rule_prefix"]
        names = _names(only, prefix) if self.to == ON and not _restores(request) else []
        found = [rule for rule in _list(bus, prefix) if not names or rule["Name"] in names]
        there = {rule["Name"] for rule in found}
        missing = [f"{bus}/{name}" for name in names if name not in there]
        return found, missing if names or found else [f"any rule {prefix}… on bus {bus}"]

    def _is_in_question(self, rule: Mapping[str, Any], request: Request) -> bool:
        """An undo looks at all of them, since the image to restore names its part; to disable, only those are of
        interest that are enabled."""
        of_many = request.target.kind == "rules" and not _restores(request)
        return not (of_many and self.to == OFF and rule["State"] == OFF)


class DisableRules(SwitchRules):
    """Disable a rule, or every enabled one of a bus with a prefix."""

    name = "disable_rules"
    to = OFF


class EnableRules(SwitchRules):
    """Enable a rule, or those with a prefix that are named."""

    name = "enable_rules"
    to = ON


def _restores(request: Request) -> bool:
    return request.undo_of is not None or request.wanted is not None


def _names(only: object, prefix: str) -> list[str]:
    """The names in the option `only`. To enable whatever has a prefix would also wake what was off for a reason."""
    if not isinstance(only, list) or not only:
        raise Refused(Refusal.BAD_OPTIONS, "only must list the names of the rules with this prefix to enable")
    for name in only:
        if not isinstance(name, str) or not len(name) <= 64 or set(name) & set("*?/:") or not name.startswith(prefix):
            raise Refused(Refusal.BAD_OPTIONS, f"only must list exact names that begin with {prefix}, got {name!r:.80}")
    return list(dict.fromkeys(only))


def _list(bus: str, prefix: str) -> list[Mapping[str, Any]]:
    try:
        pages = client("events").get_paginator("list_rules").paginate(EventBusName=bus, NamePrefix=prefix)
        return [{**rule, "EventBusName": bus} for page in pages for rule in page["Rules"]]
    except AwsError as error:
        translate(error, f"rules of bus {bus}")


def _read(key: str) -> dict[str, Any]:
    bus, _, name = key.rpartition("/")
    try:
        return {**client("events").describe_rule(Name=name, EventBusName=bus), "EventBusName": bus}
    except AwsError as error:
        translate(error, f"rule {key}")


def _key(rule: Mapping[str, Any]) -> str:
    return f"{rule['EventBusName']}/{rule['Name']}"


def _fields(rule: Mapping[str, Any]) -> dict[str, Any]:
    """The rule as PutRule takes it."""
    # Taken from the model and not from a list here: a field that AWS adds is kept as soon as botocore knows it.
    fields = client("events").meta.service_model.operation_model("PutRule").input_shape.members
    return {field: rule[field] for field in sorted(fields) if rule.get(field) is not None}


def _needed(rule: Mapping[str, Any], to: str) -> Mapping[str, Any]:
    """What has to be recorded of a rule: a bus may have hundreds, and the plan must fit into one item of the ledger."""
    return rule if to == ON_WITH_CLOUDTRAIL else {"State": rule["State"]}


def _archives(rule_arn: str) -> dict[str, Any]:
    """The archives that keep every event of the rule's bus; none, with the reason, if that can't be told.

    An archive with a pattern keeps a part, and nothing says whether that is the part that this rule matches.
    """
    where, _, path = rule_arn.rpartition(":rule/")
    source = f"{where}:event-bus/{path.rpartition('/')[0] or 'default'}"
    kept = []
    try:
        for archive in _archives_of(source):
            described = client("events").describe_archive(ArchiveName=archive)
            if described["State"] == ON and not described.get("EventPattern"):
                kept.append(archive)
    except AwsError as error:
        try:
            translate(error, f"archives of {source}")
        except SelfhealError as told:
            return {"archives": [], "archives_unread": str(told)}
    return {"archives": kept}


def _archives_of(source: str) -> list[str]:
    """Names of the enabled archives of a bus. ListArchives has no paginator."""
    found: list[str] = []
    more: dict[str, str] = {}
    while True:
        page = client("events").list_archives(EventSourceArn=source, **more)
        found += [archive["ArchiveName"] for archive in page["Archives"] if archive.get("State") == ON]
        if not page.get("NextToken"):
            return found
        more = {"NextToken": page["NextToken"]}


def _switch(key: str, planned: str, to: str, pauses: tuple[float, ...] = PAUSES_S) -> str:
    """Read, compare, switch one rule; answers under which word it stands in the evidence."""
    now = _read(key)
    if now["State"] == to:
        return "as_wanted_before"
    if now["State"] != planned:
        raise ChangedMeanwhile(f"rule {key} is {now['State']}; it was {planned} when it was looked at")
    try:
        _call(key, now, to)
    except ChangedMeanwhile:
        if not pauses:
            raise
        time.sleep(pauses[0])
        return _switch(key, planned, to, pauses[1:])
    return "switched"


def _call(key: str, rule: Mapping[str, Any], to: str) -> None:
    events, which = client("events"), {"Name": rule["Name"], "EventBusName": rule["EventBusName"]}
    try:
        if to == OFF:
            events.disable_rule(**which)
        elif (rule["State"], to) == (OFF, ON):
            events.enable_rule(**which)
        else:
            events.put_rule(**{**_fields(rule), "State": to})
    except AwsError as error:
        translate(error, f"rule {key}")


def _differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    return [field for field in sorted({*now, *before} - {"State"}) if now.get(field) != before.get(field)]


def _summary(turning: Mapping[str, str], loses: Iterable[str], state: State, *, gone: Iterable[str]) -> str:
    parts = []
    for to, verb in VERBS.items():
        keys = [key for key, own in turning.items() if own == to]
        parts += [f"{verb} {listed(keys)}"] if keys else []
    if loses and state["archives"]:
        parts.append(f"events are kept in archive {listed(state['archives'])}")
    elif loses:
        parts.append(state.get("archives_unread") or "no archive keeps every event of this bus: what comes now is lost")
    parts += [f"left out, as AWS owns it: {listed(state['managed'])}"] if state["managed"] else []
    gone = [*state["missing"], *gone]
    return "; ".join(parts + ([f"not there: {listed(gone)}"] if gone else []))


lambda_handler = handler_for(DisableRules, EnableRules)
