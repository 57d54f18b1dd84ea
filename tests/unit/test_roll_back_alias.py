"""Rolling an alias back: which version is chosen from any history, and the exact calls that move the alias."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from selfheal.action import DEPLOYED_AT, Action, AlreadyDone, Change, Decision, Decline
from selfheal.clients import client
from selfheal.errors import (
    ChangedMeanwhile,
    NotApplied,
    Refused,
    TargetForbidden,
    TargetNotFound,
    Throttled,
    Unreadable,
)
from selfheal.refusal import Refusal
from selfheal.request import Request, read_request
from selfheal.words import Direction, Mode, Verdict

from functions.roll_back_alias.app import RollBackAlias
from tests.unit.aws import ask, event, planned, recorded, script

FUNCTION = "trade"
TARGET = {"function": FUNCTION, "alias": "live"}
DEPLOYED = {**TARGET, "code_deploy": {"application": "shop", "deployment_group": "trade-group"}}
ROLL = ask("roll_back_alias", TARGET)
ROLL_DEPLOYED = ask("roll_back_alias", DEPLOYED)
GET = {"FunctionName": FUNCTION, "Name": "live"}
GROUP = {"applicationName": "shop", "deploymentGroupName": "trade-group"}
LIST = {**GROUP, "includeOnlyStatuses": ["Created", "Queued", "InProgress", "Baking", "Ready"]}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without the time that they would take."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


@pytest.fixture
def aws() -> Iterator[Stubber]:
    with script("lambda") as stubber:
        yield stubber


def to(version: str) -> Request:
    return ask("roll_back_alias", TARGET, options={"to_version": version})


def alias(version: str = "7", revision: str = "r1", **weights: float) -> dict[str, Any]:
    routing = {"AdditionalVersionWeights": {number.lstrip("v"): weight for number, weight in weights.items()}}
    return {"Name": "live", "FunctionVersion": version, "RevisionId": revision, "RoutingConfig": routing}


def version(number: str, code: str = "", **more: Any) -> dict[str, Any]:
    return {"Version": number, "CodeSha256": code or f"code-{number}", "State": "Active", **more}


def state(current: str = "7", **more: Any) -> dict[str, Any]:
    known = {"version": current, "weights": {}, "revision": "r1", "in_flight": [], "versions": {}}
    return {**known, "successful": None, "attempted": None, **more}


def good(seen: str = "Active", last_update: str | None = "Successful", differs: bool = True) -> dict[str, Any]:
    return {"state": seen, "last_update": last_update, "differs": differs}


def refusal(decision: Decision) -> Refusal:
    assert isinstance(decision, Decline), decision
    return decision.refusal


def aim(decision: Decision) -> Any:
    assert isinstance(decision, Change), decision
    return decision.after["version"]


def decide(seen: dict[str, Any], request: Request = ROLL) -> Decision:
    return RollBackAlias().decide(seen, request)


# -- decide ------------------------------------------------------------------------------------------------------

numbers = st.integers(1, 12).map(str)
histories = st.dictionaries(
    numbers,
    st.builds(
        good,
        st.sampled_from(["Active", "Inactive", "Pending", "Failed", "Deleting", None]),
        st.sampled_from(["Successful", "Failed", "InProgress", None]),
        st.booleans(),
    ),
)


@given(
    history=histories,
    current=numbers,
    bad=st.lists(numbers),
    known_good=st.lists(numbers),
    successful=st.none() | st.fixed_dictionaries({"from": numbers, "to": numbers}),
)
def test_the_version_chosen_is_always_earlier_fit_and_never_a_bad_one(
    history: dict[str, Any], current: str, bad: list[str], known_good: list[str], successful: dict[str, str] | None
) -> None:
    seen = state(current, versions=history, successful=successful, bad_versions=bad, last_known_good=known_good)

    decision = decide(seen)

    fit = {
        number
        for number, version in history.items()
        if int(number) < int(current)
        and number not in bad
        and version["state"] in ("Active", "Inactive")
        and version["last_update"] != "Failed"
        and version["differs"]
    }
    if not fit:
        assert refusal(decision) is Refusal.NO_EARLIER_VERSION
        return
    chosen = aim(decision)
    assert chosen in fit
    hinted = [number for number in known_good if number in fit]
    if successful and successful["to"] == current and successful["from"] in fit:
        hinted.append(successful["from"])
    active = {number for number in fit if history[number]["state"] == "Active"}
    assert chosen == (hinted[0] if hinted else max(active or fit, key=int))
    assert isinstance(decision, Change)
    assert decision.direction is Direction.RISKY
    assert decision.before == {"version": current, "weights": {}}
    assert decision.after == {"version": chosen, "weights": {}}


@given(
    current=numbers,
    weights=st.dictionaries(numbers, st.floats(0.01, 0.99), min_size=1, max_size=1),
    bad=st.lists(numbers),
    attempted=st.none() | st.fixed_dictionaries({"from": numbers, "to": numbers}),
)
def test_a_canary_is_never_made_the_only_version(
    current: str, weights: dict[str, float], bad: list[str], attempted: dict[str, str] | None
) -> None:
    decision = decide(state(current, weights=weights, bad_versions=bad, attempted=attempted))

    stable = {number for number in {current, *weights} - set(bad) if int(number) <= int(current)}
    if not stable:
        assert refusal(decision) is Refusal.NO_EARLIER_VERSION
        return
    assert aim(decision) in stable
    assert isinstance(decision, Change)
    assert decision.before == {"version": current, "weights": weights}
    assert decision.after["weights"] == {}


def test_gaps_in_the_numbers_are_no_trap() -> None:
    assert aim(decide(state("10", versions={"2": good(), "4": good(), "9": good(differs=False)}))) == "4"


def test_a_canary_in_progress_only_loses_its_weight() -> None:
    decision = decide(state("7", weights={"8": 0.1}))

    assert aim(decision) == "7"
    assert isinstance(decision, Change)
    assert "keep live of trade on 7" in decision.summary


def test_a_weight_on_the_older_version_means_that_the_older_one_is_stable() -> None:
    assert aim(decide(state("8", weights={"7": 0.9}))) == "7"


def test_codedeploy_knows_which_of_the_two_was_there_before() -> None:
    known = {"from": "8", "to": "7"}

    assert aim(decide(state("8", weights={"7": 0.1}, attempted=known))) == "8"


def test_a_weight_of_nothing_is_no_canary() -> None:
    assert aim(decide(state("7", weights={"8": 0.0}, versions={"6": good()}))) == "6"


def test_a_deployment_in_flight_is_stopped_first_whatever_is_asked() -> None:
    moving = state("7", in_flight=["d-1"], versions={"6": good()})
    undo = ask("roll_back_alias", DEPLOYED, wanted={"version": "6", "weights": {}})

    for request in (ROLL_DEPLOYED, to("6"), undo):
        assert refusal(decide(moving, request)) is Refusal.DEPLOYMENT_IN_FLIGHT


def test_an_alias_on_latest_is_refused() -> None:
    assert refusal(decide(state("$LATEST"))) is Refusal.ALIAS_ON_LATEST


@pytest.mark.parametrize(
    ("versions", "current", "weights"),
    [
        ({}, "7", {}),
        ({"6": good("Failed")}, "7", {}),
        ({"6": good(last_update="Failed")}, "7", {}),
        ({"6": good()}, "6", {}),
    ],
)
def test_a_version_that_cannot_serve_is_refused(versions: Any, current: str, weights: Any) -> None:
    seen = state(current, versions=versions, weights=weights)

    assert refusal(decide(seen, to("6"))) is Refusal.VERSION_UNFIT


def test_a_version_that_a_person_names_wins() -> None:
    assert aim(decide(state("7", versions={"3": good("Inactive")}, bad_versions=["3"]), to("3"))) == "3"
    assert aim(decide(state("7", weights={"8": 0.5}, versions={"7": good()}), to("7"))) == "7"


def test_undo_restores_version_and_weights_on_the_revision_of_now() -> None:
    before = {"version": "7", "weights": {"8": 0.1}}

    decision = decide(state("6", revision="now"), ask("roll_back_alias", TARGET, wanted=before))

    assert isinstance(decision, Change)
    assert (decision.after, decision.plan) == (before, {"revision": "now"})


def test_an_alias_that_is_where_undo_wants_it_is_left_alone() -> None:
    wanted = {"version": "7", "weights": {}}

    assert isinstance(decide(state("7"), ask("roll_back_alias", TARGET, wanted=wanted)), AlreadyDone)


# -- observe: no call more than the decision needs (Stubber) -------------------------------------------------------


def test_the_list_is_read_to_its_end_and_sorted_as_numbers(aws: Stubber) -> None:
    aws.add_response("get_alias", alias("12"), GET)
    first = [version("$LATEST"), version("12"), version("2"), version("11", "code-12")]
    listing = {"FunctionName": FUNCTION}
    aws.add_response("list_versions_by_function", {"Versions": first, "NextMarker": "m"}, listing)
    rest = [version("9"), version("10", State="Failed"), version("13")]
    aws.add_response("list_versions_by_function", {"Versions": rest}, {**listing, "Marker": "m"})

    assert planned(RollBackAlias(), ROLL).after == {"version": "9", "weights": {}}


@pytest.mark.parametrize(
    ("told", "made"),
    [
        ("2026-01-31T09:35:00.000+0000", 1_769_852_100.0),
        ("2026-01-31T10:35:00.500+01:00", 1_769_852_100.5),
        ("yesterday", None),
        (None, None),
    ],
)
def test_the_list_tells_when_the_current_version_was_made(aws: Stubber, told: str | None, made: float | None) -> None:
    """What the guard of the deployment's age asks for; no call more."""
    aws.add_response("get_alias", alias("12"), GET)
    current = version("12") if told is None else version("12", LastModified=told)
    older = version("11", LastModified="2020-01-01T00:00:00.000+0000")
    aws.add_response("list_versions_by_function", {"Versions": [current, older]})

    assert planned(RollBackAlias(), ROLL).facts == {DEPLOYED_AT: made}


