"""The trading flag: what is decided about any value, and what reaches Parameter Store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from selfheal.action import AlreadyDone, Change, Decline
from selfheal.clients import client
from selfheal.errors import ChangedMeanwhile, NotApplied, Refused, TargetForbidden, TargetNotFound, Unreadable
from selfheal.refusal import Refusal
from selfheal.request import read_request
from selfheal.words import Direction, Mode, Verdict

from functions.switch_trading.app import HaltTrading, ResumeTrading, SwitchFlag
from tests.unit.aws import ask, event, planned, recorded, script

NAME = "/algo-trading/prod/trading_enabled"
TARGET = {"parameter": NAME}
HALT = ask("halt_trading", TARGET)
RESUME = ask("resume_trading", TARGET, requested_by="on-call")

anything = st.one_of(st.sampled_from(["true", "false"]), st.none())
actions: st.SearchStrategy[type[SwitchFlag]] = st.sampled_from([HaltTrading, ResumeTrading])


@pytest.fixture
def ssm() -> Iterator[Any]:
    with mock_aws():
        yield client("ssm")


def put(ssm: Any, value: str, **more: Any) -> int:
    """Create it (with a Type) or write a new version (without)."""
    return int(ssm.put_parameter(Name=NAME, Value=value, Overwrite="Type" not in more, **more)["Version"])


def value(ssm: Any) -> str:
    return str(ssm.get_parameter(Name=NAME, WithDecryption=True)["Parameter"]["Value"])


def seen(value: str | None) -> dict[str, Any]:
    kept = {"kept": {"tier": "Standard"}, "not_kept": ""}
    return {"value": value, "looks_like": "any", "version": 3, "type": "String", **kept}


# -- decide ------------------------------------------------------------------------------------------------------


@given(action=actions, value=anything, wanted=anything)
def test_decide_only_ever_moves_from_one_flag_to_the_other(
    action: type[SwitchFlag], value: str | None, wanted: str | None
) -> None:
    request = ask(action.name, TARGET, wanted=None if wanted is None else {"value": wanted})

    decision = action().decide(seen(value), request)

    aim = wanted or action.to
    if value is None:
        assert isinstance(decision, Decline)
        assert decision.refusal is Refusal.NOT_A_FLAG
    elif value == aim:
        assert isinstance(decision, AlreadyDone)
    else:
        assert isinstance(decision, Change)
        assert (decision.before, decision.after) == ({"value": value}, {"value": aim})
        assert decision.direction is (Direction.SAFE if aim == "false" else Direction.RISKY)


@given(garbage=st.text().filter(lambda text: text not in ("true", "false")), action=actions)
def test_a_value_to_restore_that_is_no_flag_is_refused(garbage: str, action: type[SwitchFlag]) -> None:
    decision = action().decide(seen("true"), ask(action.name, TARGET, wanted={"value": garbage}))

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.NOT_A_FLAG


@pytest.mark.parametrize("garbage", ["True", "TRUE", " true", "false\n", "1", "no"])
def test_garbage_is_refused_in_both_directions_and_stays(ssm: Any, garbage: str) -> None:
    put(ssm, garbage, Type="SecureString")

    for action, request in ((HaltTrading(), HALT), (ResumeTrading(), RESUME)):
        state = action.observe(request)
        decision = action.decide(state, request)

        assert isinstance(decision, Decline)
        assert decision.refusal is Refusal.NOT_A_FLAG
    assert value(ssm) == garbage


def test_a_secret_under_a_wrong_name_is_never_shown(ssm: Any) -> None:
    put(ssm, "correct-horse", Type="SecureString")

    state = HaltTrading().observe(HALT)

    assert "correct-horse" not in f"{state} {HaltTrading().decide(state, HALT)}"


def test_a_near_miss_is_named_as_one(ssm: Any) -> None:
    put(ssm, "True", Type="String")

    decision = HaltTrading().decide(HaltTrading().observe(HALT), HALT)

    assert isinstance(decision, Decline)
    assert "other letters" in decision.detail


# -- against Parameter Store (moto) ------------------------------------------------------------------------------


def test_halt_writes_false_once_and_resume_brings_true_back(ssm: Any) -> None:
    put(ssm, "true", Type="String", Description="read before each order")

    halt = HaltTrading()
    change = planned(halt, HALT)
    assert halt.apply(HALT, change) == {"version": 2}
    assert halt.verify(HALT, change).verdict is Verdict.HOLDS
    assert value(ssm) == "false"

    resume = ResumeTrading()
    change = planned(resume, RESUME)
    assert change.direction is Direction.RISKY
    assert resume.apply(RESUME, change) == {"version": 3}
    assert resume.verify(RESUME, change).verdict is Verdict.HOLDS
    assert value(ssm) == "true"


def test_undo_restores_the_recorded_value(ssm: Any) -> None:
    put(ssm, "true", Type="String")
    halt = HaltTrading()
    change = planned(halt, HALT)
    halt.apply(HALT, change)
    assert halt.image(halt.observe(HALT)) == change.after

    undo = ask("halt_trading", TARGET, wanted=change.before)
    back = planned(HaltTrading(), undo)
    HaltTrading().apply(undo, back)

    assert back.direction is Direction.RISKY
    assert value(ssm) == "true"


def test_a_flag_that_is_as_wanted_gets_no_new_version(ssm: Any) -> None:
    put(ssm, "false", Type="String")

    decision = HaltTrading().decide(HaltTrading().observe(HALT), HALT)

    assert isinstance(decision, AlreadyDone)
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Version"] == 1


def test_applied_twice_it_writes_once(ssm: Any) -> None:
    put(ssm, "true", Type="String")
    change = planned(HaltTrading(), HALT)

    HaltTrading().apply(HALT, change)
    again = HaltTrading()
    evidence = again.apply(HALT, change)

    assert evidence == {"version": 2, "written": False}
    assert again.verify(HALT, change).verdict is Verdict.HOLDS
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Version"] == 2


def test_a_write_between_observe_and_apply_is_not_overwritten(ssm: Any) -> None:
    put(ssm, "false", Type="String")
    change = planned(ResumeTrading(), RESUME)
    put(ssm, "maintenance")

    with pytest.raises(ChangedMeanwhile):
        ResumeTrading().apply(RESUME, change)

    assert value(ssm) == "maintenance"


def test_a_halt_by_somebody_else_in_between_counts(ssm: Any) -> None:
    put(ssm, "true", Type="String")
    change = planned(HaltTrading(), HALT)
    put(ssm, "false")
    put(ssm, "false")

    halt = HaltTrading()
    assert halt.apply(HALT, change)["written"] is False
    verification = halt.verify(HALT, change)

    assert verification.verdict is Verdict.HOLDS
    assert "somebody else" in verification.detail


def test_a_flag_that_was_switched_back_does_not_hold(ssm: Any) -> None:
    put(ssm, "true", Type="String")
    halt = HaltTrading()
    change = planned(halt, HALT)
    halt.apply(HALT, change)
    put(ssm, "true")

    verification = halt.verify(HALT, change)

    assert verification.verdict is Verdict.DOES_NOT_HOLD
    assert verification.after == {"value": "true"}


def test_a_run_that_died_before_its_call_is_seen_as_not_done(ssm: Any) -> None:
    put(ssm, "true", Type="String")
    change = planned(HaltTrading(), HALT)

    assert HaltTrading().verify(HALT, change).verdict is Verdict.DOES_NOT_HOLD


def test_history_is_read_to_its_last_page(ssm: Any) -> None:
    put(ssm, "true", Type="String", Description="old")
    for number in range(59):
        put(ssm, "true", Description=f"described {number}")

    state = HaltTrading().observe(HALT)

    assert state["version"] == 60
    assert state["kept"]["description"] == "described 58"


def test_a_missing_parameter_is_not_created(ssm: Any) -> None:
    with pytest.raises(TargetNotFound):
        HaltTrading().observe(HALT)

    assert ssm.describe_parameters()["Parameters"] == []


@pytest.mark.parametrize("name", [f"{NAME}:3", "arn:aws:ssm:eu-central-1:111111111111:parameter/flag"])
def test_a_selector_or_arn_is_no_name(name: str) -> None:
    with pytest.raises(Refused, match="bad_target"):
        HaltTrading().observe(ask("halt_trading", {"parameter": name}))


# -- to the letter (Stubber) -------------------------------------------------------------------------------------

GET = {"Name": NAME, "WithDecryption": True}
HISTORY = {"Name": NAME, "WithDecryption": False}


def parameter(value: str, version: int, kind: str = "SecureString") -> dict[str, Any]:
    return {"Parameter": {"Name": NAME, "Value": value, "Version": version, "Type": kind}}


def entry(version: int, **more: Any) -> dict[str, Any]:
    return {"Name": NAME, "Version": version, "Type": "SecureString", "Value": "cipher", **more}


def test_a_secure_advanced_parameter_keeps_all_that_it_has() -> None:
    has = {"Tier": "Advanced", "KeyId": "alias/trading", "Description": "kill switch", "AllowedPattern": "true|false"}
    with script("ssm") as aws:
        aws.add_response("get_parameter", parameter("true", 7), GET)
        entries = [entry(6, KeyId="alias/aws/ssm", Tier="Standard"), entry(7, **has)]
        aws.add_response("get_parameter_history", {"Parameters": entries}, HISTORY)
        change = planned(HaltTrading(), HALT)

        aws.add_response("get_parameter", parameter("true", 7), GET)
        sent = {"Name": NAME, "Value": "false", "Overwrite": True, **has}
        aws.add_response("put_parameter", {"Version": 8, "Tier": "Advanced"}, sent)

        assert HaltTrading().apply(HALT, change) == {"version": 8}


def test_a_plain_parameter_gets_neither_type_nor_key() -> None:
    with script("ssm") as aws:
        aws.add_response("get_parameter", parameter("true", 1, "String"), GET)
        plain = {"Name": NAME, "Version": 1, "Type": "String", "Tier": "Standard", "Value": "true"}
        aws.add_response("get_parameter_history", {"Parameters": [plain]}, HISTORY)
        change = planned(HaltTrading(), HALT)

        aws.add_response("get_parameter", parameter("true", 1, "String"), GET)
        sent = {"Name": NAME, "Value": "false", "Overwrite": True, "Tier": "Standard"}
        aws.add_response("put_parameter", {"Version": 2}, sent)

        HaltTrading().apply(HALT, change)


def test_a_secure_parameter_without_a_known_key_is_left_alone() -> None:
    with script("ssm") as aws:
        aws.add_response("get_parameter", parameter("true", 7), GET)
        aws.add_response("get_parameter_history", {"Parameters": [entry(7, Tier="Standard")]}, HISTORY)

        declined = HaltTrading().decide(HaltTrading().observe(HALT), HALT)

        assert isinstance(declined, Decline)
        assert declined.refusal is Refusal.TARGET_UNREADABLE
        assert "default key" in declined.detail


@pytest.mark.parametrize("why", ["empty", "ThrottlingException", "AccessDeniedException", "ValidationException"])
@pytest.mark.parametrize("kind", ["String", "SecureString"])
def test_a_history_that_cannot_be_read_stops_no_halt_of_a_plain_flag(kind: str, why: str) -> None:
    """And nothing else: an encrypted flag would be written with the account's default key."""
    with script("ssm") as aws:
        aws.add_response("get_parameter", parameter("true", 7, kind), GET)
        if why == "empty":
            aws.add_response("get_parameter_history", {"Parameters": []}, HISTORY)
        else:
            aws.add_client_error("get_parameter_history", why, expected_params=HISTORY)
        halt = HaltTrading()
        decision = halt.decide(halt.observe(HALT), HALT)
        if kind == "SecureString":
            assert isinstance(decision, Decline)
            assert decision.refusal is Refusal.TARGET_UNREADABLE
            return
        assert isinstance(decision, Change)
        aws.add_response("get_parameter", parameter("true", 7, kind), GET)
        aws.add_response("put_parameter", {"Version": 8}, {"Name": NAME, "Value": "false", "Overwrite": True})
        evidence = halt.apply(HALT, recorded(decision))

        assert evidence["version"] == 8
        assert "history" in evidence["not_kept"]


