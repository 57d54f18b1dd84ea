"""Point a Lambda alias back to the last good version.

Alarm: errors, throttles or latency of a function after a deployment.
Action: `roll_back_alias` (risky). Which version, the first of these that is fit:
the option `to_version`; of a canary in progress, the version that was there before it (only the weights are dropped);
what the journal knows as good (`last_known_good`); what the last successful CodeDeploy deployment replaced; the newest
earlier version, one that is Active before one that is Inactive (its first invocation would be slow or fail).
Fit means: published, earlier, not rolled back from before (`bad_versions`), Active or Inactive, its last update not
failed, and different from the current one in code or configuration. Version numbers have gaps, and the one before the
current may never have been live: "current minus one" is not a rule that anything here follows.
Not by itself if the alarm is older than the current version: then that is not to blame.
Precondition: the alias points to a published version, and CodeDeploy is not shifting it: CodeDeploy would write its
own plan over ours (stop_deployment comes first). Without `code_deploy` in the target that can't be seen.

Never: touches $LATEST, publishes or deletes a version, sends weights other than none (an undo sends the recorded ones),
writes over somebody else's write. Not undone by the next deployment: CloudFormation still believes that the alias
points to the newer version, so revert or redeploy afterwards.

Lambda allows 15 control-plane calls a second for an account, reads included. This many are made:

    weights dropped, or undo     2   GetAlias · UpdateAlias
    the ledger knows enough      2   GetAlias · UpdateAlias
    to_version                   3   GetAlias · GetFunctionConfiguration · UpdateAlias
    otherwise                    3   GetAlias · ListVersionsByFunction · UpdateAlias

and 1 more for each further 50 versions, up to 3 more if the list leaves out the versions' state (it may: the API
reference says so of ListFunctions), 2 more for a lost compare-and-set, up to 3 more while Lambda is busy, 1 more each
time the change is verified by anything but the answer of our own UpdateAlias: by a run that was resumed, and while
Lambda still moves capacity.

The ledger knows enough where it has the facts of the current version and of the version that was proven last, no older
than two weeks (`selfheal.versions`): every rollback that lists versions leaves them behind, and every watch of a
deployment. If Lambda refuses that version all the same (it was deleted meanwhile), the versions are listed and it is
planned again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from selfheal import busy, versions
from selfheal.action import DEPLOYED_AT, Action, AlreadyDone, Change, Decision, Decline, Image, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.code_deploy import deployment_info, in_flight
from selfheal.errors import (
    ChangedMeanwhile,
    LedgerUnavailable,
    NotApplied,
    Refused,
    TargetForbidden,
    TargetNotFound,
    Unreadable,
)
from selfheal.function_version import SETTINGS, alias_of
from selfheal.handler import handler_for
from selfheal.ledger import Lost
from selfheal.observability import logger
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict
from selfheal.world import ledger

BY_THE_LEDGER = "by_the_ledger"
"""Planned without a list of what there is."""
STATES_TO_READ = 3
USABLE = ("Active", "Inactive")
CONFIGURATION = ("Environment", *SETTINGS)
"""What makes two versions with the same code behave differently; compared where AWS sends no ConfigSha256."""


class RollBackAlias(Action):
    """Moves the alias with compare-and-set on its RevisionId; an undo restores version and weights the same way."""

    name = "roll_back_alias"
    permissions = (
        "codedeploy:GetDeployment",
        "codedeploy:GetDeploymentGroup",
        "codedeploy:ListDeployments",
        "lambda:GetAlias",
        "lambda:GetFunctionConfiguration",
        "lambda:ListVersionsByFunction",
        "lambda:UpdateAlias",
    )
    captures = True
    compare_and_set = True

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._answer: dict[str, Any] | None = None
        self._list = False

    def observe(self, request: Request) -> State:
        """The alias and as much about versions and deployments as the decision needs, no call more.

        Of a version only its state and whether it differs from the current one go on: its environment may hold secrets.
        """
        function, code_deploy = request.target["function"], request.target["code_deploy"]
        asked = request.options.get("to_version")
        if asked is not None and not (asked.isascii() and asked.isdecimal()):
            raise Refused(Refusal.BAD_OPTIONS, f"to_version must be the number of a version, got {asked!r:.40}")
        alias = alias_of(request.target.fields)
        state: dict[str, Any] = {
            "version": alias["FunctionVersion"],
            "weights": dict(alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})),
            "revision": alias["RevisionId"],
            "in_flight": in_flight(code_deploy) if code_deploy else [],
            "versions": {},
            "successful": None,
            "attempted": None,
        }
        if not state["version"].isdecimal() or state["in_flight"]:
            return state
        if request.undo_of is not None or request.wanted is not None:
            return state
        if asked is not None:
            return state | {"versions": _asked(function, asked)}
        known = _journal(request)
        state |= {"last_known_good": list(known.good), "bad_versions": list(known.bad)}
        if not _canary(state) and not self._list and (best := versions.best(known, state["version"])):
            return state | _by_the_ledger(known, state["version"], best)
        if code_deploy:
            state |= _deployments(code_deploy)
        if _canary(state):
            return state
        replaced = state["successful"]["from"] if state["successful"] else None
        return state | _earlier(function, state["version"], replaced, known)

    def decide(self, state: State, request: Request) -> Decision:
        """Where to, or why not."""
        version, name = state["version"], request.target["alias"]
        if state["in_flight"]:
            return Decline(Refusal.DEPLOYMENT_IN_FLIGHT, f"in flight: {', '.join(state['in_flight'])}; stop it first")
        if not version.isdecimal():
            return Decline(Refusal.ALIAS_ON_LATEST, f"{name} points to {version}")
        if request.wanted is not None:
            wanted = {"version": request.wanted["version"], "weights": dict(request.wanted["weights"])}
        else:
            found = _asked_for(state, request) if request.options.get("to_version") else _last_good(state)
            if isinstance(found, Decline):
                told = {**found.evidence, **_learnt(state), "serving": self.image(state)}
                return replace(found, evidence=told)
            wanted = {"version": found, "weights": {}}
        before = self.image(state)
        if wanted == before:
            return AlreadyDone(f"{name} points to {version} already", dict(before))
        return Change(
            direction=Direction.RISKY,
            summary=_summary(f"{name} of {request.target['function']}", before, wanted),
            before=before,
            after=wanted,
            plan={"revision": state["revision"], **({BY_THE_LEDGER: True} if state.get(BY_THE_LEDGER) else {})},
            facts={DEPLOYED_AT: state.get("deployed_at")},
            evidence=_learnt(state),
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One UpdateAlias. After a lost compare-and-set the alias is read: a run that died may have written it.

        Raises ChangedMeanwhile as well if Lambda refuses a version that only the ledger knew: with a list of what there
        is now it is planned again.
        """
        self._called = True
        try:
            self._answer = _update(request, change)
        except ChangedMeanwhile:
            now = alias_of(request.target.fields)
            if _image(now) != change.after:
                raise
            return {"revision": now["RevisionId"], "written": False}
        except (TargetNotFound, NotApplied) as error:
            if self._list or not change.plan.get(BY_THE_LEDGER):
                raise
            self._list = True
            raise ChangedMeanwhile(f"version {change.after['version']} cannot be gone to: {error}") from error
        _keep(request, change)
        return {"revision": self._answer["RevisionId"]}

    def verify(self, request: Request, change: Change) -> Verification:
        """The answer of our own UpdateAlias, which is the alias as it is after it; else one GetAlias.

        With provisioned concurrency Lambda itself keeps a weight on the old version for a while.
        """
        now, self._answer = self._answer or alias_of(request.target.fields), None
        seen = _image(now)
        if seen == change.after:
            return Verification(Verdict.HOLDS, seen, evidence={"revision": now["RevisionId"]})
        if seen == change.before:
            verdict = Verdict.NOT_YET if self._called else Verdict.DOES_NOT_HOLD
            return Verification(verdict, seen, "the alias is as it was")
        ours = {change.before["version"], change.after["version"]}
        found = f"version {seen['version']}, weights {seen['weights']}"
        arrived = seen["version"] == change.after["version"] and not change.after["weights"]
        if arrived and seen["weights"].keys() <= ours:
            return Verification(Verdict.NOT_YET, seen, f"Lambda still moves capacity: {found}")
        return Verification(Verdict.DOES_NOT_HOLD, seen, f"somebody moved the alias: {found}")

    def image(self, state: State) -> Image:
        """Version and weights."""
        return {"version": state["version"], "weights": dict(state["weights"])}