def test_without_a_list_nothing_is_known_of_the_deployment() -> None:
    decision = RollBackAlias().decide(state("7", weights={"8": 0.1}), ROLL)

    assert isinstance(decision, Change)
    assert decision.facts == {DEPLOYED_AT: None}


SECRET = {"Variables": {"API_KEY": "correct-horse"}}


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        ({"CodeSha256": "a"}, {"CodeSha256": "b"}, True),
        ({"ConfigSha256": "x"}, {"ConfigSha256": "y"}, True),
        ({"ConfigSha256": "x", "Timeout": 3}, {"ConfigSha256": "x", "Timeout": 4}, False),
        ({"ConfigSha256": "x"}, {}, False),
        ({"Timeout": 3}, {"Timeout": 3, "Description": "other words"}, False),
        ({"Timeout": 3}, {"Timeout": 4}, True),
        ({"Environment": SECRET}, {"Environment": {"Variables": {}}}, True),
        ({"Layers": [{"Arn": "l:1"}]}, {"Layers": [{"Arn": "l:2"}]}, True),
        ({}, {}, False),
    ],
)
def test_only_a_version_that_behaves_differently_is_worth_going_to(
    aws: Stubber, one: Any, other: Any, differs: bool
) -> None:
    aws.add_response("get_alias", alias("7"), GET)
    listed = [version("7", "same") | one, version("6", "same") | other]
    aws.add_response("list_versions_by_function", {"Versions": listed})

    seen = RollBackAlias().observe(ROLL)

    assert seen["versions"]["6"]["differs"] is differs
    assert "correct-horse" not in json.dumps(seen)