def test_a_history_that_cannot_be_read_stops_every_resume() -> None:
    with script("ssm") as aws:
        aws.add_response("get_parameter", parameter("false", 7, "String"), GET)
        aws.add_client_error("get_parameter_history", "ThrottlingException", expected_params=HISTORY)
        resume = ResumeTrading()
        decision = resume.decide(resume.observe(HALT), HALT)

        assert isinstance(decision, Decline)
        assert decision.refusal is Refusal.TARGET_UNREADABLE


def test_who_wrote_in_between_may_stay_unknown() -> None:
    with script("ssm") as aws:
        aws.add_response("get_parameter", parameter("true", 7), GET)
        aws.add_response("put_parameter", {"Version": 9}, PUT)
        aws.add_response("get_parameter", parameter("false", 9), GET)
        aws.add_client_error("get_parameter_history", "AccessDeniedException", expected_params=HISTORY)

        assert "unknown" in HaltTrading().apply(HALT, CHANGE)["somebody_wrote"]


PLAN = {"version": 7, "kept": {"tier": "Standard"}, "not_kept": ""}
CHANGE = Change(Direction.SAFE, "set it", {"value": "true"}, {"value": "false"}, PLAN)
PUT = {"Name": NAME, "Value": "false", "Overwrite": True, "Tier": "Standard"}


