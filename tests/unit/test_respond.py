"""Respond with a ledger: alarms become one incident, steps start once, a crash anywhere is repaired by the clock."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from selfheal import incident_store, record
from selfheal.alarm import Alarm
from selfheal.errors import LedgerUnavailable
from selfheal.incident import Phase, Status
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.request import MAX_HOPS, read_request, refused, result_of
from selfheal.words import Outcome, ResponseMode

from functions.respond import app
from tests.unit.aws import event
from tests.unit.conftest import FakeLambdaContext
from tests.unit.doubles import Killed
from tests.unit.responding import ALARMS, NAME, RED_AT, TRANSPORTS, Scene, alarm, alarms, response, step


@pytest.fixture
def scene(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def scene_with(monkeypatch: pytest.MonkeyPatch, **more: Any) -> Scene:
    return Scene(monkeypatch, response(**more))


# -- one incident -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations(TRANSPORTS)), ids="-".join)
def test_one_state_change_by_three_transports_is_one_incident_and_each_step_starts_once(
    scene: Scene, order: tuple[str, ...]
) -> None:
    decisions = [scene.takes(alarm(transport))["decision"] for transport in order]
    assert decisions == ["opened", "duplicate", "duplicate"]
    assert scene.asked == ["halt_trading", "disable_schedule"]
    assert scene.open_count() == 1
    assert len(scene.told("opened")) == 1


def test_fifty_at_the_same_time_are_one_incident(scene: Scene) -> None:
    decisions: list[str] = []

    def deliver(number: int) -> None:
        decisions.append(scene.takes(alarm(TRANSPORTS[number % 3]))["decision"])

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(decisions) == ["duplicate"] * 49 + ["opened"]
    assert sorted(scene.asked) == ["disable_schedule", "halt_trading"]
    assert len({request["action_id"] for request in scene.requests}) == 2


def test_different_alarms_at_the_same_time_join_one_incident(scene: Scene) -> None:
    decisions: list[str] = []

    def deliver(number: int) -> None:
        decisions.append(scene.takes(alarm(name=f"the-alchemiser-v2-dev-{number}"))["decision"])

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(decisions) == ["joined"] * 7 + ["opened"]
    assert len(scene.incident.alarms) == 8
    assert sorted(scene.asked) == ["disable_schedule", "halt_trading"]


def test_an_alarm_that_opens_and_its_duplicates_cost_one_write_each(scene: Scene) -> None:
    assert scene.takes(alarm())["decision"] == "opened"
    assert [call for call in scene.faults.calls if call.startswith("dynamodb")] == [
        "dynamodb.transact_write_items",
        "dynamodb.delete_item",  # the news, told
    ]
    scene.faults.calls.clear()
    assert scene.takes(alarm("sns"))["decision"] == "duplicate"
    assert scene.faults.calls == ["dynamodb.transact_write_items"]


def test_where_alarms_join_the_incident_is_read_first(scene: Scene) -> None:
    for number in range(3):
        scene.takes(alarm(name=f"{NAME}-{number}"))
    calls = [call for call in scene.faults.calls if call.startswith("dynamodb")]
    assert calls == [
        *("dynamodb.transact_write_items", "dynamodb.delete_item"),  # opened
        *("dynamodb.transact_write_items", "dynamodb.transact_write_items"),  # is open; joined
        *("dynamodb.get_item", "dynamodb.transact_write_items"),  # joined
    ]
    assert len(scene.incident.alarms) == 3


def test_however_many_alarms_of_one_system_are_one_incident_that_fits(scene: Scene) -> None:
    for number in range(60):
        name = f"the-alchemiser-v2-dev-{number:04d}-" + "ü" * 200
        scene.takes(alarm(name=name))
    incident = scene.incident
    assert incident.too_many
    assert len(json.dumps(incident.as_doc())) < 250_000
    version = incident.version
    assert scene.takes(alarm(name="the-alchemiser-v2-dev-one-more-" + "ü" * 200))["decision"] == "joined"
    assert scene.takes(alarm(name="the-alchemiser-v2-dev-one-more-" + "ü" * 200))["decision"] == "duplicate"
    assert scene.incident.version == version
    assert sorted(scene.asked) == ["disable_schedule", "halt_trading"]


def test_what_there_were_too_many_of_is_never_taken_for_green(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    scene = scene_with(monkeypatch, contain=(), recover=())
    scene.takes(alarm())
    incident_store.commit(scene.ledger, replace(scene.incident, too_many=True), scene.at)
    scene.answers("roll_back_alias")
    scene.shows("OK", scene.at + 60, data=scene.at + 60)
    scene.tick(200)
    assert "can't be told" in scene.told("escalated")[0]


def test_the_whole_way_from_red_to_green(scene: Scene) -> None:
    scene.takes(alarm())
    scene.answers("disable_schedule")
    scene.answers("halt_trading")
    assert scene.asked == ["halt_trading", "disable_schedule", "roll_back_alias"]
    scene.answers("roll_back_alias")
    scene.shows("OK", scene.at + 50, data=scene.at + 40)
    scene.tick(130)
    assert scene.open_count() == 0
    assert scene.told("closed") == ["healed"]
    closed = incident_store.find(scene.ledger, scene.requests[0]["incident"])
    assert closed is not None
    assert (closed.phase, closed.verdict, closed.version) == (Phase.CLOSED, "healed", 5)
    (waiting,) = scene.ledger.query("APPROVAL")
    assert waiting["decision"] == "waiting"
    assert list(scene.ledger.query("OUTBOX")) == []


def test_closing_releases_every_target_also_the_probes(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    scene = scene_with(monkeypatch, probe=step("smoke_test", {"function": "other", "alias": "live"}))
    scene.takes(alarm())
    foreign = "schedule:default/daily"
    for key in scene.incident.target_keys():
        owner = scene.incident.id if key != foreign else "somebody"
        key_of = {"pk": {"S": f"TARGET#{key}"}, "sk": {"S": "OWNER"}, "incident": {"S": owner}}
        scene.ledger._client.put_item(TableName="ledger", Item=key_of)
    keys = scene.incident.target_keys()
    assert "function:other:live" in keys
    scene.answers("halt_trading", Outcome.REFUSED, Refusal.NOT_RED)
    scene.answers("disable_schedule", Outcome.REFUSED, Refusal.NOT_RED)
    scene.answers("smoke_test")
    scene.shows("OK", scene.at)
    scene.tick()
    assert scene.open_count() == 0
    left = [key for key in keys if scene.ledger.get(f"TARGET#{key}", "OWNER")]
    assert left == [foreign]


def test_ok_closes_what_a_person_has(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    scene = scene_with(monkeypatch, remediate=())
    scene.takes(alarm())
    scene.answers("halt_trading")
    scene.answers("disable_schedule")
    assert scene.incident.phase is Phase.WATCH
    scene.at += 100
    assert scene.takes(alarm(state="ok", at=scene.at))["decision"] == "joined"
    assert scene.open_count() == 0
    assert scene.told("closed") == ["escalated"]


def test_ok_by_a_transport_that_says_nothing_of_data_asks_cloudwatch(scene: Scene) -> None:
    scene.takes(alarm())
    scene.answers("halt_trading")
    scene.answers("disable_schedule")
    scene.answers("roll_back_alias")
    scene.at += 100
    scene.shows("OK", scene.at, data=scene.at - 30)
    scene.takes(alarm("sns", "ok", at=scene.at))
    assert scene.told("closed") == ["healed"]


@pytest.mark.parametrize("down", [True, False])
def test_ok_without_data_stays_unproven(scene: Scene, down: bool) -> None:
    scene.takes(alarm())
    scene.answers("halt_trading")
    scene.answers("disable_schedule")
    scene.answers("roll_back_alias")
    scene.at += 100
    scene.cloudwatch_down = down
    scene.takes(alarm("sns", "ok", at=scene.at))
    assert scene.incident.phase is Phase.SETTLE
    assert scene.told("closed") == []


def test_ok_without_an_incident_is_nothing(scene: Scene) -> None:
    assert scene.takes(alarm(state="ok"))["decision"] == "nothing_open"
    assert scene.takes(alarm(state="insufficient_data"))["decision"] == "nothing_open"
    assert scene.requests == []


def test_alarms_with_their_own_targets_are_incidents_of_their_own(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    rollback = step("roll_back_alias", {"function": "{alarm.FunctionName}", "alias": "live"})
    scene = scene_with(monkeypatch, contain=(), remediate=(rollback,), recover=())
    scene.takes(alarm())
    other = Alarm(**{**vars(alarm(name="the-alchemiser-v2-dev-b")), "dimensions": {"FunctionName": "other"}})
    scene.takes(other)
    assert scene.open_count() == 2
    assert [request["target"]["function"] for request in scene.requests] == ["the-alchemiser-v2-lambda-dev", "other"]


def test_a_target_that_the_alarm_does_not_name_is_told_when_it_is_opened(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    rollback = step("roll_back_alias", {"function": "{alarm.Nobody}", "alias": "live"})
    scene = scene_with(monkeypatch, remediate=(rollback,))
    scene.takes(alarm())
    assert len(scene.told("escalated")) == 1
    assert "dimension Nobody" in scene.told("escalated")[0]
    assert scene.asked == ["halt_trading", "disable_schedule"]


# -- refusals ---------------------------------------------------------------------------------------


def records(scene: Scene) -> list[dict[str, Any]]:
    day = next(iter({item["pk"] for item in _scan(scene) if item["pk"].startswith("RECORD#")}), "RECORD#none")
    return [item["doc"] for item in scene.ledger.query(day)]


def _scan(scene: Scene) -> list[dict[str, str]]:
    items = scene.ledger._client.scan(TableName="ledger")["Items"]
    return [{"pk": item["pk"]["S"]} for item in items]


@pytest.mark.parametrize(
    ("responses", "reason"),
    [
        ((response(alarms=("something-else",)),), Refusal.NO_RUNBOOK),
        ((response(mode=ResponseMode.OFF),), Refusal.RESPONSE_OFF),
    ],
)
def test_a_red_alarm_that_nothing_heals_is_recorded_and_told_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, responses: Any, reason: Refusal
) -> None:
    scene = Scene(monkeypatch, *responses)
    decisions = [scene.takes(alarm(transport)) for transport in TRANSPORTS]
    assert [decision["decision"] for decision in decisions] == ["refused", "duplicate", "duplicate"]
    assert decisions[0]["reason"] == reason
    assert [doc["reason"] for doc in records(scene)] == [reason]
    assert len(scene.told("escalated")) == 1
    assert scene.requests == []
    assert scene.takes(alarm(state="ok"))["decision"] == "refused"
    assert len(records(scene)) == 1


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("sns-refused-not-json", Refusal.NOT_AN_ALARM),
        ("sns-refused-foreign-account", Refusal.FOREIGN_ALARM),
        ("sns-refused-target-tracking", Refusal.OWN_ALARM),
        ("sqs-refused-record", Refusal.NOT_AN_ALARM),
    ],
)
def test_what_is_not_for_us_is_refused_by_name_and_recorded_once(scene: Scene, file: str, reason: Refusal) -> None:
    (refused,) = alarms(file)
    for _ in range(2):
        assert scene.takes(refused, "request-7.0")["reason"] == reason
    assert [doc["reason"] for doc in records(scene)] == [reason]
    assert scene.told("escalated") == []
    assert scene.requests == []


def test_a_refusal_is_told_even_if_the_ledger_is_down(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_with(monkeypatch, alarms=("something-else",))
    scene.faults.names, scene.faults.error = ("dynamodb.",), _down
    assert scene.takes(alarm())["decision"] == "refused"
    assert len(scene.told("escalated")) == 1


# -- muted ------------------------------------------------------------------------------------------


def test_a_muted_alarm_is_held_and_goes_on_when_the_same_change_comes_unmuted(scene: Scene) -> None:
    muted = Alarm(**{**vars(alarm()), "muted": "muted by deploys until 10:00"})
    assert scene.takes(muted)["decision"] == "opened"
    assert scene.takes(muted)["decision"] == "duplicate"
    assert (scene.requests, scene.told("opened")) == ([], [])
    scene.shows("ALARM", RED_AT.timestamp())
    scene.tick()
    assert scene.requests == []
    assert scene.takes(alarm())["decision"] == "joined"
    assert scene.asked == ["halt_trading", "disable_schedule"]
    assert len(scene.told("opened")) == 1
    assert scene.takes(alarm("sns"))["decision"] == "duplicate"


# -- outcomes ---------------------------------------------------------------------------------------


def test_an_outcome_counts_once(scene: Scene) -> None:
    scene.takes(alarm())
    assert scene.answers("halt_trading")["decision"] == "advanced"
    assert scene.answers("halt_trading")["decision"] == "duplicate"
    assert scene.answers("halt_trading", Outcome.FAILED)["decision"] == "duplicate"
    assert scene.incident.steps[0].status is Status.DONE


def test_an_outcome_of_something_else_is_named(scene: Scene) -> None:
    scene.takes(alarm())
    scene.requests.append({"action": "undo", "action_id": "undo.x", "incident": scene.incident.id})
    assert scene.answers("undo")["decision"] == "not_a_step"
    scene.requests.append({"action": "undo", "action_id": "undo.x", "incident": f"{scene.incident.key}-0"})
    assert scene.answers("undo")["decision"] == "nothing_open"


def test_past_the_last_hop_the_clock_asks(scene: Scene) -> None:
    scene.takes(alarm())
    scene.answers("halt_trading", hops=MAX_HOPS - 1)
    scene.answers("disable_schedule", hops=MAX_HOPS - 1)
    assert scene.asked == ["halt_trading", "disable_schedule"]
    scene.shows("ALARM", RED_AT.timestamp())
    scene.tick(0)
    assert scene.asked[-1] == "roll_back_alias"
    assert scene.requests[-1]["hops"] == 0


def test_hops_are_counted(scene: Scene) -> None:
    scene.takes(alarm())
    scene.answers("halt_trading")
    scene.answers("disable_schedule", hops=3)
    assert scene.requests[-1]["hops"] == 4


def test_one_step_that_cannot_be_sent_does_not_keep_the_others_back(scene: Scene) -> None:
    scene.refuse_to_start = {"halt_trading"}
    scene.takes(alarm())
    assert scene.asked == ["disable_schedule"]
    scene.refuse_to_start = set()
    scene.shows("ALARM", RED_AT.timestamp())
    scene.tick()
    assert "halt_trading" in scene.asked


# -- races, crashes, outages ------------------------------------------------------------------------


def test_a_lost_race_is_run_again_from_what_the_other_wrote(scene: Scene) -> None:
    scene.takes(alarm())
    scene.meanwhile("dynamodb.transact_write_items", "disable_schedule")
    assert scene.takes(alarm(name="the-alchemiser-v2-dev-duration"))["decision"] == "joined"
    assert len(scene.incident.alarms) == 2
    assert scene.incident.steps[1].status is Status.DONE


def test_who_loses_every_race_wants_it_delivered_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.takes(alarm())
    monkeypatch.setattr(incident_store, "commit", lambda *_, **__: None)
    monkeypatch.setattr("selfheal.respond.RACE_PAUSES_S", (0.0, 0.0))
    told = len(scene.events)
    decision = scene.takes(alarm(name="the-alchemiser-v2-dev-duration"))
    assert (decision["decision"], decision["retry"]) == ("raced", True)
    assert len(scene.requests) == 2
    assert len(scene.events) == told


def _down() -> Exception:
    return EndpointConnectionError(endpoint_url="https://dynamodb.test")


def test_without_the_ledger_only_containment_starts_and_a_person_is_told(scene: Scene) -> None:
    scene.faults.names, scene.faults.error = ("dynamodb.",), _down
    decision = scene.takes(alarm())
    assert (decision["decision"], decision["retry"]) == ("contained_without_ledger", True)
    assert scene.asked == ["halt_trading", "disable_schedule"]
    assert "no ledger" in scene.told("escalated")[0]
    ids = {request["action_id"] for request in scene.requests}
    scene.faults.names = ()
    assert scene.takes(alarm())["decision"] == "opened"
    assert {request["action_id"] for request in scene.requests} == ids


def test_without_the_ledger_no_rung_is_asked(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_with(monkeypatch, contain=())
    scene.faults.names, scene.faults.error = ("dynamodb.",), _down
    assert scene.takes(alarm())["decision"] == "contained_without_ledger"
    assert scene.requests == []


@pytest.mark.parametrize(
    "one", [alarm(state="ok"), Alarm(**{**vars(alarm()), "muted": "by a rule"})], ids=["ok", "muted"]
)
def test_without_the_ledger_nothing_starts_for_what_is_not_red(scene: Scene, one: Alarm) -> None:
    scene.faults.names, scene.faults.error = ("dynamodb.",), _down
    decision = scene.takes(one)
    assert (decision["reason"], decision["retry"]) == (Refusal.GUARD_UNREADABLE, True)
    assert scene.requests == []


def test_news_are_sent_again_when_the_bus_was_down(scene: Scene) -> None:
    scene.bus_down = True
    scene.takes(alarm())
    assert scene.asked == ["halt_trading", "disable_schedule"]
    scene.bus_down = False
    scene.shows("ALARM", RED_AT.timestamp())
    assert scene.tick(61)["resent"] == 1
    assert len(scene.told("opened")) == 1
    assert scene.tick()["resent"] == 0
    assert list(scene.ledger.query("OUTBOX")) == []


CALLS = 22


def _story(scene: Scene) -> None:
    """An alarm, its three answers and its end, one invocation after the other; each may be the one that dies."""
    scene.takes(alarm())
    for action in ("halt_trading", "disable_schedule", "roll_back_alias"):
        if action in scene.asked and scene.open_count():
            scene.records(action, Outcome.ACTED)
            scene.answers(action)
    scene.at += 60
    scene.shows("OK", scene.at, data=scene.at)
    scene.takes(alarm("sns", "ok", at=scene.at))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(CALLS))
def test_a_crash_at_any_call_is_repaired(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, at: int, after: bool) -> None:
    scene = Scene(monkeypatch)
    scene.faults.at, scene.faults.after = at, after
    with pytest.raises(Killed):
        _story(scene)
    scene.faults.at = None
    scene.takes(alarm("sns"))  # delivered again, or by another way
    scene.shows("ALARM", RED_AT.timestamp())
    for _ in range(5):
        for action in set(scene.asked):
            if not scene.has_records(action):
                scene.records(action, Outcome.ACTED)
        scene.tick(61)
    scene.shows("OK", scene.at, data=scene.at)
    scene.tick()
    scene.tick(301)
    assert scene.open_count() == 0
    assert set(scene.asked) == {"halt_trading", "disable_schedule", "roll_back_alias"}
    assert len({request["action_id"] for request in scene.requests}) == 3
    assert scene.told("opened")
    assert scene.told("closed")
    assert list(scene.ledger.query("OUTBOX")) == []


def test_the_crashes_above_cover_every_call(scene: Scene) -> None:
    _story(scene)
    assert len(scene.faults.calls) == CALLS


# -- the function -----------------------------------------------------------------------------------


@pytest.fixture
def function(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The handler over the scene, at home in the account of the alarms' events."""
    monkeypatch.setattr(app, "ledger", lambda: scene.ledger)
    monkeypatch.setattr("selfheal.runbook.load", lambda: scene.respond.runbooks)
    monkeypatch.setattr("selfheal.starter.start", scene.respond.start)
    monkeypatch.setattr("time.time", lambda: scene.at)
    context = FakeLambdaContext(invoked_function_arn="arn:aws:lambda:us-east-1:111111111111:function:respond")
    return lambda event: app.lambda_handler(event, context)


