"""Switch the trading flag, a parameter in SSM Parameter Store that trading code reads before each order.

Alarm: orders or P&L out of bounds, a failing engine, anything that must stop the bleeding first.
Action: `halt_trading` writes `false` (safe), `resume_trading` writes `true` (risky, and only when a person asks).
Precondition: the parameter exists and holds exactly `true` or `false`. Anything else is refused in both directions:
a careful consumer takes garbage for "stop" already, and to replace it would be a guess about what it was meant to be.
A no-op when the flag is as wanted: no new version is written.
With `after_sweep` trading is resumed only if that sweep of the system passed within the last minutes.

Never: creates a parameter, changes its type, tier, key, description or pattern, labels a version, or puts its value
into a record or a log unless it is `true` or `false` (a wrongly named parameter may hold a secret).
One exception: a halt does not fail for a description. Where the history can't be read, a plain String is set to
`false` without tier, description and pattern, and the evidence says so. To resume waits until it can be read.

PutParameter has no compare-and-set; its versions make a lost race visible. Consumers that cache the parameter, or read
it only at their start, see the change when they read it again: this action can't hurry them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from selfheal import sweep_gate
from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, Image, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.errors import ChangedMeanwhile, NotApplied, Refused, TargetForbidden, TargetNotFound, Unreadable
from selfheal.handler import handler_for
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict
from selfheal.world import ledger

FLAGS = ("true", "false")
"""The only two values, compared to the letter: consumers differ in what they make of `True`, `1` or ` true`."""

KEPT = {"tier": "Tier", "description": "Description", "allowed_pattern": "AllowedPattern"}
"""What is sent again as it was, under PutParameter's names. An omitted Tier becomes the account's default tier (API
reference of PutParameter); whether the other two survive being omitted is documented nowhere."""


class SwitchFlag(Action):
    """Writes one of the two values of a flag. AWS calls: 2 to observe, 1 to look again, 2 to apply, 1 to verify.

    An undo (`request.wanted`) restores the recorded value; the direction is that of the value, not of the name.
    """

    permissions = ("ssm:GetParameter", "ssm:GetParameterHistory", "ssm:PutParameter")
    to: ClassVar[str]
    """The value that this action writes unless an undo asks for another."""

    def observe(self, request: Request) -> State:
        """Value (None if it is no flag), version, and what a write must repeat to keep it."""
        name = request.target["parameter"]
        if ":" in name:
            raise Refused(
                Refusal.BAD_TARGET,
                f"{name} selects a version or is an ARN; only the name of a parameter can be written to",
            )
        seen = _read(name)
        if sweep := request.options.get("after_sweep"):
            seen["after_sweep"] = sweep_gate.observe(ledger(), request.system, sweep, time.time())
        try:
            return {**seen, "kept": _kept(name), "not_kept": ""}
        except (Unreadable, TargetForbidden, NotApplied) as error:
            return {**seen, "kept": {}, "not_kept": str(error)}

    def look(self, request: Request) -> State:
        """The value."""
        return _read(request.target["parameter"])

    def decide(self, state: State, request: Request) -> Decision:
        """Refuse what is no flag; leave alone what is as wanted."""
        name = request.target["parameter"]
        wanted = self.to if request.wanted is None else request.wanted.get("value")
        if wanted not in FLAGS:
            return Decline(Refusal.NOT_A_FLAG, f"the value to restore for {name} is neither true nor false")
        if state["value"] not in FLAGS:
            return Decline(Refusal.NOT_A_FLAG, f"{name} holds {state['looks_like']}; expected exactly true or false")
        if state["value"] == wanted:
            return AlreadyDone(f"{name} is {wanted} already", {"version": state["version"]})
        direction = Direction.SAFE if wanted == "false" else Direction.RISKY
        gate = state.get("after_sweep")
        if gate and direction is Direction.RISKY:  # to undo a resume is a halt, and waits for nothing
            declined = sweep_gate.decide(gate, request.options["within_minutes"])
            if declined is not None:
                return declined
        if state["not_kept"] and (direction is Direction.RISKY or state["type"] != "String"):
            return Decline(Refusal.TARGET_UNREADABLE, state["not_kept"])
        return Change(
            direction=direction,
            summary=f"set {name} from {state['value']} to {wanted}",
            before={"value": state["value"]},
            after={"value": wanted},
            plan={name: state[name] for name in ("version", "kept", "not_kept")},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One PutParameter, unless the value is there already (a resumed run) or somebody wrote since `observe`."""
        name, wanted, planned = request.target["parameter"], change.after["value"], change.plan["version"]
        now = _read(name)
        if now["value"] == wanted:
            return {"version": now["version"], "written": False}
        if now["version"] != planned:
            raise ChangedMeanwhile(f"{name} was version {planned} when it was looked at and is {now['version']} now")
        self._called = True
        version = _put(name, wanted, change.plan["kept"])
        evidence = {"not_kept": change.plan["not_kept"]} if change.plan["not_kept"] else {}
        if version == planned + 1:
            return {**evidence, "version": version}
        # A writer slipped in between our read and our write; AWS kept both, and the last one counts.
        if _read(name)["value"] != wanted:
            raise ChangedMeanwhile(f"{name} was written by somebody else around version {version}")
        return {**evidence, "version": version, "somebody_wrote": _writers(name, planned, version)}

    def verify(self, request: Request, change: Change) -> Verification:
        """One GetParameter. A version that is neither ours nor the planned one tells of another writer."""
        now, planned = _read(request.target["parameter"]), change.plan["version"]
        after = {"value": now["value"]}
        if now["value"] == change.after["value"]:
            if now["version"] <= planned + 1:
                return Verification(Verdict.HOLDS, after, evidence={"version": now["version"]})
            detail = f"{change.summary}; somebody else wrote as well: version {now['version']}, expected {planned + 1}"
            return Verification(Verdict.HOLDS, after, detail, {"version": now["version"], "expected": planned + 1})
        if self._called and now["version"] <= planned:
            return Verification(Verdict.NOT_YET, after, "the new version is not visible yet")
        return Verification(Verdict.DOES_NOT_HOLD, after, f"the flag is not {change.after['value']}")

    def image(self, state: State) -> Image:
        """The value, which is all that is written."""
        return {"value": state["value"]}


