"""Secrets: labels are pinned and no value is read. Functions: published anew with every variable, told with none."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ParamValidationError
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from selfheal import function_reload
from selfheal.action import AlreadyDone, Change, Decline
from selfheal.clients import client
from selfheal.errors import ChangedMeanwhile, NotApplied, Refused, TargetForbidden, TargetNotFound, Unreadable
from selfheal.function_reload import described, differences, marker_of
from selfheal.refusal import Refusal
from selfheal.words import Direction, Verdict

from functions.refresh_secrets import app
from functions.refresh_secrets.app import ReloadFunction, RollBackSecret
from tests.unit.aws import ask, planned, script
from tests.unit.plays.refresh_secrets import MARKER, SECRET, make_function, served
from tests.unit.stage import Stage, stage

NAME = "shop/broker"
OLD, NOW, NEXT = ("1" * 32, "2" * 32, "3" * 32)
ROLL_BACK = ask("roll_back_secret", {"secret": NAME})
FUNCTION = "shop"
TARGET = {"function": FUNCTION, "alias": "live"}
RELOAD = ask("reload_function", TARGET)
MARK = marker_of("test-1")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


@pytest.fixture
def secrets() -> Iterator[Any]:
    with mock_aws():
        aws = client("secretsmanager")
        aws.create_secret(Name=NAME, SecretString="one", ClientRequestToken=OLD)
        aws.put_secret_value(SecretId=NAME, SecretString="two", ClientRequestToken=NOW)
        yield aws


def labels(aws: Any) -> dict[str, list[str]]:
    return dict(aws.describe_secret(SecretId=NAME)["VersionIdsToStages"])


def seen(current: str | None = NOW, more: Mapping[str, Any] = {}) -> dict[str, Any]:
    return {"current": current, "labels": {NOW: ["AWSCURRENT"], OLD: ["AWSPREVIOUS"], **more}, "was": current}


# -- roll_back_secret --------------------------------------------------------------------------------------------


def test_a_secret_goes_back_and_an_undo_forth_again(secrets: Any) -> None:
    change = planned(RollBackSecret(), ROLL_BACK)
    RollBackSecret().apply(ROLL_BACK, change)

    assert (change.before, change.after) == ({"current": NOW}, {"current": OLD})
    assert change.direction is Direction.RISKY
    assert RollBackSecret().verify(ROLL_BACK, change).verdict is Verdict.HOLDS
    assert labels(secrets) == {OLD: ["AWSCURRENT"], NOW: ["AWSPREVIOUS"]}

    undo = ask("roll_back_secret", {"secret": NAME}, wanted=change.before)
    back = planned(RollBackSecret(), undo)
    RollBackSecret().apply(undo, back)
    assert labels(secrets) == {OLD: ["AWSPREVIOUS"], NOW: ["AWSCURRENT"]}


def test_the_same_call_twice_does_not_swap_back(secrets: Any) -> None:
    change = planned(RollBackSecret(), ROLL_BACK)
    RollBackSecret().apply(ROLL_BACK, change)

    assert RollBackSecret().apply(ROLL_BACK, change) == {"written": False}
    assert labels(secrets)[OLD] == ["AWSCURRENT"]


def test_what_somebody_made_current_in_between_is_not_rolled_back(secrets: Any) -> None:
    action = RollBackSecret()
    change = planned(action, ROLL_BACK)
    secrets.put_secret_value(SecretId=NAME, SecretString="mended", ClientRequestToken=NEXT)

    with pytest.raises(ChangedMeanwhile):
        action.apply(ROLL_BACK, change)
    found = action.decide(action.observe(ROLL_BACK), ROLL_BACK)

    assert isinstance(found, Decline)
    assert found.refusal is Refusal.CHANGED_MEANWHILE
    assert labels(secrets)[NEXT] == ["AWSCURRENT"]


def test_a_named_version_is_taken(secrets: Any) -> None:
    secrets.put_secret_value(SecretId=NAME, SecretString="3", ClientRequestToken=NEXT, VersionStages=["KEEP"])
    request = ask("roll_back_secret", {"secret": NAME}, options={"to_version": NEXT})

    assert planned(RollBackSecret(), request).after == {"current": NEXT}


@pytest.mark.parametrize(
    ("state", "options", "refusal"),
    [
        ({**seen(), "labels": {NOW: ["AWSCURRENT"]}}, {}, Refusal.NO_EARLIER_VERSION),
        ({**seen(None), "labels": {}}, {}, Refusal.NO_EARLIER_VERSION),
        (seen(more={NEXT: ["AWSPENDING"]}), {}, Refusal.ROTATION_IN_PROGRESS),
        (seen(more={NEXT: ["AWSPENDING"]}), {"to_version": OLD}, Refusal.ROTATION_IN_PROGRESS),
        (seen(), {"to_version": NEXT}, Refusal.VERSION_UNFIT),
    ],
)
def test_what_must_not_be_moved_is_refused_by_name(
    state: dict[str, Any], options: dict[str, Any], refusal: Refusal
) -> None:
    found = RollBackSecret().decide(state, ask("roll_back_secret", {"secret": NAME}, options=options))

    assert isinstance(found, Decline)
    assert found.refusal is refusal


def test_a_rotation_that_is_over_is_none_in_progress() -> None:
    state = {**seen(), "labels": {NOW: ["AWSCURRENT", "AWSPENDING"], OLD: ["AWSPREVIOUS"]}}

    assert isinstance(RollBackSecret().decide(state, ROLL_BACK), Change)


def test_the_current_version_is_done_already() -> None:
    request = ask("roll_back_secret", {"secret": NAME}, options={"to_version": NOW})

    assert isinstance(RollBackSecret().decide(seen(), request), AlreadyDone)


def test_a_secret_that_is_being_deleted_is_not_there(secrets: Any) -> None:
    secrets.delete_secret(SecretId=NAME)

    with pytest.raises(TargetNotFound):
        RollBackSecret().observe(ROLL_BACK)


def test_a_refusal_that_changed_nothing_is_told(secrets: Any) -> None:
    """By a script: moto takes the label away before it refuses."""
    change = planned(RollBackSecret(), ROLL_BACK)
    with script("secretsmanager") as aws:
        aws.add_client_error("update_secret_version_stage", "InvalidRequestException", "no", 400)
        aws.add_response("describe_secret", {"VersionIdsToStages": seen()["labels"]})
        with pytest.raises(NotApplied):
            RollBackSecret().apply(ROLL_BACK, change)


def test_no_call_reads_a_value() -> None:
    source = Path(app.__file__).read_text()

    assert "get_secret_value" not in source
    assert not [one for one in RollBackSecret.permissions if one.endswith("GetSecretValue")]


# -- reload_function: what is told -------------------------------------------------------------------------------


def configuration(**more: Any) -> dict[str, Any]:
    usual = {"CodeSha256": "abc", "RevisionId": "r1", "Version": "1", "LastUpdateStatus": "Successful"}
    return {**usual, "State": "Active", "Environment": {"Variables": {"KEY": SECRET}}, "Timeout": 3, **more}


texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=40)


@given(values=st.dictionaries(st.from_regex("[A-Z]{1,5}", fullmatch=True), texts, min_size=1, max_size=4), other=texts)
def test_nothing_that_is_told_of_an_environment_has_a_value(values: dict[str, str], other: str) -> None:
    ours = configuration(Environment={"Variables": values})
    theirs = configuration(Environment={"Variables": dict.fromkeys(values, other)})

    told = json.dumps([described(ours, next(iter(values))), differences(ours, theirs, MARKER)])

    assert [value for value in (*values.values(), other) if json.dumps(value)[1:-1] in told] == []


def test_a_variable_that_is_no_marker_is_never_told_as_one() -> None:
    told = described(configuration(), "KEY")

    assert told["marker"] is None
    assert told["marker_taken"] is True


def test_differences_are_names() -> None:
    other = configuration(
        CodeSha256="xyz", Timeout=30, Layers=[], Environment={"Variables": {"KEY": "other", "MORE": "1", MARKER: MARK}}
    )

    found = differences(other, configuration(), MARKER)

    assert found == ["code", "environment variable KEY", "environment variable MORE", "Timeout"]


@pytest.mark.parametrize("name", ["", "1A", "A-B", "AWS_KEY", "LAMBDA_X", "a" * 65, "_X", "A B"])
def test_a_marker_that_lambda_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="bad_options"):
        ReloadFunction().observe(ask("reload_function", TARGET, options={"marker": name}))


# -- reload_function: decide -------------------------------------------------------------------------------------


def decided(latest: Mapping[str, Any] = {}, live: Mapping[str, Any] = {}, *, request: Any = RELOAD, **more: Any) -> Any:
    """What becomes of these two configurations."""
    ours, theirs = configuration(**latest), configuration(**live)
    name = request.options["marker"]
    state = {
        "version": "1",
        "revision": "a1",
        "weights": {},
        "in_flight": [],
        "latest": described(ours, name),
        "live": described(theirs, name),
        "differences": differences(ours, theirs, name),
    }
    return ReloadFunction().decide({**state, **more}, request)


def test_a_function_as_it_should_be_is_published() -> None:
    change = decided()

    assert isinstance(change, Change)
    assert (change.before, change.after) == ({"version": "1", "marker": None}, {"marker": MARK})
    assert change.direction is Direction.RISKY


BROKEN_KEY = {"Environment": {"Error": {"ErrorCode": "KMSAccessDeniedException", "Message": "no"}}}


@pytest.mark.parametrize(
    ("found", "refusal"),
    [
        ({"in_flight": ["d-1"]}, Refusal.DEPLOYMENT_IN_FLIGHT),
        ({"weights": {"2": 0.1}}, Refusal.DEPLOYMENT_IN_FLIGHT),
        ({"version": "$LATEST"}, Refusal.ALIAS_ON_LATEST),
        ({"latest": BROKEN_KEY}, Refusal.ENVIRONMENT_UNREADABLE),
        ({"live": BROKEN_KEY}, Refusal.ENVIRONMENT_UNREADABLE),
        ({"latest": {"LastUpdateStatus": "InProgress"}}, Refusal.FUNCTION_NOT_READY),
        ({"latest": {"LastUpdateStatus": "Failed"}}, Refusal.FUNCTION_NOT_READY),
        ({"latest": {"CodeSha256": "xyz"}}, Refusal.LATEST_DIFFERS),
        ({"latest": {"Environment": {"Variables": {"KEY": "drifted"}}}}, Refusal.LATEST_DIFFERS),
        ({"latest": {"Timeout": 30}}, Refusal.LATEST_DIFFERS),
        ({"live": {"Environment": {"Variables": {"KEY": SECRET, "GONE": "1"}}}}, Refusal.LATEST_DIFFERS),
    ],
)
def test_whatever_would_put_more_live_is_refused_by_name(found: dict[str, Any], refusal: Refusal) -> None:
    declined = decided(**found)

    assert isinstance(declined, Decline)
    assert declined.refusal is refusal
    assert SECRET not in declined.detail
    assert "drifted" not in declined.detail


def test_a_function_s_own_variable_is_no_marker() -> None:
    declined = decided(request=ask("reload_function", TARGET, options={"marker": "KEY"}))

    assert isinstance(declined, Decline)
    assert declined.refusal is Refusal.BAD_OPTIONS
    assert SECRET not in declined.detail


@pytest.mark.parametrize(("length", "fits"), [(4096 - 24 - len(MARKER), True), (4097 - 24 - len(MARKER), False)])
def test_an_environment_without_room_for_the_marker_is_refused(length: int, fits: bool) -> None:
    full = {"Environment": {"Variables": {"K": "x" * (length - len(MARK) + 23)}}}
    found = decided(full, full)

    assert isinstance(found, Change) is fits
    if not fits:
        assert found.refusal is Refusal.ENVIRONMENT_TOO_LARGE


def test_a_killed_run_of_the_same_action_is_gone_on_with() -> None:
    marked = {"Environment": {"Variables": {"KEY": SECRET, MARKER: MARK}}}

    assert isinstance(decided({**marked, "LastUpdateStatus": "InProgress"}), Change)
    assert isinstance(decided(marked, marked), AlreadyDone)


# -- reload_function: calls --------------------------------------------------------------------------------------


@pytest.fixture
def lambdas() -> Iterator[Any]:
    with mock_aws(config={"lambda": {"use_docker": False}}):
        trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda"}, "Action": "sts:*"}]}
        client("iam").create_role(RoleName="demo", AssumeRolePolicyDocument=json.dumps(trust))
        make_function(FUNCTION, {"KEY": SECRET, "OTHER": "value"})
        yield client("lambda")


def versions(aws: Any) -> list[str]:
    return [one["Version"] for one in aws.list_versions_by_function(FunctionName=FUNCTION)["Versions"]]


def test_the_alias_gets_every_variable_and_the_marker(lambdas: Any) -> None:
    change = planned(ReloadFunction(), RELOAD)
    evidence = ReloadFunction().apply(RELOAD, change)
    after = ReloadFunction().verify(RELOAD, change)

    assert served(FUNCTION) == {"KEY": SECRET, "OTHER": "value", MARKER: MARK}
    assert after.verdict is Verdict.HOLDS
    assert after.after == {"version": "2", "marker": MARK}
    assert SECRET not in json.dumps([change.plan, change.before, change.after, evidence, after.after, change.summary])

    undo = ask("reload_function", TARGET, wanted=change.before)
    back = planned(ReloadFunction(), undo)
    ReloadFunction().apply(undo, back)
    assert ReloadFunction().verify(undo, back).verdict is Verdict.HOLDS
    assert served(FUNCTION) == {"KEY": SECRET, "OTHER": "value"}


@pytest.mark.parametrize("dies_before", ["_publish", "_point"])
def test_a_run_that_died_publishes_one_version_in_all(
    lambdas: Any, dies_before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(app, dies_before, lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ReloadFunction().apply(RELOAD, planned(ReloadFunction(), RELOAD))

    ReloadFunction().apply(RELOAD, planned(ReloadFunction(), RELOAD))

    assert versions(lambdas) == ["$LATEST", "1", "2"]
    assert served(FUNCTION)[MARKER] == MARK


ALIAS = {"FunctionVersion": "1", "RevisionId": "a1"}
CONFIGURATION = {"FunctionName": FUNCTION}


def scripted(aws: Any, *configurations: Mapping[str, Any]) -> None:
    for one in configurations:
        aws.add_response("get_function_configuration", one)


def test_every_write_is_on_the_revision_that_was_read() -> None:
    marked = {"Variables": {"KEY": SECRET, MARKER: MARK}}
    with script("lambda") as aws:
        aws.add_response("get_alias", ALIAS)
        scripted(aws, configuration(), configuration())
        change = planned(ReloadFunction(), RELOAD)
        scripted(aws, configuration())
        aws.add_response(
            "update_function_configuration", {}, {**CONFIGURATION, "Environment": marked, "RevisionId": "r1"}
        )
        scripted(aws, configuration(LastUpdateStatus="InProgress", Environment=marked, RevisionId="r2"))
        scripted(aws, configuration(Environment=marked, RevisionId="r3"), configuration())
        aws.add_response(
            "publish_version", {"Version": "9"}, {**CONFIGURATION, "CodeSha256": "abc", "RevisionId": "r3"}
        )
        scripted(aws, configuration(State="Pending"), configuration())
        wanted = {"Name": "live", "FunctionVersion": "9", "RevisionId": "a1"}
        routing: dict[str, Any] = {"RoutingConfig": {"AdditionalVersionWeights": {}}}
        aws.add_response("update_alias", {"RevisionId": "a2"}, {**CONFIGURATION, **wanted, **routing})
        assert ReloadFunction().apply(RELOAD, change)["published"] == "9"


def plan_of() -> Change:
    with script("lambda") as aws:
        aws.add_response("get_alias", ALIAS)
        scripted(aws, configuration(), configuration())
        return planned(ReloadFunction(), RELOAD)


def test_latest_that_changed_since_the_look_is_not_written() -> None:
    change = plan_of()
    with script("lambda") as aws:
        scripted(aws, configuration(RevisionId="r7"))
        with pytest.raises(ChangedMeanwhile):
            ReloadFunction().apply(RELOAD, change)


def test_latest_that_changed_during_the_wait_is_not_published() -> None:
    change = plan_of()
    marked = configuration(Environment={"Variables": {"KEY": "somebody's", MARKER: MARK}})
    with script("lambda") as aws:
        scripted(aws, configuration())
        aws.add_response("update_function_configuration", {})
        scripted(aws, marked, configuration())
        with pytest.raises(ChangedMeanwhile, match="environment variable KEY") as told:
            ReloadFunction().apply(RELOAD, change)

    assert "somebody's" not in str(told.value)


def test_an_update_that_takes_longer_is_gone_on_with_later() -> None:
    change = plan_of()
    with script("lambda") as aws:
        scripted(aws, configuration())
        aws.add_response("update_function_configuration", {})
        scripted(aws, configuration(LastUpdateStatus="InProgress"))
        with pytest.raises(Unreadable, match="in progress"):
            ReloadFunction(remaining_s=0.0).apply(RELOAD, change)


def test_an_update_that_failed_is_told_and_the_alias_stays() -> None:
    change = plan_of()
    with script("lambda") as aws:
        scripted(aws, configuration())
        aws.add_response("update_function_configuration", {})
        scripted(aws, configuration(LastUpdateStatus="Failed", LastUpdateStatusReasonCode="EniLimitExceeded"))
        with pytest.raises(NotApplied, match="EniLimitExceeded"):
            ReloadFunction().apply(RELOAD, change)


def test_a_busy_function_is_asked_again_and_then_planned_again() -> None:
    change = plan_of()
    with script("lambda") as aws:
        scripted(aws, configuration())
        for _ in range(4):
            aws.add_client_error("update_function_configuration", "ResourceConflictException", "busy", 409)
        with pytest.raises(ChangedMeanwhile):
            ReloadFunction().apply(RELOAD, change)


# -- reload_function: nothing of it gets out ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("InvalidParameterValueException", 400, NotApplied),
        ("ValidationException", 400, NotApplied),
        ("AccessDeniedException", 403, TargetForbidden),
        ("PreconditionFailedException", 412, ChangedMeanwhile),
        ("ResourceConflictException", 409, ChangedMeanwhile),
        ("ServiceException", 500, Unreadable),
    ],
)
def test_lambda_s_text_about_an_environment_is_not_passed_on(code: str, status: int, error: type[Exception]) -> None:
    """Lambda quotes what it refuses: "… exceeded the 4KB limit. String measured: {…}"."""
    quoting = f'String measured: {{"KEY":"{SECRET}"}}'
    with script("lambda") as aws:
        for _ in range(4 if code == "ResourceConflictException" else 1):
            aws.add_client_error("update_function_configuration", code, quoting, status)
        with pytest.raises(error) as told:
            function_reload.mark(FUNCTION, configuration(), MARKER, MARK)

    assert leaks(told.value) == []


def test_botocore_s_text_about_an_environment_is_not_passed_on() -> None:
    wrong = configuration(Environment={"Variables": {"KEY": SECRET, "NUMBER": [SECRET]}})
    with pytest.raises(NotApplied) as told:
        function_reload.mark(FUNCTION, wrong, MARKER, MARK)

    assert isinstance(told.value.__cause__, ParamValidationError)
    assert leaks(told.value) == []


def leaks(error: BaseException | None) -> list[str]:
    """Every text of an error and of what led to it that has the secret in it."""
    found = []
    while error is not None:
        found += [text for text in (str(error), repr(error)) if SECRET in text]
        error = error.__cause__ or error.__context__
    return found


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    with stage(monkeypatch, tmp_path) as made:
        yield made


@pytest.mark.parametrize("name", ["reload_function", "roll_back_secret"])
def test_neither_ledger_nor_log_nor_bus_nor_answer_has_the_secret(
    on_stage: Stage, name: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, logger="selfheal")
    play = on_stage.play(name)
    answers = [on_stage.run(play, mode="plan", action_id="plan-1"), on_stage.run(play)]
    undo = {"action_id": "undo-1", "undo_of": play.request["action_id"], "origin": "undo", "requested_by": "ann"}
    answers.append(on_stage.run(play, **undo, alarms=[]))
    items = client("dynamodb").scan(TableName="ledger")["Items"]

    written = json.dumps([answers, items, on_stage.wire.events()]) + caplog.text + "".join(capsys.readouterr())
    assert [one["outcome"] for one in answers if one] == ["planned", "acted", "acted"]
    assert play.look() == play.before
    assert len(items) > 2
    assert SECRET not in written