def test_the_event_file_opens_an_incident(function: Any, scene: Scene) -> None:
    assert [one["decision"] for one in function(event("respond"))["decisions"]] == ["opened"]
    assert scene.asked == ["halt_trading", "disable_schedule"]


def test_each_record_of_a_batch_is_decided(function: Any, scene: Scene) -> None:
    batch = json.loads((ALARMS / "sns-metric-alarm-three-records.json").read_text())
    decisions = function(batch)["decisions"]
    assert len(decisions) == 3
    assert decisions[0]["decision"] == "opened"


NO_OUTCOMES = [
    {"source": "selfheal"},
    {"source": "selfheal", "detail": None},
    {"source": "selfheal", "detail": {"action_id": "a", "outcome": "acted"}},
    {
        "source": "selfheal",
        "detail": dict.fromkeys(("action_id", "outcome", "reason", "detail", "incident", "hops"), "x"),
    },
]


@pytest.mark.parametrize("anything", [None, [], "text", 7, {}, {"clock": "tock"}, {"source": "somebody"}, *NO_OUTCOMES])
def test_anything_else_is_refused_by_name(function: Any, scene: Scene, anything: Any) -> None:
    (decision,) = function(anything)["decisions"]
    assert (decision["decision"], decision["reason"]) == ("refused", Refusal.NOT_AN_ALARM)


