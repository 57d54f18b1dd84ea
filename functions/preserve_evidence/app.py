"""Keep what the next step would destroy, or what somebody will ask for: logs for longer, and a copy of it all in S3.

Alarm: any; a security incident first of all (evidence before anything is changed), and the engine's own question before
a restart, a rollback or a drain.
Actions: `keep_logs` raises the retention of a log group (safe; its undo lowers it again, which deletes logs, so that is
risky and a person's). `capture_evidence` (reads only) copies the newest log lines, a Logs Insights query, the function
or the service as it is, stopped tasks with their reasons, the last deployments, a sample of dead letters, traces with
errors and who did what to `s3://<archive>/evidence/<incident>/`: a JSON document and an overview beside it.
Precondition: none. What can't be read is listed as missing with its reason; only if nothing at all can be, it refuses.

Traps: PutRetentionPolicy with fewer days than before deletes what is older, and on a group without a policy, which
keeps its logs for ever, any number of days does. Both are left alone here.

Never: lowers a retention by itself, keeps an environment of a function or a container, pushes a dead letter on, writes
over evidence. Log lines are masked where they look like secrets, which lowers the risk and does not remove it: the
bucket's readers are to be few.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from selfheal import log_retention
from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, Image, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.errors import NotApplied, Refused, SelfhealError, TargetForbidden, TargetNotFound, Unreadable
from selfheal.evidence import document, gathering, sources
from selfheal.evidence.found import Look
from selfheal.handler import handler_for
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

MAX_MINUTES = 1_440
MAX_LOG_GROUPS = 10
MAX_TOLD = 300
"""Characters of a reason in the result; the document has all of it."""
GROUP_NAME = re.compile(r"[\w.\-/#]{1,512}", re.ASCII)


class KeepLogs(Action):
    """DescribeLogGroups to look and to verify, PutRetentionPolicy to raise. AWS has no compare-and-set."""

    name = "keep_logs"
    permissions = log_retention.PERMISSIONS

    def observe(self, request: Request) -> State:
        """Its days; None for a group that keeps its logs for ever."""
        return {"days": log_retention.days_of(request.target["log_group"])}

    def decide(self, state: State, request: Request) -> Decision:
        """Only ever longer; an undo goes back to what was recorded."""
        name, now = request.target["log_group"], state["days"]
        days = request.options["days"] if request.wanted is None else request.wanted["days"]
        if days not in log_retention.ALLOWED:
            return Decline(Refusal.BAD_OPTIONS, f"days is {days}; CloudWatch knows {list(log_retention.ALLOWED)}")
        if now is None:
            return AlreadyDone(f"{name} keeps its logs for ever")
        if now == days or (now > days and request.wanted is None):
            return AlreadyDone(f"{name} keeps its logs for {now} days already", {"days": now})
        return Change(
            direction=Direction.SAFE if days > now else Direction.RISKY,
            summary=f"keep the logs of {name} for {days} days instead of {now}",
            before={"days": now},
            after={"days": days},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One PutRetentionPolicy."""
        name = request.target["log_group"]
        try:
            client("logs").put_retention_policy(logGroupName=name, retentionInDays=change.after["days"])
        except AwsError as error:
            translate(error, f"retention of log group {name}")
        return {}

    def verify(self, request: Request, change: Change) -> Verification:
        """Its days again."""
        days = log_retention.days_of(request.target["log_group"])
        verdict = Verdict.HOLDS if days == change.after["days"] else Verdict.DOES_NOT_HOLD
        return Verification(verdict, {"days": days}, "" if verdict is Verdict.HOLDS else f"it keeps them {days} days")

    def image(self, state: State) -> Image:
        """The days, which are all that is written."""
        return {"days": state["days"]}


class CaptureEvidence(Action):
    """Side by side, within a few seconds for all of it (`gathering`). Its keys in S3 are those of its action_id."""

    name = "capture_evidence"
    permissions = (*sources.PERMISSIONS, *document.PERMISSIONS)
    reversible = False
    changes_target = False

    def observe(self, request: Request) -> State:
        """Nothing yet but the time: each source looks for itself, and a plan need not disturb a queue."""
        return {"now": time.time()}

    def decide(self, state: State, request: Request) -> Decision:
        """What is to be read, and of which time."""
        if (wrong := _wrong(request.options)) is not None:
            return Decline(Refusal.BAD_OPTIONS, wrong)
        since = state["now"] - request.options["minutes"] * 60
        names = list(sources.sources_of(Look(request.target, since, state["now"], request.options)))
        if not names:
            detail = f"of a {request.target.kind} nothing is known; name log_groups, or ask for traces or trail"
            return Decline(Refusal.BAD_OPTIONS, detail)
        return Change(
            direction=Direction.READ,
            summary=f"capture {', '.join(names)} of {request.target.key}, {request.options['minutes']} minutes back",
            plan={"since": since, "until": state["now"]},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Gather and keep. Raises Refused where nothing at all could be read."""
        look = Look(request.target, change.plan["since"], change.plan["until"], request.options)
        found, missing = gathering.side_by_side(sources.sources_of(look))
        why = {name: str(error) for name, error in missing.items()}
        if not found:
            raise Refused(_refusal(list(missing.values())), f"nothing could be read: {why}"[:1_000])
        try:
            kept = document.keep(request, look, found, why)
        except (TargetForbidden, TargetNotFound, Unreadable) as error:  # of the archive, which is not the target
            raise NotApplied(f"the evidence was read and could not be kept: {error}") from error
        return {
            "captured": kept.uri,
            "overview": kept.overview,
            "bytes": kept.size,
            "kept_earlier": kept.earlier,
            "has": {name: one.summary[:MAX_TOLD] for name, one in found.items()},
            "missing": {name: reason[:MAX_TOLD] for name, reason in why.items()},
        }

    def verify(self, request: Request, change: Change) -> Verification:
        """S3 has taken it, or `apply` would have raised."""
        return Verification(Verdict.HOLDS, detail=change.summary)


def _wrong(options: Mapping[str, Any]) -> str | None:
    """What is wrong with the options."""
    minutes, groups, query = options["minutes"], options["log_groups"] or [], options["query"]
    if not 1 <= minutes <= MAX_MINUTES:
        return f"minutes is {minutes}; from 1 to {MAX_MINUTES}"
    if len(groups) > MAX_LOG_GROUPS:
        return f"log_groups has {len(groups)} names; at most {MAX_LOG_GROUPS}"
    if bad := [group for group in groups if not (isinstance(group, str) and GROUP_NAME.fullmatch(group))]:
        return f"log_groups must be names of log groups, not {bad[0]!r:.80}"
    if query is not None and not 0 < len(query) <= 10_000:
        return "query must be a Logs Insights query of at most 10,000 characters"
    return None


def _refusal(reasons: list[SelfhealError | str]) -> Refusal:
    """Why nothing could be read, if it is the same for all."""
    for kind, refusal in {
        TargetNotFound: Refusal.TARGET_NOT_FOUND,
        TargetForbidden: Refusal.TARGET_FORBIDDEN,
    }.items():
        if all(isinstance(reason, kind) for reason in reasons):
            return refusal
    return Refusal.TARGET_UNREADABLE


lambda_handler = handler_for(KeepLogs, CaptureEvidence)
