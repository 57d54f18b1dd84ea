"""Throttle a stage of an API Gateway REST or HTTP API, and take the throttle off again.

Alarm: an API floods what is behind it, or a client floods the API.
Action: `limit_api` (safe or risky): the option `rate` (requests a second) and `burst` (at once; as many as the rate
unless said otherwise) become the limit of every method or route. One that has a limit of its own would win over it,
so what is above comes down as well; what is lower stays.
Precondition: the stage exists, and API Gateway does not manage it (the `$default` stage of a quick-created HTTP API).

To lower is safe: clients get a 429 and may try again, and nothing is lost on this side. To raise, in any of the limits,
is risky, and so is the undo, which raises them again. Each limit is recorded: the undo brings every one back to its
number, and where there was none removes what was made. An entry that was given other settings since (logging, metrics,
caching) is not removed: a person is told.

Whether API Gateway takes a limit off an HTTP API by a call that leaves it out is not documented: `verify` looks, and
says so if the limit is still there. There is no compare-and-set; the stage is read again right before the call, and
one whose settings are not as they were looked at is not touched. Limits are best effort in API Gateway, not a ceiling.

Never: touches a usage plan, a method's logging or caching, or the limits of the account.

AWS calls: 1 to observe, 2 to apply (and 1 per 40 further methods with a limit of their own), 1 to verify.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import api_stage
from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, Image, State, Verification
from selfheal.api_stage import DEFAULTS, Limit
from selfheal.errors import ChangedMeanwhile, Refused
from selfheal.handler import handler_for
from selfheal.members import listed
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

NO_LIMIT = float("inf")


class LimitApi(Action):
    """Brings the limits of a stage down to a rate, or (`request.wanted`) each of them back to its recorded one."""

    name = "limit_api"
    permissions = ("apigateway:GET", "apigateway:PATCH")

    def observe(self, request: Request) -> State:
        """Every limit of the stage, and the settings that they stand in."""
        if not _restores(request):
            _asked(request)
        return api_stage.read(request.target)

    def decide(self, state: State, request: Request) -> Decision:
        """Lower what is above; safe if nothing is raised by it."""
        before = self.image(state)
        if request.wanted is not None:
            wanted = {key: request.wanted.get(key, limit) for key, limit in before.items()}
        else:
            wanted = _lowered(before, DEFAULTS[request.target.kind], _asked(request))
        changes = {key: limit for key, limit in wanted.items() if limit != before[key]}
        if not changes:
            return AlreadyDone(f"no limit is above what is wanted: {_shown(before)}")
        for key in (key for key, limit in changes.items() if limit is None):
            if others := api_stage.more_than_a_limit(request.target, state["settings"], key):
                detail = f"{key} was given {', '.join(others)} since; to remove the entry would remove that as well"
                return Decline(Refusal.CHANGED_SINCE, f"{detail}. Set its throttling by hand")
        raises = [key for key, limit in changes.items() if _is_raised(before[key], limit)]
        named = f"stage {request.target['stage']} of {request.target[request.target.kind]}"
        return Change(
            direction=Direction.RISKY if raises else Direction.SAFE,
            summary=f"limits of {named}: {_shown({key: before[key] for key in changes})} become {_shown(changes)}",
            before=before,
            after={**before, **changes},
            plan={"settings": state["settings"], "changes": changes},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Read, compare, and one UpdateStage. What is as wanted already is the work of a run that died."""
        self._called = True
        now = api_stage.read(request.target)
        if now["limits"] == change.after:
            return {"written": False}
        if now["settings"] != change.plan["settings"]:
            raise ChangedMeanwhile("the settings of the stage changed after they were looked at")
        api_stage.write(request.target, now["settings"], change.plan["changes"])
        return {"limited": sorted(change.plan["changes"])}

    def verify(self, request: Request, change: Change) -> Verification:
        """Every limit as wanted."""
        seen = api_stage.read(request.target)["limits"]
        if seen == change.after:
            return Verification(Verdict.HOLDS, seen)
        if seen == change.before:
            verdict = Verdict.NOT_YET if self._called else Verdict.DOES_NOT_HOLD
            return Verification(verdict, seen, f"the limits are as they were: {_shown(seen)}")
        return Verification(Verdict.DOES_NOT_HOLD, seen, f"the limits are other than wanted: {_shown(seen)}")

    def image(self, state: State) -> Image:
        """One field per limit, the one of the whole stage included."""
        return dict(state["limits"])


def _restores(request: Request) -> bool:
    return request.undo_of is not None or request.wanted is not None


def _asked(request: Request) -> Limit:
    """The limit that was asked for. Raises Refused."""
    rate, burst = request.options["rate"], request.options["burst"]
    if not rate or (burst is not None and not burst):
        raise Refused(Refusal.BAD_OPTIONS, "limit_api needs rate, at least 1, and burst, if given, at least 1")
    return {"rate": rate, "burst": rate if burst is None else burst}


def _lowered(before: Image, default: str, to: Limit) -> dict[str, Limit | None]:
    """The default becomes the limit; what overrides it comes down to it where it is above."""
    wanted = {key: {name: min(_size(limit, name), to[name] or 0) for name in to} for key, limit in before.items()}
    return {**wanted, default: dict(to)}


def _is_raised(old: Limit | None, new: Limit | None) -> bool:
    return any(_size(new, name) > _size(old, name) for name in ("rate", "burst"))


def _size(limit: Limit | None, name: str) -> float:
    value = limit[name] if limit else None
    return NO_LIMIT if value is None else value


def _shown(limits: Image) -> str:
    return listed([f"{key} {_one(limit)}" for key, limit in limits.items()])


def _one(limit: Limit | None) -> str:
    if limit is None or (limit["rate"] is None and limit["burst"] is None):
        return "none"
    return f"{limit['rate']}/s burst {limit['burst']}"


lambda_handler = handler_for(LimitApi)