def _journal(request: Request) -> versions.Known:
    """What earlier watches and incidents have proven and learnt. Without it the list of versions decides; a rollback by
    itself is refused without the ledger anyway."""
    try:
        return versions.of(ledger(), request.target.key, time.time())
    except LedgerUnavailable as error:
        logger.warning("versions not read from the ledger", cause=str(error))
        return versions.Known()


def _by_the_ledger(known: versions.Known, current: str, best: str) -> dict[str, Any]:
    """The state as a list would have shown it, as far as the decision needs it."""
    seen = known.facts[best]
    fit = {"state": seen["state"], "last_update": seen["last_update"], "differs": True}
    return {"versions": {best: fit}, "deployed_at": known.facts[current]["made_at"], BY_THE_LEDGER: True}


def _learnt(state: State) -> dict[str, Any]:
    """What of the list is worth keeping, for the evidence."""
    return {versions.LEARNT: state["learnt"]} if state.get("learnt") else {}


def _keep(request: Request, change: Change) -> None:
    """Facts for the next rollback, once this one is done. Without them that lists versions again."""
    if facts := change.evidence.get(versions.LEARNT):
        try:
            ledger().write(*versions.learnt(request.target.key, facts, time.time()))
        except (LedgerUnavailable, Lost) as error:
            logger.warning("facts of versions not kept", cause=str(error))


