"""A replay goes to the rules that are named, tells how far it is, and can be cancelled; an event keeps its time.

Stock ministack 1.5.33 gives replayed events to every rule of the bus whatever ``FilterArns`` says; replays all of them
in one go, under their old ids, and tells no ``EventLastReplayedTime``; lists replays without their windows; answers a
cancellation with CANCELLED and goes on to COMPLETED all the same; takes an end before its start; knows no limit; and
gives every event the time of the call, whatever its entry says.

AWS (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_StartReplay.html, …/API_DescribeReplay.html,
…/API_CancelReplay.html, …/API_PutEvents.html): events are replayed in buckets of one minute; a replay that is cancelled
is CANCELLING first; one that is over can't be (``IllegalStatusException``); ten are active at most
(``LimitExceededException``). Here each bucket takes a fifth of a second.
"""

from __future__ import annotations

import json
import threading
import time
from contextvars import ContextVar, copy_context
from itertools import groupby
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, new_uuid
from ministack.services import eventbridge

from local.emulator.mends import hook

BUCKET = 60  # seconds of events that are replayed together
PAUSE = 0.2  # seconds that each bucket takes
MAX_ACTIVE = 10
RUNNING = ("STARTING", "RUNNING")


def _start_replay(data: dict[str, Any]) -> Any:
    refusal = _refusal(data)
    if refusal is not None:
        return error_response_json(*refusal, 400)
    name, archive = data["ReplayName"], eventbridge._archives[data["EventSourceArn"].rpartition("/")[2]]
    replay = {
        "ReplayName": name,
        "ReplayArn": f"arn:aws:events:{get_region()}:{get_account_id()}:replay/{name}",
        "Description": data.get("Description", ""),
        "EventSourceArn": data["EventSourceArn"],
        "EventStartTime": eventbridge._coerce_timestamp(data["EventStartTime"]),
        "EventEndTime": eventbridge._coerce_timestamp(data["EventEndTime"]),
        "Destination": data["Destination"],
        "State": "STARTING",
        "ReplayStartTime": time.time(),
    }
    eventbridge._replays[name] = replay
    events = [event for event in archive.get("Events", []) if _is_in(event, replay)]
    # The account and the region of this request are context variables.
    threading.Thread(target=copy_context().run, args=(_replay, replay, events), daemon=True).start()
    return json_response({"ReplayArn": replay["ReplayArn"], "State": "STARTING", "ReplayStartTime": time.time()})


def _refusal(data: dict[str, Any]) -> tuple[str, str] | None:
    """Code and message where AWS would not start it."""
    name, destination = data.get("ReplayName"), data.get("Destination") or {}
    if not name or not destination.get("Arn"):
        return "ValidationException", "ReplayName and Destination.Arn are required."
    if name in eventbridge._replays:
        return "ResourceAlreadyExistsException", f"Replay {name} already exists."
    archive_name, wrong = eventbridge._archive_name_from_ref(data.get("EventSourceArn", ""))
    if wrong:
        return str(wrong[0]), str(wrong[1])
    archive = eventbridge._archives.get(archive_name)
    if archive is None:
        return "ResourceNotFoundException", f"Archive {archive_name} does not exist."
    if destination["Arn"] != archive["EventSourceArn"]:
        reason = "Cross event bus replay is not permitted."
        return "ValidationException", f"Parameter Destination.Arn is not valid. Reason: {reason}"
    start, end = (eventbridge._coerce_timestamp(data[field]) for field in ("EventStartTime", "EventEndTime"))
    if start >= end:
        reason = "EventStartTime must be before EventEndTime."
        return "ValidationException", f"Parameter EventEndTime is not valid. Reason: {reason}"
    active = [one for one in eventbridge._replays.values() if one["State"] in {*RUNNING, "CANCELLING"}]
    if len(active) >= MAX_ACTIVE:
        return "LimitExceededException", "The requested resource exceeds the maximum number allowed."
    return None