def test_a_tick_is_a_tick(function: Any, scene: Scene) -> None:
    assert function({"clock": "tick"})["open"] == 0


def test_an_outcome_event_advances_its_incident(function: Any, scene: Scene) -> None:
    function(event("respond"))
    request = scene.requests[0]
    detail = {**dict.fromkeys(("reason", "detail"), ""), "outcome": "acted", "hops": 0, **request}
    outcome_event = {"source": "selfheal", "detail-type": "Action Outcome", "detail": detail}
    assert function(outcome_event)["decisions"][0]["decision"] == "advanced"
    by_hand = {**outcome_event, "detail": {**detail, "incident": None}}
    assert function(by_hand)["decisions"][0]["decision"] == "by_hand"


def test_an_answer_says_when_what_held_it_back_is_over(function: Any, scene: Scene) -> None:
    function(event("respond"))
    request, until = scene.requests[0], scene.at + 3_000.5
    said = {"outcome": "refused", "reason": "maintenance", "detail": "", "until": until, "hops": 0}
    function({"source": "selfheal", "detail-type": "Action Outcome", "detail": {**request, **said}})

    assert scene.incident.steps[0].retry_at == until


@pytest.mark.parametrize("by_the_clock", [False, True])
def test_where_the_evidence_lies_reaches_the_incident(function: Any, scene: Scene, by_the_clock: bool) -> None:
    """By the outcome's event, and by the record when the event got lost."""
    scene.takes(alarm())
    request = read_request(scene.requests[0], ("halt_trading",), "id")
    said = result_of(request, Outcome.ACTED, evidence={"captured": "s3://archive/evidence/one.json"})
    if by_the_clock:
        met = record.claim(scene.seen, request, scene.at, 120)
        record.finish(scene.seen, request, met.run_id, said, scene.at)
        scene.shows("ALARM", RED_AT.timestamp())
        scene.tick(61)
    else:
        function({"source": "selfheal", "detail-type": "Action Outcome", "detail": said.as_event()})

    assert scene.incident.steps[0].captured == "s3://archive/evidence/one.json"