def _asked_for(state: State, request: Request) -> str | Decline:
    """The version that a person named, unless it can't serve."""
    asked: str = request.options["to_version"]
    seen = state["versions"].get(asked)
    if seen is None:
        return Decline(Refusal.VERSION_UNFIT, f"version {asked} does not exist")
    if asked == state["version"] and not state["weights"]:
        return Decline(Refusal.VERSION_UNFIT, f"version {asked} is the current one")
    if not _is_usable(seen):
        return Decline(Refusal.VERSION_UNFIT, f"version {asked} is {seen['state']}, last update {seen['last_update']}")
    return asked


def _last_good(state: State) -> str | Decline:
    """The version to go to when nobody named one."""
    version: str
    version, bad = state["version"], {str(number) for number in state.get("bad_versions", [])}
    if canary := _canary(state):
        # Never forward: of the versions that serve, the canary itself is what came last.
        stable = {number for number in {version, *canary} - bad if int(number) <= int(version)}
        attempted = state["attempted"]
        if attempted and attempted["from"] in stable and attempted["to"] in {version, *canary}:
            return str(attempted["from"])
        if stable:
            return str(min(stable, key=int))
        return Decline(Refusal.NO_EARLIER_VERSION, f"{version} was rolled back from before; name one with to_version")
    fit: dict[str, Mapping[str, Any]] = {
        number: seen
        for number, seen in state["versions"].items()
        if int(number) < int(version) and number not in bad and _is_usable(seen) and seen["differs"]
    }
    successful = state["successful"]
    replaced = [successful["from"]] if successful and successful["to"] == version else []
    for number in [*state.get("last_known_good", []), *replaced]:
        if str(number) in fit:
            return str(number)
    newest = max(fit, key=lambda number: (fit[number]["state"] == "Active", int(number)), default=None)
    if newest is None:
        looked_at = {number: seen["state"] for number, seen in state["versions"].items()}
        return Decline(Refusal.NO_EARLIER_VERSION, f"nothing to go back to from {version}", {"versions": looked_at})
    return newest