def test_states_that_the_list_leaves_out_are_read_until_one_is_active(aws: Stubber) -> None:
    aws.add_response("get_alias", alias("7"), GET)
    listed = [{"Version": str(number), "CodeSha256": str(number)} for number in range(1, 8)]
    aws.add_response("list_versions_by_function", {"Versions": listed})
    for number, seen in (("6", "Failed"), ("5", "Active")):
        asked = {"FunctionName": FUNCTION, "Qualifier": number}
        aws.add_response("get_function_configuration", version(number, State=seen), asked)

    assert planned(RollBackAlias(), ROLL).after["version"] == "5"


def test_no_more_than_three_states_are_read(aws: Stubber) -> None:
    aws.add_response("get_alias", alias("7"), GET)
    listed = [{"Version": str(number), "CodeSha256": str(number)} for number in range(1, 8)]
    aws.add_response("list_versions_by_function", {"Versions": listed})
    aws.add_client_error("get_function_configuration", "ResourceNotFoundException")
    for number in ("5", "4"):
        asked = {"FunctionName": FUNCTION, "Qualifier": number}
        aws.add_response("get_function_configuration", version(number, State="Failed"), asked)

    seen = RollBackAlias().observe(ROLL)

    assert "6" not in seen["versions"]
    assert refusal(decide(dict(seen))) is Refusal.NO_EARLIER_VERSION