class HaltTrading(SwitchFlag):
    """Set the flag to false."""

    name = "halt_trading"
    to = "false"


class ResumeTrading(SwitchFlag):
    """Set the flag to true. The catalogue demands a person, the engine enforces it."""

    name = "resume_trading"
    to = "true"


def _read(name: str) -> dict[str, Any]:
    """Value and version now. The value of something that is no flag stays here: only its shape goes on."""
    try:
        answer = client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]
    except AwsError as error:
        translate(error, f"parameter {name}")
    value = answer["Value"]
    return {
        "value": value if value in FLAGS else None,
        "looks_like": _shape(value),
        "version": answer["Version"],
        "type": answer["Type"],
    }


def _shape(value: str) -> str:
    if value in FLAGS:
        return value
    if value.strip().lower() in FLAGS:
        return "a flag in other letters or with blanks around it"
    return "something else (not shown)"


def _kept(name: str) -> dict[str, str]:
    """Tier, description, pattern and key of the newest version.

    From GetParameterHistory, and not DescribeParameters: IAM can scope it to the parameter. It needs no decryption,
    and pages of 50 of the 100 versions that AWS keeps make it two calls at most. `KeyId` is the key's alias.
    """
    newest = max(_history(name), key=lambda entry: int(entry["Version"]), default=None)
    if newest is None:
        raise Unreadable(f"history of {name}", "it is empty")
    kept = {field: newest[theirs] for field, theirs in KEPT.items() if newest.get(theirs)}
    if newest["Type"] == "SecureString":
        if not newest.get("KeyId"):
            raise Unreadable(f"key of {name}", "AWS did not name it, and without it the default key would be used")
        kept["key"] = newest["KeyId"]
    return kept


def _put(name: str, value: str, kept: Mapping[str, str]) -> int:
    """Write a new version; answers its number. Type is left out: AWS keeps it, and refuses another one."""
    repeated = {theirs: kept[field] for field, theirs in KEPT.items() if field in kept}
    if "key" in kept:
        repeated["KeyId"] = kept["key"]
    try:
        return int(client("ssm").put_parameter(Name=name, Value=value, Overwrite=True, **repeated)["Version"])
    except AwsError as error:
        translate(error, f"parameter {name}")


def _writers(name: str, planned: int, ours: int) -> dict[str, str]:
    """Who wrote the versions between the one that was planned on and ours, for the person who looks into it."""
    try:
        written = {int(entry["Version"]): entry.get("LastModifiedUser", "unknown") for entry in _history(name)}
    except (Unreadable, TargetForbidden, TargetNotFound, NotApplied) as error:  # our own write took effect all the same
        return {"unknown": str(error)}
    return {str(version): who for version, who in written.items() if planned < version < ours}


def _history(name: str) -> list[dict[str, Any]]:
    try:
        pages = client("ssm").get_paginator("get_parameter_history").paginate(Name=name, WithDecryption=False)
        return [entry for page in pages for entry in page["Parameters"]]
    except AwsError as error:
        translate(error, f"history of parameter {name}")


lambda_handler = handler_for(HaltTrading, ResumeTrading)
