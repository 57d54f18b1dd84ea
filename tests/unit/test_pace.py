"""The pace of Lambda's control plane: a burst, then so many a second, whoever counts them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from selfheal import clients, pace
from selfheal.clients import client
from selfheal.errors import Misconfigured
from selfheal.pace import BURST, Bucket

from tests.unit.doubles import Clock


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    pace.bucket.cache_clear()
    clients.forget()


@given(pauses=st.lists(st.floats(0, 3), max_size=60), rate=st.sampled_from([0.5, 7.0, 14.0]))
def test_within_no_span_more_than_the_burst_and_the_rate(pauses: list[float], rate: float) -> None:
    clock, sent = Clock(at=0.0), []
    bucket = Bucket(rate, now=clock.now, sleep=clock.advance)
    for pause in pauses:
        clock.advance(pause)
        bucket.take()
        sent.append(clock.at)

    for first, start in enumerate(sent):
        for last in range(first, len(sent)):
            assert last - first + 1 <= BURST + rate * (sent[last] - start) + 1e-6


def test_a_single_rollback_waits_for_nothing() -> None:
    clock = Clock(at=0.0)
    bucket = Bucket(7, now=clock.now, sleep=clock.advance)
    for _ in range(BURST):
        bucket.take()

    assert clock.at == 0.0


class Waits(list[str]):
    """The bucket that counts."""

    def take(self) -> None:
        self.append("call")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    made = Waits()
    monkeypatch.setattr(pace, "bucket", lambda: made)
    monkeypatch.setattr(pace.bucket, "cache_clear", lambda: None, raising=False)
    return made


def test_every_call_but_invoke_waits_for_its_turn(waits: Waits) -> None:
    clients.forget()
    with mock_aws():
        aws: Any = client("lambda")
        aws.list_functions()
        for call in (aws.get_alias, aws.get_function_configuration):
            with pytest.raises(aws.exceptions.ResourceNotFoundException):
                call(FunctionName="f", **({"Name": "live"} if call == aws.get_alias else {}))
        with pytest.raises(aws.exceptions.ResourceNotFoundException):
            aws.invoke(FunctionName="f")
        client("sqs").list_queues()

    assert waits == ["call"] * 3


def test_without_a_number_nothing_is_paced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAMBDA_CALLS_PER_SECOND", raising=False)
    pace.bucket.cache_clear()
    assert pace.bucket() is None


def test_a_wrong_number_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMBDA_CALLS_PER_SECOND", "many")
    pace.bucket.cache_clear()
    with pytest.raises(Misconfigured, match="LAMBDA_CALLS_PER_SECOND"):
        pace.bucket()