def test_a_named_version_costs_one_read_and_no_list(aws: Stubber) -> None:
    aws.add_response("get_alias", alias("7"), GET)
    asked = {"FunctionName": FUNCTION, "Qualifier": "3"}
    aws.add_response("get_function_configuration", version("3"), asked)

    assert planned(RollBackAlias(), to("3")).after == {"version": "3", "weights": {}}


def test_a_named_version_that_is_missing_is_refused(aws: Stubber) -> None:
    aws.add_response("get_alias", alias("7"), GET)
    aws.add_client_error("get_function_configuration", "ResourceNotFoundException")

    assert refusal(decide(dict(RollBackAlias().observe(to("3"))), to("3"))) is Refusal.VERSION_UNFIT


@pytest.mark.parametrize("word", ["$LATEST", "live", "-1", "6.0", "", "6:live", "\u0667"])
def test_a_name_is_no_version(word: str) -> None:
    with pytest.raises(Refused, match="bad_options"):
        RollBackAlias().observe(to(word))


@pytest.mark.parametrize(
    ("seen", "request_"),
    [
        (alias("7", v8=0.1), ROLL),
        (alias("$LATEST"), ROLL),
        (alias("7"), ask("roll_back_alias", TARGET, undo_of="earlier")),
    ],
)
def test_where_the_alias_alone_decides_nothing_else_is_read(
    aws: Stubber, seen: dict[str, Any], request_: Request
) -> None:
    aws.add_response("get_alias", seen, GET)

    assert RollBackAlias().observe(request_)["versions"] == {}


def test_a_missing_alias_is_not_found(aws: Stubber) -> None:
    aws.add_client_error("get_alias", "ResourceNotFoundException")

    with pytest.raises(TargetNotFound):
        RollBackAlias().observe(ROLL)


# -- CodeDeploy --------------------------------------------------------------------------------------------------

JSON_SPEC = json.dumps(
    {
        "version": 0.0,
        "Resources": [
            {"trade": {"Properties": {"Name": "trade", "Alias": "live", "CurrentVersion": "4", "TargetVersion": "7"}}}
        ],
    }
)
YAML_SPEC = "Resources:\n  - trade:\n      Properties:\n        currentversion: '4'\n        targetversion: 7\n"


def deployment(aws: Stubber, content: str, source: str = "appSpecContent", **more: Any) -> None:
    """The group's last deployment, successful and attempted alike."""
    aws.add_response("list_deployments", {"deployments": []}, LIST)
    last = {"deploymentId": "d-9", "status": "Succeeded"}
    group = {"lastSuccessfulDeployment": last, "lastAttemptedDeployment": last}
    aws.add_response("get_deployment_group", {"deploymentGroupInfo": group}, GROUP)
    info = {"deploymentId": "d-9", "revision": {source: {"content": content}}, **more}
    aws.add_response("get_deployment", {"deploymentInfo": info}, {"deploymentId": "d-9"})


def observed_with_two_versions(aws: Stubber, **more: Any) -> dict[str, Any]:
    aws.add_response("get_alias", alias("7"), GET)
    listed = [version(number, **more) for number in ("4", "6", "7")]
    aws.add_response("list_versions_by_function", {"Versions": listed})
    return dict(RollBackAlias().observe(ROLL_DEPLOYED))


@pytest.mark.parametrize("content", [JSON_SPEC, json.dumps(JSON_SPEC), YAML_SPEC])
@pytest.mark.parametrize("source", ["appSpecContent", "string"])
def test_what_the_last_deployment_replaced_is_preferred(aws: Stubber, content: str, source: str) -> None:
    with script("codedeploy") as deploy:
        deployment(deploy, content, source)

        seen = observed_with_two_versions(aws)

    assert aim(decide(seen, ROLL_DEPLOYED)) == "4"
    assert aim(decide(seen | {"bad_versions": ["4"]}, ROLL_DEPLOYED)) == "6"


