"""Go back to the secret that worked, and make a function read its secrets anew without losing a variable.

Alarm: sign-in errors after a key rotation; or a rotation that the alias has not seen.
Actions (risky): `roll_back_secret` moves AWSCURRENT of a secret to the version before it (or `to_version`);
`reload_function` publishes the version that an alias serves once more, with a marker in its environment, and points the
alias there, so that every warm environment is replaced.
Precondition: of the secret, no rotation is in progress; of the function, $LATEST is what the alias serves (code,
environment, settings), because to publish means to publish $LATEST; CodeDeploy is not shifting the alias.

The ids of both versions are pinned: Secrets Manager refuses to move a label off a version that does not have it, so a
call that is made twice does not swap back. If somebody makes another version current in between, nothing is planned
again: "the one before" would then be what was just mended.
UpdateFunctionConfiguration replaces the whole environment (API reference), so every variable is read and sent again,
on the RevisionId that was read. PublishVersion makes no second version of what it has published; the marker is the
action's own, so a run that was killed goes on where it stopped.

Never: reads a secret's value (its role can't), records or tells the value of an environment variable, publishes code or
settings that the alias does not serve. `$LATEST` keeps the marker, also after an undo. The old credential may be
revoked at its provider: a smoke test comes after. Consumers that keep secrets in memory see the change when that
expires (Powertools: 300 s), or by `reload_function`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, Image, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.code_deploy import in_flight
from selfheal.errors import ChangedMeanwhile, NotApplied, Refused, TargetNotFound
from selfheal.function_reload import (
    LIMIT_BYTES,
    RESERVE_S,
    described,
    differences,
    mark,
    marker_of,
    patiently,
    pin,
    read,
    settled,
)
from selfheal.function_version import alias_of
from selfheal.handler import handler_for
from selfheal.members import listed
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

CURRENT, PREVIOUS, PENDING = "AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"


class RollBackSecret(Action):
    """AWS calls: 1 to observe, 1 to apply, 1 to verify. An undo moves the label back."""

    name = "roll_back_secret"
    permissions = ("secretsmanager:DescribeSecret", "secretsmanager:UpdateSecretVersionStage")
    compare_and_set = True

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._first: str | None = None

    def observe(self, request: Request) -> State:
        """Which version has which label. Versions without a label are not listed: they are as good as deleted."""
        labels = _labels(request)
        current = _holder(labels, CURRENT)
        self._first = self._first or current
        return {"current": current, "labels": labels, "was": self._first}

    def decide(self, state: State, request: Request) -> Decision:
        """To the version before, to the one asked for, or to the recorded one."""
        name, current, labels = request.target["secret"], state["current"], state["labels"]
        if not current:
            return Decline(Refusal.NO_EARLIER_VERSION, f"{name} has no current version")
        pending = _holder(labels, PENDING)
        if pending and pending != current:
            detail = f"{PENDING} of {name} is on {pending}; let the rotation end, or cancel it and remove the label"
            return Decline(Refusal.ROTATION_IN_PROGRESS, detail)
        asked = request.options.get("to_version") if request.wanted is None else request.wanted["current"]
        if not asked and state.get("was", current) != current:
            return Decline(Refusal.CHANGED_MEANWHILE, f"somebody else made {current} current; look before going on")
        to = asked or _holder(labels, PREVIOUS)
        if not to:
            return Decline(Refusal.NO_EARLIER_VERSION, f"{name} has no version with the label {PREVIOUS}")
        if to == current:
            return AlreadyDone(f"{to} is the current version of {name} already", {"current": current})
        if to not in labels:
            detail = f"version {to!r:.80} of {name} does not exist or has no label; labels: {_told(labels)}"
            return Decline(Refusal.VERSION_UNFIT, detail)
        return Change(
            direction=Direction.RISKY,
            summary=f"make {to} the current version of {name} in place of {current}",
            before={"current": current},
            after={"current": to},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One call with both ids. After a refusal the labels are read: a run that died may have made the call."""
        self._called = True
        aws, name = client("secretsmanager"), request.target["secret"]
        try:
            aws.update_secret_version_stage(
                SecretId=name,
                VersionStage=CURRENT,
                RemoveFromVersionId=change.before["current"],
                MoveToVersionId=change.after["current"],
            )
        except (aws.exceptions.InvalidParameterException, aws.exceptions.InvalidRequestException) as error:
            now = _holder(_labels(request), CURRENT)
            if now == change.after["current"]:
                return {"written": False}
            if now != change.before["current"]:
                raise ChangedMeanwhile(f"{now} is the current version of {name} by now") from error
            raise NotApplied(f"secret {name}: {error}") from error
        except AwsError as error:
            translate(error, f"secret {name}")
        return {"seen_by_consumers": "when their cache expires (Powertools: 300 s), or after reload_function"}

    def verify(self, request: Request, change: Change) -> Verification:
        """The label is where it should be."""
        seen = {"current": _holder(_labels(request), CURRENT)}
        if seen == change.after:
            return Verification(Verdict.HOLDS, seen)
        if seen == change.before:
            return Verification(Verdict.NOT_YET if self._called else Verdict.DOES_NOT_HOLD, seen, "it is as it was")
        return Verification(Verdict.DOES_NOT_HOLD, seen, f"somebody else made {seen['current']} current")

    def image(self, state: State) -> Image:
        """The id of the current version."""
        return {"current": state["current"]}


