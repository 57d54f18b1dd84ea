"""Batches of rollbacks out of the paced queue, through the real handler: in order, each once, none lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from selfheal.clients import client
from selfheal.handler import NEEDED_S

from functions.roll_back_alias import app
from tests.unit.conftest import FakeLambdaContext
from tests.unit.stage import ALARM, Play, Stage, stage
from tests.unit.wire import CAPTURE, failed, throttled

QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/paced"


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    monkeypatch.setenv("PACED_QUEUE", QUEUE)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with stage(monkeypatch, tmp_path) as made:
        made.wire.answers["sqs.change_message_visibility_batch"] = lambda asked: {"Successful": []}
        yield made


def batch(*bodies: Any) -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventSource": "aws:sqs",
                "messageId": f"m{number}",
                "receiptHandle": f"r{number}",
                "body": body if isinstance(body, str) else json.dumps(body),
            }
            for number, body in enumerate(bodies)
        ]
    }


def rollbacks(on_stage: Stage, number: int) -> list[Play]:
    return [on_stage.play("roll_back_alias") for _ in range(number)]


def deliver(on_stage: Stage, *bodies: Any) -> list[str]:
    """The ids of the messages that go back."""
    answer = on_stage.invoke("roll_back_alias", batch(*bodies))
    assert answer is not None
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def requests(plays: list[Play]) -> list[Mapping[str, Any]]:
    return [play.request for play in plays]


def outcomes(on_stage: Stage) -> list[tuple[str, str]]:
    """What was told of actions."""
    found = [event["detail"] for event in on_stage.wire.events() if event["detail-type"] == "Action Outcome"]
    return [(one["outcome"], one["reason"]) for one in found]


def calls(on_stage: Stage, service: str) -> list[str]:
    return [name for name in on_stage.wire.calls if name.startswith(service)]


def test_a_batch_reads_alarms_and_tags_once(on_stage: Stage) -> None:
    plays = rollbacks(on_stage, 5)

    assert deliver(on_stage, *requests(plays)) == []

    assert [play.look() for play in plays] == ["2"] * 5
    assert outcomes(on_stage) == [("acted", "")] * 5
    assert len(calls(on_stage, "cloudwatch.")) == len(calls(on_stage, "resourcegroupstaggingapi.")) == 1


def test_a_rollback_makes_two_calls_to_lambda_or_three_where_the_versions_are_not_known(on_stage: Stage) -> None:
    deliver(on_stage, *requests(rollbacks(on_stage, 1)))

    assert calls(on_stage, "lambda.") == ["lambda.get_alias", "lambda.list_versions_by_function", "lambda.update_alias"]


def test_a_batch_that_comes_twice_acts_once(on_stage: Stage) -> None:
    plays = rollbacks(on_stage, 3)
    deliver(on_stage, *requests(plays))
    on_stage.wire.again()

    assert deliver(on_stage, *requests(plays)) == []

    assert on_stage.wire.sent("lambda.update_alias") == 0
    assert [play.look() for play in plays] == ["2"] * 3


def test_the_same_request_twice_in_one_batch_acts_once(on_stage: Stage) -> None:
    (play,) = rollbacks(on_stage, 1)

    assert deliver(on_stage, play.request, play.request) == []

    assert on_stage.wire.sent("lambda.update_alias") == 1


def test_poison_holds_up_nobody(on_stage: Stage) -> None:
    plays = rollbacks(on_stage, 2)

    back = deliver(on_stage, plays[0].request, "no json", {"action": "reboot"}, "[" * 20_000, plays[1].request)

    assert back == []
    assert [play.look() for play in plays] == ["2", "2"]


def test_nothing_but_poison_is_answered(on_stage: Stage) -> None:
    assert deliver(on_stage, "no json", "{}") == []


def test_an_alarm_that_went_green_refuses_as_it_does_alone(on_stage: Stage) -> None:
    plays = rollbacks(on_stage, 2)
    client("cloudwatch").set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason="over")

    assert deliver(on_stage, *requests(plays)) == []

    assert outcomes(on_stage) == [("refused", "not_red")] * 2
    assert on_stage.wire.sent("lambda.update_alias") == 0


class Ending(FakeLambdaContext):
    """An invocation of which each look at it takes away some seconds."""

    left_s = 60.0

    def __init__(self, each_s: float) -> None:
        super().__init__()
        self.each_s = each_s

    def get_remaining_time_in_millis(self) -> int:
        left, self.left_s = self.left_s, self.left_s - self.each_s
        return int(left * 1000)


def test_what_there_is_no_time_for_goes_back_unclaimed(on_stage: Stage) -> None:
    plays = rollbacks(on_stage, 4)
    on_stage.wire.listening = True

    ending: Any = Ending(15)
    answer = app.lambda_handler(batch(*requests(plays)), ending)

    on_stage.wire.listening = False
    back = [one["itemIdentifier"] for one in answer["batchItemFailures"]]
    assert NEEDED_S == 20
    assert back == ["m2", "m3"]
    assert [play.look() for play in plays] == ["2", "2", "3", "3"]
    assert [on_stage.record_of(play) is None for play in plays] == [False, False, True, True]
    (shown,) = [body for name, body in on_stage.wire.reached if name == "sqs.change_message_visibility_batch"]
    assert [entry["ReceiptHandle"] for entry in json.loads(shown)["Entries"]] == ["r2", "r3"]
    assert deliver(on_stage, *requests(plays[2:])) == []
    assert [play.look() for play in plays] == ["2"] * 4


def test_the_first_of_a_batch_is_always_begun(on_stage: Stage) -> None:
    """An invocation that has too little time from the start would send everything back for ever."""
    plays = rollbacks(on_stage, 2)
    on_stage.wire.listening = True

    late: Any = FakeLambdaContext(remaining_ms=15_000)
    answer = app.lambda_handler(batch(*requests(plays)), late)

    on_stage.wire.listening = False
    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["m1"]
    assert plays[0].look() == "2"


@pytest.mark.parametrize("call", ["lambda.get_alias", "lambda.list_v", "lambda.update", "cloudwatch.", "resourceg"])
def test_what_aws_throttles_for_long_goes_back_and_is_done_later(on_stage: Stage, call: str) -> None:
    plays = rollbacks(on_stage, 2)
    on_stage.wire.again(names=(call,), error=throttled)

    assert deliver(on_stage, *requests(plays)) == ["m0", "m1"]

    assert outcomes(on_stage) == []
    assert [play.look() for play in plays] == ["3", "3"]
    on_stage.wire.again()
    assert deliver(on_stage, *requests(plays)) == []
    assert outcomes(on_stage) == [("acted", "")] * 2
    assert on_stage.wire.sent("lambda.update_alias") == 2
    assert [play.look() for play in plays] == ["2", "2"]


def test_what_aws_throttles_for_a_moment_is_done_at_once(on_stage: Stage) -> None:
    plays = rollbacks(on_stage, 2)
    errors = [throttled, throttled, throttled]

    def three_times() -> BaseException:
        error = errors.pop()
        if not errors:
            on_stage.wire.names = ()
        return error()

    on_stage.wire.again(names=("lambda.update",), error=three_times)

    assert deliver(on_stage, *requests(plays)) == []
    assert outcomes(on_stage) == [("acted", "")] * 2


def test_a_failure_of_aws_is_no_throttling(on_stage: Stage) -> None:
    """It is an answer, as it is for a request that came alone: held, and asked again by the clock."""
    (play,) = rollbacks(on_stage, 1)
    on_stage.wire.again(names=("lambda.get_alias",), error=failed)

    assert deliver(on_stage, play.request) == []
    assert outcomes(on_stage) == [("refused", "target_unreadable")]


def test_messages_that_cannot_be_shown_again_come_back_later(on_stage: Stage) -> None:
    (play,) = rollbacks(on_stage, 1)
    on_stage.wire.again(names=("lambda.", "sqs."), error=throttled)

    assert deliver(on_stage, play.request) == ["m0"]


@pytest.mark.parametrize(("together", "captured"), [(3, 3), (4, 0)])
def test_a_storm_is_not_held_up_for_evidence(on_stage: Stage, together: int, captured: int) -> None:
    plays = rollbacks(on_stage, together)

    deliver(on_stage, *requests(plays))

    assert len(calls(on_stage, CAPTURE)) == captured
    found = [event["detail"] for event in on_stage.wire.events() if event["detail-type"] == "Action Outcome"]
    assert ["waited in line" in one["evidence"].get("not_captured", "") for one in found] == [not captured] * together