def test_a_writer_between_read_and_write_is_named_when_our_value_won() -> None:
    with script("ssm") as aws:
        aws.add_response("get_parameter", parameter("true", 7), GET)
        aws.add_response("put_parameter", {"Version": 9}, PUT)
        aws.add_response("get_parameter", parameter("false", 9), GET)
        entries = [entry(7, LastModifiedUser="a"), entry(8, LastModifiedUser="b"), entry(9, LastModifiedUser="c")]
        aws.add_response("get_parameter_history", {"Parameters": entries}, HISTORY)
        halt = HaltTrading()
        assert halt.apply(HALT, CHANGE) == {"version": 9, "somebody_wrote": {"8": "b"}}

        aws.add_response("get_parameter", parameter("false", 9), GET)
        verification = halt.verify(HALT, CHANGE)
        assert verification.verdict is Verdict.HOLDS
        assert verification.evidence == {"version": 9, "expected": 8}


def test_a_writer_between_read_and_write_whose_value_won_sends_us_back_to_planning() -> None:
    with script("ssm") as aws:
        aws.add_response("get_parameter", parameter("true", 7), GET)
        aws.add_response("put_parameter", {"Version": 9}, PUT)
        aws.add_response("get_parameter", parameter("true", 10), GET)

        with pytest.raises(ChangedMeanwhile):
            HaltTrading().apply(HALT, CHANGE)