def test_the_replaced_version_is_asked_first_where_states_are_missing(aws: Stubber) -> None:
    with script("codedeploy") as deploy:
        deployment(deploy, JSON_SPEC)
        aws.add_response("get_alias", alias("7"), GET)
        listed = [{"Version": number, "CodeSha256": number} for number in ("4", "6", "7")]
        aws.add_response("list_versions_by_function", {"Versions": listed})
        asked = {"FunctionName": FUNCTION, "Qualifier": "4"}
        aws.add_response("get_function_configuration", version("4"), asked)

        seen = dict(RollBackAlias().observe(ROLL_DEPLOYED))

    assert aim(decide(seen, ROLL_DEPLOYED)) == "4"


@pytest.mark.parametrize(
    ("content", "more"),
    [
        ("no app spec", {}),
        (JSON_SPEC.replace('"7"', '"5"'), {}),
        (JSON_SPEC, {"creator": "codeDeployRollback"}),
        (JSON_SPEC.replace('"4"', '"$LATEST"'), {}),
    ],
)
def test_a_hint_that_does_not_lead_to_the_current_version_is_none(aws: Stubber, content: str, more: Any) -> None:
    with script("codedeploy") as deploy:
        deployment(deploy, content, **more)

        seen = observed_with_two_versions(aws)

    assert aim(decide(seen, ROLL_DEPLOYED)) == "6"


@pytest.mark.parametrize("code", ["DeploymentDoesNotExistException", "AccessDeniedException", "ThrottlingException"])
def test_a_hint_that_cannot_be_read_is_done_without(aws: Stubber, code: str) -> None:
    with script("codedeploy") as deploy:
        deploy.add_response("list_deployments", {"deployments": []}, LIST)
        group = {"lastSuccessfulDeployment": {"deploymentId": "d-9"}}
        deploy.add_response("get_deployment_group", {"deploymentGroupInfo": group}, GROUP)
        deploy.add_client_error("get_deployment", code)

        seen = observed_with_two_versions(aws)

    assert aim(decide(seen, ROLL_DEPLOYED)) == "6"


def test_a_group_without_a_history_gives_no_hint(aws: Stubber) -> None:
    with script("codedeploy") as deploy:
        deploy.add_response("list_deployments", {"deployments": []}, LIST)
        deploy.add_response("get_deployment_group", {"deploymentGroupInfo": {}}, GROUP)

        assert aim(decide(observed_with_two_versions(aws), ROLL_DEPLOYED)) == "6"


def test_a_deployment_in_flight_is_seen_on_every_page(aws: Stubber) -> None:
    aws.add_response("get_alias", alias("7", v8=0.1), GET)
    with script("codedeploy") as deploy:
        deploy.add_response("list_deployments", {"deployments": [], "nextToken": "n"}, LIST)
        deploy.add_response("list_deployments", {"deployments": ["d-9"]}, {**LIST, "nextToken": "n"})

        seen = dict(RollBackAlias().observe(ROLL_DEPLOYED))

    assert refusal(decide(seen, ROLL_DEPLOYED)) is Refusal.DEPLOYMENT_IN_FLIGHT


def test_whether_a_deployment_is_in_flight_must_be_known(aws: Stubber) -> None:
    aws.add_response("get_alias", alias("7"), GET)
    with script("codedeploy") as deploy:
        deploy.add_client_error("list_deployments", "ThrottlingException")

        with pytest.raises(Unreadable):
            RollBackAlias().observe(ROLL_DEPLOYED)


# -- apply and verify (Stubber: moto ignores RevisionId) -----------------------------------------------------------

BEFORE, AFTER = {"version": "7", "weights": {"8": 0.1}}, {"version": "6", "weights": {}}
BACK = recorded(Change(Direction.RISKY, "back", BEFORE, AFTER, {"revision": "r1"}))
UPDATE = {**GET, "FunctionVersion": "6", "RoutingConfig": {"AdditionalVersionWeights": {}}, "RevisionId": "r1"}