def _is_in(event: dict[str, Any], replay: dict[str, Any]) -> bool:
    return bool(replay["EventStartTime"] <= event["Time"] <= replay["EventEndTime"])


def _replay(replay: dict[str, Any], events: list[dict[str, Any]]) -> None:
    """Bucket after bucket, until it is over or cancelled."""
    time.sleep(PAUSE)
    if replay["State"] == "STARTING":
        replay["State"] = "RUNNING"
    for _, bucket in groupby(
        sorted(events, key=lambda event: event["Time"]), key=lambda event: event["Time"] // BUCKET
    ):
        if replay["State"] != "RUNNING":
            break
        for event in bucket:
            _dispatch({**event, "EventId": new_uuid(), "ReplayName": replay["ReplayName"]}, replay["Destination"])
            replay["EventLastReplayedTime"] = event["Time"]
        time.sleep(PAUSE)
    replay["State"] = "COMPLETED" if replay["State"] == "RUNNING" else "CANCELLED"
    replay["ReplayEndTime"] = time.time()


def _dispatch(event: dict[str, Any], destination: dict[str, Any]) -> None:
    named, view = destination.get("FilterArns"), eventbridge._pattern_event_view(event)
    for key, rule in list(eventbridge._rules.items()):
        on_this_bus = rule.get("EventBusName", "default") == event["EventBusName"]
        if not on_this_bus or rule.get("State") != "ENABLED" or (named and rule["Arn"] not in named):
            continue
        if eventbridge._matches_pattern_view(rule.get("EventPattern") or "{}", view, f"rule {key}"):
            for target in eventbridge._targets.get(key, []):
                eventbridge._invoke_target(target, event, rule, view)


def _cancel_replay(data: dict[str, Any]) -> Any:
    name = data.get("ReplayName")
    replay = eventbridge._replays.get(name)
    if replay is None:
        return error_response_json("ResourceNotFoundException", f"Replay {name} does not exist.", 400)
    if replay["State"] not in RUNNING:
        message = f"Replay {name} is not in a valid state for this operation."
        return error_response_json("IllegalStatusException", message, 400)
    replay["State"] = "CANCELLING"
    return json_response({"ReplayArn": replay["ReplayArn"], "State": "CANCELLING"})


def _list_replays(data: dict[str, Any]) -> Any:
    status, headers, body = _stock_list_replays(data)
    listed = json.loads(body)
    for shown in listed.get("Replays", []):
        replay = eventbridge._replays[shown.pop("ReplayName")]
        shown |= {name: value for name, value in replay.items() if name not in {"Destination", "Description"}}
    return status, headers, json.dumps(listed).encode()


def _put_events(data: dict[str, Any], allow_aws_source: bool = False) -> Any:
    entries = data.get("Entries", [])
    if len(entries) > 10 or not any(entry.get("Time") for entry in entries):
        return _stock_put_events(data, allow_aws_source)
    told: list[Any] = []
    for entry in entries:
        token = _time.set(float(eventbridge._coerce_timestamp(entry.get("Time") or time.time())))
        try:
            _, _, body = _stock_put_events({"Entries": [entry]}, allow_aws_source)
        finally:
            _time.reset(token)
        told += json.loads(body)["Entries"]
    return json_response({"FailedEntryCount": sum("ErrorCode" in one for one in told), "Entries": told})


def _now_ts() -> float:
    given = _time.get()
    return time.time() if given is None else given


def apply() -> None:
    global _stock_list_replays, _stock_put_events  # noqa: PLW0603
    hook(eventbridge, "_start_replay", _start_replay)
    hook(eventbridge, "_cancel_replay", _cancel_replay)
    hook(eventbridge, "_now_ts", _now_ts)
    _stock_list_replays = hook(eventbridge, "_list_replays", _list_replays)
    _stock_put_events = hook(eventbridge, "_put_events", _put_events)


_time: ContextVar[float | None] = ContextVar("time", default=None)
"""The time of the event that is being put, where its entry names one."""
_stock_list_replays: Any = None
_stock_put_events: Any = None