def test_the_clock_reads_in_the_record_when_what_held_it_back_is_over(scene: Scene) -> None:
    scene.takes(alarm())
    (halt, disable), until = scene.requests, scene.at + 3_000.5
    request = read_request(halt, ("halt_trading",), "id")
    met = record.claim(scene.seen, request, scene.at, 120)
    said = refused(request, Refusal.MAINTENANCE, until=until)
    record.finish(scene.seen, request, met.run_id, said, scene.at)
    scene.shows("ALARM", RED_AT.timestamp())
    scene.tick(61)

    assert disable["action"] == "disable_schedule"
    assert scene.incident.steps[0].retry_at == until


def test_every_request_names_its_response(scene: Scene) -> None:
    scene.takes(alarm())

    assert {request["response"] for request in scene.requests} == {"trading lambda failing"}


def test_what_is_not_recorded_fails_so_that_lambda_delivers_it_again(function: Any, scene: Scene) -> None:
    scene.faults.names, scene.faults.error = ("dynamodb.",), _down
    with pytest.raises(LedgerUnavailable, match="contained_without_ledger"):
        function(event("respond"))
    assert scene.asked == ["halt_trading", "disable_schedule"]


# -- contributors -----------------------------------------------------------------------------------


def contributor(state: str, at: float) -> Alarm:
    """One time series of the alarm changes its state."""
    return replace(alarm(at=at), contributor="series-1", state=state, last_datapoint_at=int(at * 1000))


@pytest.mark.parametrize("others", ["ALARM", "OK", None])
def test_a_contributor_that_is_ok_again_says_nothing_of_the_others(scene: Scene, others: str | None) -> None:
    scene.takes(contributor("ALARM", RED_AT.timestamp()))
    scene.answers("halt_trading")
    scene.answers("disable_schedule")
    scene.answers("roll_back_alias")
    scene.at += 60
    if others is None:
        scene.cloudwatch_down = True
    else:
        scene.shows(others, scene.at if others == "OK" else RED_AT.timestamp(), data=scene.at)
    scene.takes(contributor("OK", scene.at))
    assert scene.told("closed") == (["healed"] if others == "OK" else [])
    assert scene.takes(contributor("OK", scene.at))["decision"] == ("nothing_open" if others == "OK" else "duplicate")