def test_the_weights_are_always_sent_and_the_revision_guards_the_write(aws: Stubber) -> None:
    aws.add_response("update_alias", alias("6", "r2"), UPDATE)
    roll = RollBackAlias()

    assert roll.apply(ROLL, BACK) == {"revision": "r2"}
    verification = roll.verify(ROLL, BACK)

    assert verification.verdict is Verdict.HOLDS
    assert verification.after == {"version": "6", "weights": {}}
    assert verification.evidence == {"revision": "r2"}


def test_what_is_verified_a_second_time_is_read(aws: Stubber) -> None:
    """The answer of our own write says what the alias was right after it, and no more."""
    aws.add_response("update_alias", alias("6", "r2", v7=1.0), UPDATE)
    aws.add_response("get_alias", alias("6", "r3"), GET)
    roll = RollBackAlias()
    roll.apply(ROLL, BACK)

    assert roll.verify(ROLL, BACK).verdict is Verdict.NOT_YET
    assert roll.verify(ROLL, BACK).verdict is Verdict.HOLDS


def test_a_run_that_did_not_write_reads_what_it_verifies(aws: Stubber) -> None:
    """A resumed run, and one whose write had lost to its own repetition."""
    aws.add_client_error("update_alias", "PreconditionFailedException", http_status_code=412, expected_params=UPDATE)
    aws.add_response("get_alias", alias("6", "r2"), GET)
    aws.add_response("get_alias", alias("9", "r3"), GET)
    roll = RollBackAlias()

    assert roll.apply(ROLL, BACK) == {"revision": "r2", "written": False}
    assert roll.verify(ROLL, BACK).verdict is Verdict.DOES_NOT_HOLD


def test_undo_sends_the_recorded_weights(aws: Stubber) -> None:
    undo = recorded(Change(Direction.RISKY, "", BACK.after, BACK.before, {"revision": "r2"}))
    weighted = {**UPDATE, "FunctionVersion": "7", "RoutingConfig": {"AdditionalVersionWeights": {"8": 0.1}}}
    aws.add_response("update_alias", alias("7", "r3", v8=0.1), {**weighted, "RevisionId": "r2"})
    roll = RollBackAlias()
    roll.apply(ROLL, undo)

    assert roll.verify(ROLL, undo).verdict is Verdict.HOLDS


def test_a_write_of_somebody_else_is_never_written_over(aws: Stubber) -> None:
    aws.add_client_error("update_alias", "PreconditionFailedException", http_status_code=412, expected_params=UPDATE)
    aws.add_response("get_alias", alias("9", "r5"), GET)

    with pytest.raises(ChangedMeanwhile):
        RollBackAlias().apply(ROLL, BACK)


def test_applied_twice_it_finds_its_own_write(aws: Stubber) -> None:
    aws.add_response("update_alias", alias("6", "r2"), UPDATE)
    aws.add_client_error("update_alias", "PreconditionFailedException", http_status_code=412, expected_params=UPDATE)
    aws.add_response("get_alias", alias("6", "r2"), GET)
    RollBackAlias().apply(ROLL, BACK)

    assert RollBackAlias().apply(ROLL, BACK) == {"revision": "r2", "written": False}


def test_while_lambda_is_busy_the_call_is_repeated(aws: Stubber, pauses: list[float]) -> None:
    for _ in range(2):
        aws.add_client_error("update_alias", "ResourceConflictException", http_status_code=409, expected_params=UPDATE)
    aws.add_response("update_alias", alias("6", "r2"), UPDATE)

    RollBackAlias().apply(ROLL, BACK)

    assert pauses == [0.5, 1.0]


def test_a_lambda_that_stays_busy_is_not_waited_for_for_ever(aws: Stubber, pauses: list[float]) -> None:
    for _ in range(4):
        aws.add_client_error("update_alias", "ResourceConflictException", http_status_code=409, expected_params=UPDATE)

    with pytest.raises(NotApplied):
        RollBackAlias().apply(ROLL, BACK)

    assert pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("AccessDeniedException", TargetForbidden),
        ("ResourceNotFoundException", TargetNotFound),
        ("InvalidParameterValueException", NotApplied),
        ("TooManyRequestsException", Throttled),
        ("ServiceException", Unreadable),
    ],
)
def test_what_aws_refuses_is_told_apart(aws: Stubber, code: str, raised: type[Exception]) -> None:
    aws.add_client_error("update_alias", code, expected_params=UPDATE)

    with pytest.raises(raised):
        RollBackAlias().apply(ROLL, BACK)