class ReloadFunction(Action):
    """AWS calls, of which Lambda allows 15 a second: 3 to observe (4 with CodeDeploy), 6 or more to apply, 2 to verify.

    The images hold the alias' version and the marker in it. An undo points the alias back: 2 or 3 · 1 · 2 calls.
    """

    name = "reload_function"
    permissions = (
        "codedeploy:ListDeployments",
        "lambda:GetAlias",
        "lambda:GetFunctionConfiguration",
        "lambda:PublishVersion",
        "lambda:UpdateAlias",
        "lambda:UpdateFunctionConfiguration",
    )
    compare_and_set = True

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._end = time.monotonic() + remaining_s - RESERVE_S

    def observe(self, request: Request) -> State:
        """The alias, what it serves, and $LATEST; of environments only what may be recorded."""
        function, code_deploy, name = request.target["function"], request.target["code_deploy"], _marker_name(request)
        alias = alias_of(request.target.fields)
        version = alias["FunctionVersion"]
        state: dict[str, Any] = {
            "version": version,
            "revision": alias["RevisionId"],
            "weights": dict(alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})),
            "in_flight": in_flight(code_deploy) if code_deploy else [],
            "live": None,
            "latest": None,
            "differences": [],
        }
        if not version.isdecimal():
            return state
        live = read(function, version)
        state["live"] = described(live, name)
        if request.undo_of is None and request.wanted is None:
            latest = read(function)
            state |= {"latest": described(latest, name), "differences": differences(latest, live, name)}
        return state

    def decide(self, state: State, request: Request) -> Decision:
        """Refuse whatever would put more than a marker live."""
        version, alias = state["version"], f"{request.target['alias']} of {request.target['function']}"
        if state["in_flight"]:
            return Decline(Refusal.DEPLOYMENT_IN_FLIGHT, f"in flight: {listed(state['in_flight'])}; stop it first")
        if not version.isdecimal():
            return Decline(Refusal.ALIAS_ON_LATEST, f"{alias} points to {version}")
        if {number for number, weight in state["weights"].items() if weight > 0}:
            detail = f"{alias} shares its traffic ({state['weights']}); end the canary first"
            return Decline(Refusal.DEPLOYMENT_IN_FLIGHT, detail)
        before = self.image(state)
        if request.wanted is not None:
            return _back(state, request, alias, before)
        value = marker_of(request.action_id)
        if before["marker"] == value:
            return AlreadyDone(f"{alias} serves version {version}, which has the marker {value}", dict(before))
        declined = _why_not(state, request, value)
        if declined is not None:
            return declined
        return Change(
            direction=Direction.RISKY,
            summary=f"publish version {version} anew, marked {value}, and move {alias} there",
            before=before,
            after={"marker": value},
            plan={"revision": state["revision"], "latest": state["latest"]["revision"]},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Marker, wait, publish, wait, alias; each on the revision that was seen. An undo is the alias alone."""
        self._called = True
        if "version" in change.after:
            return {"revision": _point(request, change.after["version"], change.plan["revision"])}
        function, name, value = request.target["function"], _marker_name(request), change.after["marker"]
        latest = read(function)
        if described(latest, name)["marker"] != value:
            if described(latest, name)["revision"] != change.plan["latest"]:
                raise ChangedMeanwhile(f"$LATEST of {function} was changed after it was looked at")
            mark(function, latest, name, value)
        latest = settled(function, "", self._end)
        live = read(function, change.before["version"])
        differing = differences(latest, live, name)
        if differing or described(latest, name)["marker"] != value:
            raise ChangedMeanwhile(f"$LATEST of {function} was changed by somebody else: {listed(differing)}")
        version = _publish(function, latest)
        settled(function, version, self._end)
        revision = _point(request, version, change.plan["revision"])
        return {"published": version, "revision": revision, "latest_keeps": f"{name}={value}"}

    def verify(self, request: Request, change: Change) -> Verification:
        """The alias serves a version with the wanted marker."""
        alias = alias_of(request.target.fields)
        version = alias["FunctionVersion"]
        marker = described(read(request.target["function"], version), _marker_name(request))["marker"]
        seen = {"version": version, "marker": marker}
        if all(seen[name] == wanted for name, wanted in change.after.items()):
            return Verification(Verdict.HOLDS, seen)
        if version == change.before["version"]:
            verdict = Verdict.NOT_YET if self._called else Verdict.DOES_NOT_HOLD
            return Verification(verdict, seen, f"the alias is still on version {version}")
        return Verification(Verdict.DOES_NOT_HOLD, seen, f"somebody moved the alias to version {version}")

    def image(self, state: State) -> Image:
        """The version that the alias serves, and the marker in it."""
        return {"version": state["version"], "marker": (state["live"] or {}).get("marker")}


def _back(state: State, request: Request, alias: str, before: Image) -> Decision:
    wanted = request.wanted or {}
    if before["version"] == wanted["version"]:
        return AlreadyDone(f"{alias} points to {before['version']} already", dict(before))
    summary = f"move {alias} from {before['version']} to {wanted['version']}; $LATEST keeps its marker"
    return Change(Direction.RISKY, summary, before, dict(wanted), {"revision": state["revision"]})


def _why_not(state: State, request: Request, value: str) -> Decline | None:
    """What stands in the way of publishing $LATEST, the most basic first."""
    latest, live, name = state["latest"], state["live"], _marker_name(request)
    function, version = request.target["function"], state["version"]
    for which, seen in (("$LATEST", latest), (f"version {version}", live)):
        if seen["environment_error"]:
            detail = f"{which} of {function}: {seen['environment_error']}; may this role use the key?"
            return Decline(Refusal.ENVIRONMENT_UNREADABLE, detail)
    marked = latest["marker"] == value  # by a run of this action that was killed
    if latest["last_update"] == "Failed" or (latest["last_update"] != "Successful" and not marked):
        return Decline(Refusal.FUNCTION_NOT_READY, f"the last update of {function} is {latest['last_update']}")
    if latest["marker_taken"] or live["marker_taken"]:
        return Decline(Refusal.BAD_OPTIONS, f"{name} is a variable of {function} itself; name another marker")
    if state["differences"]:
        found = listed(state["differences"], 20)
        detail = f"$LATEST and version {version} of {function} differ in: {found}; deploy, or roll $LATEST back, first"
        return Decline(Refusal.LATEST_DIFFERS, detail)
    if latest["bytes"] > LIMIT_BYTES:
        return Decline(Refusal.ENVIRONMENT_TOO_LARGE, f"it would have {latest['bytes']} bytes of {LIMIT_BYTES}")
    return None


def _marker_name(request: Request) -> str:
    """The marker variable. Raises Refused for what Lambda does not take as a name."""
    name = request.options["marker"]
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]{1,63}", name) or name.upper().startswith(("AWS_", "LAMBDA_")):
        detail = f"marker must be the name of a variable (letters, digits, _), none of AWS's own; got {name!r:.40}"
        raise Refused(Refusal.BAD_OPTIONS, detail)
    return str(name)


# -- AWS ---------------------------------------------------------------------------------------------------------


def _labels(request: Request) -> dict[str, list[str]]:
    """Version id → its labels. Raises TargetNotFound for a secret that is being deleted, too."""
    name = request.target["secret"]
    try:
        found = client("secretsmanager").describe_secret(SecretId=name)
    except AwsError as error:
        translate(error, f"secret {name}")
    if found.get("DeletedDate"):
        raise TargetNotFound(f"secret {name} is scheduled for deletion")
    return {version: sorted(labels) for version, labels in found.get("VersionIdsToStages", {}).items() if labels}


def _holder(labels: Mapping[str, list[str]], label: str) -> str | None:
    return next((version for version, own in labels.items() if label in own), None)


def _told(labels: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{version}: {', '.join(own)}" for version, own in labels.items())


def _publish(function: str, latest: Mapping[str, Any]) -> str:
    """The version made of $LATEST; of what was published before, the version that there is (API reference)."""
    pinned = {"CodeSha256": latest["CodeSha256"], **pin(latest)}
    answer = patiently(
        f"publishing {function}", lambda: client("lambda").publish_version(FunctionName=function, **pinned)
    )
    return str(answer["Version"])


def _point(request: Request, version: str, revision: str) -> str:
    function, name = request.target["function"], request.target["alias"]
    wanted = {"FunctionVersion": version, "RoutingConfig": {"AdditionalVersionWeights": {}}, "RevisionId": revision}
    answer = patiently(
        f"alias {name} of {function}",
        lambda: client("lambda").update_alias(FunctionName=function, Name=name, **wanted),
    )
    return str(answer["RevisionId"])


lambda_handler = handler_for(RollBackSecret, ReloadFunction)