def _summary(alias: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    kept = before["version"] == after["version"]
    moved = f"keep {alias} on" if kept else f"move {alias} from {before['version']} to"
    moved += f" {after['version']}"
    if before["weights"] == after["weights"]:
        return moved
    return f"{moved}, weights {before['weights']} become {after['weights'] or 'none'}"


def _canary(state: State) -> dict[str, float]:
    """Versions beside the primary one that get traffic."""
    return {version: weight for version, weight in state["weights"].items() if weight > 0}


def _is_usable(seen: Mapping[str, Any]) -> bool:
    return seen["state"] in USABLE and seen["last_update"] != "Failed"


def _image(alias: Mapping[str, Any]) -> dict[str, Any]:
    weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return {"version": alias["FunctionVersion"], "weights": dict(weights)}


# -- Lambda ------------------------------------------------------------------------------------------------------


def _update(request: Request, change: Change) -> dict[str, Any]:
    """UpdateAlias, again while Lambda is busy; answers the alias as it is then.

    RoutingConfig is always sent: left out, the weights of a canary may stay.
    """
    function, name, aws = request.target["function"], request.target["alias"], client("lambda")

    def call() -> dict[str, Any]:
        return dict(
            aws.update_alias(
                FunctionName=function,
                Name=name,
                FunctionVersion=change.after["version"],
                RoutingConfig={"AdditionalVersionWeights": change.after["weights"]},
                RevisionId=change.plan["revision"],
            )
        )

    return busy.patiently(call, f"alias {name} of {function}", aws.exceptions.ResourceConflictException)


def _asked(function: str, version: str) -> dict[str, Any]:
    try:
        return {version: _seen(_configuration(function, version), differs=True)}
    except TargetNotFound:
        return {}


def _earlier(function: str, current: str, likely: str | None, known: versions.Known) -> dict[str, Any]:
    """Published versions before the current one, the newest first, when the current one was made, and what of it is
    worth keeping.

    `likely` is asked first for a missing state.
    """
    try:
        pages = client("lambda").get_paginator("list_versions_by_function").paginate(FunctionName=function)
        listed = {entry["Version"]: entry for page in pages for entry in page["Versions"]}
    except AwsError as error:
        translate(error, f"versions of {function}")
    numbers = [number for number in listed if number.isdecimal() and int(number) < int(current)]
    numbers.sort(key=int, reverse=True)  # the order of the list is documented nowhere
    now = listed.get(current, {})
    seen = {number: _seen(listed[number], differs=_differ(listed[number], now)) for number in numbers}
    _fill_in_states(function, seen, likely)
    able = [number for number in numbers if number in seen and _is_usable(seen[number])]
    learnt = {
        number: versions.facts_of({**listed[number], **({"State": seen[number]["state"]} if number in seen else {})})
        for number in versions.of_interest(known, current, able)
        if number in listed
    }
    return {"versions": seen, "deployed_at": versions.made_at(now), "learnt": learnt}


def _fill_in_states(function: str, found: dict[str, Any], likely: str | None) -> None:
    """Read the state of a few candidates where the list left it out, until one is Active."""
    candidates = [number for number, seen in found.items() if seen["differs"] and seen["state"] is None]
    candidates.sort(key=lambda number: number != likely)  # a stable sort: the rest stays newest first
    for number in candidates[:STATES_TO_READ]:
        try:
            found[number] = _seen(_configuration(function, number), differs=True)
        except TargetNotFound:
            del found[number]
            continue
        if found[number]["state"] == "Active" and _is_usable(found[number]):
            return


def _configuration(function: str, version: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = client("lambda").get_function_configuration(FunctionName=function, Qualifier=version)
    except AwsError as error:
        translate(error, f"version {version} of {function}")
    return answer


def _seen(configuration: Mapping[str, Any], *, differs: bool) -> dict[str, Any]:
    return {
        "state": configuration.get("State"),
        "last_update": configuration.get("LastUpdateStatus"),
        "differs": differs,
    }


def _differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two versions behave differently. The same code with another environment or layer may be the good one."""
    if one.get("CodeSha256") != other.get("CodeSha256"):
        return True
    if one.get("ConfigSha256") and other.get("ConfigSha256"):
        return bool(one["ConfigSha256"] != other["ConfigSha256"])
    return any(one.get(field) != other.get(field) for field in CONFIGURATION)


# -- CodeDeploy --------------------------------------------------------------------------------------------------


def _deployments(code_deploy: Mapping[str, str]) -> dict[str, dict[str, str] | None]:
    """From which version to which the last successful and the last attempted deployment led, where that can be read.

    It is a hint: without it the list of versions decides.
    """
    try:
        group = client("codedeploy").get_deployment_group(
            applicationName=code_deploy["application"], deploymentGroupName=code_deploy["deployment_group"]
        )["deploymentGroupInfo"]
    except AwsError as error:
        translate(error, f"deployment group {code_deploy['deployment_group']}")
    ids = {
        "successful": group.get("lastSuccessfulDeployment", {}).get("deploymentId"),
        "attempted": group.get("lastAttemptedDeployment", {}).get("deploymentId"),
    }
    way = {deployment: _way(deployment) for deployment in {*ids.values()} if deployment}
    return {name: way.get(deployment) for name, deployment in ids.items()}


def _way(deployment: str) -> dict[str, str] | None:
    """From and to of one deployment; None for a rollback, which leads from the bad version to the good one."""
    try:
        answer = deployment_info(deployment)
    except (TargetForbidden, TargetNotFound, Unreadable):
        return None
    if answer.get("creator") == "codeDeployRollback":
        return None
    revision = answer.get("revision", {})
    content = (revision.get("appSpecContent") or revision.get("string") or {}).get("content", "")
    # JSON or YAML, and the case of the keys varies; the two numbers are found in all of them.
    found = {
        name.lower(): number for name, number in re.findall(r"(?i)(currentversion|targetversion)\W+?(\d+)\b", content)
    }
    if {*found} != {"currentversion", "targetversion"}:
        return None
    return {"from": found["currentversion"], "to": found["targetversion"]}


lambda_handler = handler_for(RollBackAlias)