def test_a_version_that_is_not_visible_yet_is_waited_for() -> None:
    with script("ssm") as aws:
        aws.add_response("get_parameter", parameter("true", 7), GET)
        aws.add_response("put_parameter", {"Version": 8}, PUT)
        aws.add_response("get_parameter", parameter("true", 7), GET)
        halt = HaltTrading()
        halt.apply(HALT, CHANGE)

        assert halt.verify(HALT, CHANGE).verdict is Verdict.NOT_YET


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("TooManyUpdates", ChangedMeanwhile),
        ("AccessDeniedException", TargetForbidden),
        ("ParameterMaxVersionLimitExceeded", NotApplied),
        ("ParameterPatternMismatchException", NotApplied),
        ("InternalServerError", Unreadable),
    ],
)
def test_what_aws_refuses_is_told_apart(code: str, raised: type[Exception]) -> None:
    with script("ssm") as aws:
        aws.add_response("get_parameter", parameter("true", 7), GET)
        aws.add_client_error("put_parameter", code, expected_params=PUT)

        with pytest.raises(raised):
            HaltTrading().apply(HALT, CHANGE)


def test_the_event_file_is_a_plan_of_a_halt() -> None:
    request = read_request(event("switch_trading"), (HaltTrading.name, ResumeTrading.name), "id")

    assert (request.action, request.mode) == ("halt_trading", Mode.PLAN)
    assert request.target.key == "parameter:/the-alchemiser/dev/trading_enabled"
    assert request.requested_by
    assert request.reason