@pytest.mark.parametrize(
    ("now", "called", "verdict"),
    [
        (alias("7", "r1", v8=0.1), True, Verdict.NOT_YET),
        (alias("7", "r1", v8=0.1), False, Verdict.DOES_NOT_HOLD),
        (alias("6", "r2", v7=1.0), True, Verdict.NOT_YET),
        (alias("6", "r2", v9=0.1), True, Verdict.DOES_NOT_HOLD),
        (alias("9", "r3"), True, Verdict.DOES_NOT_HOLD),
        ({"FunctionVersion": "6", "RevisionId": "r2"}, False, Verdict.HOLDS),
    ],
)
def test_verify_tells_waiting_from_lost(aws: Stubber, now: dict[str, Any], called: bool, verdict: Verdict) -> None:
    roll = RollBackAlias()
    if called:
        aws.add_response("update_alias", alias("6", "r2"), UPDATE)
        roll.apply(ROLL, BACK)
        roll.verify(ROLL, BACK)
    aws.add_response("get_alias", now, GET)

    assert roll.verify(ROLL, BACK).verdict is verdict


def test_weights_that_were_restored_and_are_gone_again_do_not_hold(aws: Stubber) -> None:
    undo = recorded(Change(Direction.RISKY, "", AFTER, BEFORE, {"revision": "r2"}))
    aws.add_response("get_alias", alias("7", "r4"), GET)

    assert RollBackAlias().verify(ROLL, undo).verdict is Verdict.DOES_NOT_HOLD


# -- against Lambda (moto) ---------------------------------------------------------------------------------------


def code(text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", text)
    return packed.getvalue()


@pytest.fixture
def lambda_() -> Iterator[Any]:
    """A function with the versions 1, 2 and 3, its alias on 3."""
    with mock_aws():
        policy = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = boto3.client("iam").create_role(RoleName="trade", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
        aws = client("lambda")
        aws.create_function(
            FunctionName=FUNCTION, Runtime="python3.13", Role=role, Handler="app.run", Code={"ZipFile": code("1")}
        )
        aws.publish_version(FunctionName=FUNCTION)
        for text in ("2", "3"):
            aws.update_function_code(FunctionName=FUNCTION, ZipFile=code(text))
            aws.publish_version(FunctionName=FUNCTION)
        aws.create_alias(FunctionName=FUNCTION, Name="live", FunctionVersion="3")
        yield aws


def done(action: Action, request: Request) -> Change:
    change = planned(action, request)
    action.apply(request, change)
    assert action.verify(request, change).verdict is Verdict.HOLDS
    return change


def live(lambda_: Any) -> tuple[str, dict[str, float]]:
    found = lambda_.get_alias(**GET)
    return found["FunctionVersion"], found.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})


def test_back_and_undone(lambda_: Any) -> None:
    change = done(RollBackAlias(), ROLL)
    assert live(lambda_) == ("2", {})
    assert RollBackAlias().image(RollBackAlias().observe(ROLL)) == change.after

    done(RollBackAlias(), ask("roll_back_alias", TARGET, wanted=change.before))
    assert live(lambda_) == ("3", {})


def test_a_canary_is_taken_out_and_nothing_else(lambda_: Any) -> None:
    routing = {"AdditionalVersionWeights": {"3": 0.1}}
    lambda_.update_alias(**GET, FunctionVersion="2", RoutingConfig=routing)

    done(RollBackAlias(), ROLL)

    assert live(lambda_) == ("2", {})


def test_the_event_file_is_a_plan_for_one_alias() -> None:
    request = read_request(event("roll_back_alias"), (RollBackAlias.name,), "id")

    assert request.mode is Mode.PLAN
    assert request.target.key == "function:the-alchemiser-v2-lambda-dev:live"
    assert request.requested_by
    assert request.reason
