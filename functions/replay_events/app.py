"""Send archived events of a bus to some of its rules once more, or cancel that.

Alarm: none; a person decides after an outage, for events that a disabled or failing rule has missed.
Action: `replay_events` (risky, a person) starts a replay out of the archive, to the rules that are named and no other.
`cancel_replay` (safe) stops one; what it has delivered stays delivered.
Precondition: the archive is ENABLED and keeps the events of this bus; each rule is there, ENABLED and nobody else's;
the window is over for ten minutes, since an archive lags; the handlers remember every event of it.

The handlers' memory is the point. A replay runs them again, and only a table of what they have done keeps orders from
being placed twice. The table must be ACTIVE with its TTL on, and the window must be younger than `remembers_hours`: an
event older than that is carried out again. Whether a handler asks its table by a key of the business is for the person
to know; the event's own `id` is a new one in a replay.

The name of the replay is made of the action_id, so a repeated StartReplay is refused by AWS and not a second replay.
Without FilterArns every rule of the bus would get the events; EventSourceArn is the archive and not the bus, and the
destination can only be the bus that feeds the archive (API reference, StartReplay). COMPLETED means sent, not
processed. Until then the outcome is in_progress: AWS goes on by itself, and the same request with `mode: resume` tells
how far it is.

Never: replays to all rules, starts one replay twice, enables a rule, or takes back what was delivered.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.errors import ChangedMeanwhile, NotApplied, Refused, TargetForbidden, TargetNotFound, Unreadable
from selfheal.event_replay import RUNNING, Window, active, described, in_words, is_name, is_of, name_for, progress, told
from selfheal.handler import handler_for
from selfheal.members import listed
from selfheal.refusal import Refusal
from selfheal.replay_fitness import read_asked, why_not
from selfheal.request import Request
from selfheal.words import Direction, Verdict

MAX_TIMELINE = 20
PATIENCE_S = 86_400
"""So long a replay counts as running that AWS does not tell of: one failed look must not end the watch over it."""
LOOK = "sent, not processed: look at the rules' dead letters and run the checks of the system"


class ReplayEvents(Action):
    """AWS calls: to observe 7, and 1 per rule; 1 to apply, 1 to verify."""

    name = "replay_events"
    permissions = (
        "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive",
        "events:DescribeArchive",
        "events:DescribeReplay",
        "events:DescribeRule",
        "events:ListReplays",
        "events:StartReplay",
    )
    reversible = False
    verify_for_s = 0.0  # whoever waits here holds the archive's lease, and nobody could cancel the replay meanwhile

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._unclear = False
        self._timeline: list[dict[str, Any]] = []

    def observe(self, request: Request) -> State:
        """The archive, the rules, the handlers' memory, and what is replayed at present."""
        asked, bus = read_asked(request), request.target["bus"]
        try:
            own = described(name_for(request.action_id))
        except TargetNotFound:
            own = None
        return {
            "now": time.time(),
            "own": own,
            "archive": _archive(request.target["archive"]),
            "rules": {rule: _rule(bus, rule) for rule in asked.rules},
            "memory": _memory(asked.table),
            "active": active(),
        }

    def decide(self, state: State, request: Request) -> Decision:
        """Start it, unless one of the reasons of `replay_fitness` speaks against it."""
        asked = read_asked(request)
        if state["own"] is not None:
            return _again(state["own"])
        if (declined := why_not(asked, state, request)) is not None:
            return declined
        archive, rules, window = state["archive"], state["rules"], asked.window
        return Change(
            direction=Direction.RISKY,
            summary=_summary(window, request, state),
            plan={
                "name": name_for(request.action_id),
                "source": archive["arn"],
                "bus": archive["source"],
                "rules": sorted(rule["arn"] for rule in rules.values()),
                "start": window.start,
                "end": window.end,
                "asked_at": state["now"],
            },
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One StartReplay. One of this name that exists is ours: an earlier run, or an attempt without an answer."""
        plan, events = change.plan, client("events")
        try:
            events.start_replay(
                ReplayName=plan["name"],
                Description=f"selfheal {request.action_id}"[:512],
                EventSourceArn=plan["source"],
                EventStartTime=datetime.fromtimestamp(plan["start"], UTC),
                EventEndTime=datetime.fromtimestamp(plan["end"], UTC),
                Destination={"Arn": plan["bus"], "FilterArns": plan["rules"]},
            )
        except events.exceptions.ResourceAlreadyExistsException:
            return {"replay": plan["name"], "started": "before"}
        except AwsError as error:
            try:
                translate(error, f"replay {plan['name']}")
            except Unreadable:
                self._unclear = True
                raise
        return {"replay": plan["name"], "started": "now"}

    def verify(self, request: Request, change: Change) -> Verification:
        """How far it is. After an unclear answer one that can't be found may still come up."""
        plan = change.plan
        try:
            replay = described(plan["name"])
        except TargetNotFound:
            verdict = Verdict.NOT_YET if self._unclear else Verdict.DOES_NOT_HOLD
            return Verification(verdict, detail=f"there is no replay {plan['name']}")
        except (Unreadable, TargetForbidden) as error:
            if time.time() > plan["asked_at"] + PATIENCE_S:
                raise
            return Verification(Verdict.NOT_YET, detail=f"how far it is can't be told at the moment: {error}")
        if (replay["EventSourceArn"], int(replay["EventStartTime"])) != (plan["source"], int(plan["start"])):
            detail = f"replay {plan['name']} is somebody else's: {replay['EventSourceArn']}"
            return Verification(Verdict.DOES_NOT_HOLD, detail=detail)
        evidence, detail = self._seen(replay), in_words(replay)
        if replay["State"] == "COMPLETED":
            return Verification(Verdict.HOLDS, detail=f"{detail}; {LOOK}", evidence={**evidence, "next": LOOK})
        if replay["State"] in RUNNING:
            return Verification(Verdict.NOT_YET, detail=detail, evidence=evidence)
        return Verification(Verdict.DOES_NOT_HOLD, detail=f"{detail}; the rest is not sent", evidence=evidence)

    def _seen(self, replay: Mapping[str, Any]) -> dict[str, Any]:
        """Progress now, and the way to it: from the start of the replay, through what this run has seen."""
        now = progress(replay)
        if not self._timeline and now["began"]:
            self._timeline.append({"at": now["began"], "state": "STARTING", "percent": 0})
        step = {"state": now["state"], "percent": now["percent"], "sent_up_to": now["sent_up_to"]}
        last = self._timeline[-1] if self._timeline else {}
        if any(last.get(name) != value for name, value in step.items()):
            self._timeline.append({"at": now["ended"] or told(time.time()), **step})
        del self._timeline[1 : max(1, len(self._timeline) - MAX_TIMELINE)]
        return {**now, "timeline": list(self._timeline)}


class CancelReplay(Action):
    """AWS calls: to observe 1 if the replay is named, else 4; 1 to apply, 1 to verify."""

    name = "cancel_replay"
    permissions = ("events:CancelReplay", "events:DescribeReplay", "events:ListReplays")
    reversible = False
    verify_for_s = 20.0

    def observe(self, request: Request) -> State:
        """The replay in question; without a name, those that run from this archive."""
        asked, archive = request.options.get("replay"), request.target["archive"]
        if asked is None:
            return {"replays": [replay for replay in active() if is_of(replay, archive)]}
        if not is_name(asked):
            raise Refused(Refusal.BAD_OPTIONS, f"replay must be the name of a replay, got {asked!r:.80}")
        replay = described(asked)
        if not is_of(replay, archive):
            raise TargetNotFound(f"replay {asked} is not of archive {archive}; it is of {replay['EventSourceArn']}")
        return {"replays": [replay]}

    def decide(self, state: State, request: Request) -> Decision:
        """Cancel what still sends; of what does not, say how far it came."""
        replays = state["replays"]
        sending = [replay for replay in replays if replay["State"] in RUNNING]
        if not sending:
            told_of = "; ".join(map(in_words, replays)) or f"no replay runs from archive {request.target['archive']}"
            return AlreadyDone(told_of, {"replays": [progress(replay) for replay in replays]})
        if len(sending) > 1:
            names = listed(replay["ReplayName"] for replay in sending)
            return Decline(Refusal.BAD_OPTIONS, f"several replays run from this archive: {names}; name one in replay")
        replay = sending[0]
        return Change(
            direction=Direction.SAFE,
            summary=f"cancel: {in_words(replay)}; that stays delivered",
            plan={"name": replay["ReplayName"]},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One CancelReplay. AWS refuses it for what is over or being cancelled; `verify` tells which."""
        self._called, events = True, client("events")
        try:
            events.cancel_replay(ReplayName=change.plan["name"])
        except events.exceptions.IllegalStatusException:
            return {"cancelled": "before"}
        except AwsError as error:
            translate(error, f"replay {change.plan['name']}")
        return {"cancelled": "now"}

    def verify(self, request: Request, change: Change) -> Verification:
        """CANCELLED, and how far it came until then."""
        replay = described(change.plan["name"])
        evidence, detail = progress(replay), in_words(replay)
        if replay["State"] == "CANCELLED":
            return Verification(Verdict.HOLDS, detail=f"{detail}; that stays delivered", evidence=evidence)
        if replay["State"] == "CANCELLING" or (replay["State"] in RUNNING and self._called):
            return Verification(Verdict.NOT_YET, detail=detail, evidence=evidence)
        return Verification(Verdict.DOES_NOT_HOLD, detail=detail, evidence=evidence)


def _again(own: Mapping[str, Any]) -> AlreadyDone | Decline:
    if own["State"] in {*RUNNING, "COMPLETED"}:
        return AlreadyDone(in_words(own), progress(own))
    return Decline(Refusal.REPLAY_OVER, f"{in_words(own)}; ask under a new action_id", progress(own))


def _summary(window: Window, request: Request, state: State) -> str:
    bus, archive = request.target["bus"], request.target["archive"]
    minutes = (window.end - window.start) / 60
    parts = [f"replay {window} ({minutes:.0f} min) out of archive {archive} to {listed(state['rules'])} on bus {bus}"]
    parts.append(f"each handler runs again; {request.options['dedup_table']} must keep it from working twice")
    parts += [in_words(replay) for replay in state["active"] if is_of(replay, archive)]
    return "; ".join(parts)


# -- AWS -------------------------------------------------------------------------------------------------------------


def _archive(name: str) -> dict[str, Any]:
    try:
        found = client("events").describe_archive(ArchiveName=name)
    except AwsError as error:
        translate(error, f"archive {name}")
    return {
        "arn": found["ArchiveArn"],
        "source": found["EventSourceArn"],
        "state": found["State"],
        "retention_days": int(found.get("RetentionDays") or 0),
        "created": found["CreationTime"].timestamp(),
    }


def _rule(bus: str, name: str) -> dict[str, Any]:
    """State None: it is not there."""
    try:
        found = client("events").describe_rule(Name=name, EventBusName=bus)
    except AwsError as error:
        try:
            translate(error, f"rule {bus}/{name}")
        except TargetNotFound:
            return {"arn": "", "state": None, "managed_by": ""}
    return {"arn": found["Arn"], "state": found["State"], "managed_by": found.get("ManagedBy", "")}


def _memory(table: str) -> dict[str, Any]:
    """What DynamoDB says of the handlers' table. Not to know it is a reason not to replay, and no error."""
    try:
        try:
            status = client("dynamodb").describe_table(TableName=table)["Table"]["TableStatus"]
            ttl = client("dynamodb").describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        except AwsError as error:
            translate(error, f"table {table}")
    except TargetNotFound:
        return {"missing": True}
    except (TargetForbidden, Unreadable, NotApplied, ChangedMeanwhile) as error:
        return {"unread": str(error)}
    return {"status": status, "ttl": ttl.get("TimeToLiveStatus", "DISABLED")}


lambda_handler = handler_for(ReplayEvents, CancelReplay)
