"""Anything at all, through the real handlers: an answer that is JSON, with a named reason, and never an exception.

The shapes of alarms and requests are taken from the event files and spoiled: a value replaced or removed, a field
added, text that is a wildcard, another account's ARN, a megabyte, half a surrogate pair, a NUL, nesting without an end.
"""

from __future__ import annotations

import copy
import importlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from selfheal import runbook
from selfheal.catalogue import ACTIONS, functions
from selfheal.clients import client
from selfheal.refusal import Refusal
from selfheal.words import Outcome

from tests.unit.aws import ROOT, event
from tests.unit.conftest import FakeLambdaContext
from tests.unit.responding import response, runbooks, step
from tests.unit.stage import Stage, stage

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

SEED = 20_261_120
"""The same examples each time: what is found must be found again."""
REQUESTS_EACH = 40
ALARMS_EACH = 10
DECISIONS = {"opened", "joined", "duplicate", "refused", "nothing_open", "advanced", "not_a_step", "by_hand"}


BEYOND_MOTO = {"preserve_evidence", "throttle_api"}
"""Functions whose service moto does not have: the stage answers for it."""


def deep(levels: int) -> Any:
    """Lists in lists."""
    nested: Any = []
    for _ in range(levels):
        nested = [nested]
    return nested


HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, 10**400, -0.0, 1e308, float("nan"), float("inf"), "", " ", "*", "?", "../",
    "a" * 1_000_000, "ü" * 300, "\ud800", "a\udfffb", "\x00", "a\x00b", "\u202eevil", "\r\nSet-Cookie: x", "${jndi:x}",
    "{alarm.FunctionName}", "%s%n", "'; DROP TABLE", "arn:aws:lambda:us-east-1:999999999999:function:theirs",
    "arn:aws:cloudwatch:eu-central-1:999999999999:alarm:theirs", "arn:::::::", "https://169.254.169.254/latest",
    [], {}, [None], [[]], {"": ""}, {"a": {"b": {}}}, deep(200), ["x"] * 10_000, {f"k{n}": n for n in range(2_000)},
    "act", "resume", "undo", "false", "2026-13-45T99:99:99", "0001-01-01T00:00:00-23:59", "9999-12-31T23:59:59+00:00",
)  # fmt: skip


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a document."""
    yield path
    if isinstance(document, Mapping):
        for name, value in document.items():
            yield from places(value, (*path, name))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from places(value, (*path, index))


def spoiled(document: Any, chance: random.Random) -> Any:
    """The document with one to three values replaced, removed or added."""
    document = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 2, 3))):
        path = chance.choice(list(places(document)))
        bad = copy.deepcopy(chance.choice(HOSTILE))
        if not path:
            if chance.random() < 0.1:
                return bad
            continue
        inside = document
        for name in path[:-1]:
            inside = inside[name]
        if chance.random() < 0.15 and isinstance(inside, dict):
            del inside[path[-1]]
        elif chance.random() < 0.15 and isinstance(inside, dict):
            inside[chance.choice(("extra", "", "\x00", "wanted", "*", "action"))] = bad
        else:
            inside[path[-1]] = bad
    return document


def inner(document: Any, chance: random.Random) -> Any:
    """An SNS record with its message, which is JSON in a text, spoiled instead."""
    document = copy.deepcopy(document)
    for record in document["Records"] if isinstance(document, dict) and "Records" in document else ():
        try:
            message = json.loads(record["Sns"]["Message"])
        except (ValueError, KeyError, TypeError):
            continue
        record["Sns"]["Message"] = json.dumps(spoiled(message, chance))
    return document


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    trading = {"parameter": "/demo/trading_enabled"}
    rung = step("roll_back_alias", {"function": "{alarm.FunctionName}", "alias": "live"})
    known = runbooks(response(alarms=("*",), contain=(step("halt_trading", trading), rung), remediate=(rung,)))
    with stage(monkeypatch, tmp_path) as made:
        monkeypatch.setattr(runbook, "load", lambda path=None: known)
        client("ssm").put_parameter(Name=trading["parameter"], Value="true", Type="String")
        yield made


HOME = FakeLambdaContext(invoked_function_arn="arn:aws:lambda:us-east-1:111111111111:function:selfheal-test")


def answer(folder: str, given: Any) -> dict[str, Any]:
    """What the function answers; it must be JSON, as Lambda makes of it."""
    app = importlib.import_module(f"functions.{folder}.app")
    found: dict[str, Any] = app.lambda_handler(given, HOME)
    json.dumps(found).encode()
    return found


def shown(given: Any) -> str:
    return repr(given)[:600]


@pytest.mark.parametrize("folder", functions())
def test_no_request_makes_a_function_fail(on_stage: Stage, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on_stage.wire.listening = folder in BEYOND_MOTO
    chance, seen = random.Random(f"{SEED}{folder}"), set()  # noqa: S311 - examples, no secrets
    base = {**event(folder), "mode": "act", "requested_by": "ann", "origin": "hand", "system": "shop"}
    base |= {"alarms": [{"name": "a", "arn": "arn:aws:cloudwatch:us-east-1:111111111111:alarm:a", "state_at": "1"}]}
    base |= {"not_after": "2027-01-31T09:35:00+00:00", "cooldown_s": 1, "hops": 0, "incident": "shop-1a-1"}
    whole = [copy.deepcopy(one) for one in HOSTILE]
    for number in range(REQUESTS_EACH):
        given = whole[number % len(whole)] if number % 4 == 0 else spoiled(base, chance)
        if chance.random() < 0.1:
            given = {"Records": [{"eventSource": "aws:sqs", "messageId": f"m{number}", "body": json.dumps(given)}]}
            assert answer(folder, given) == {"batchItemFailures": []}, shown(given)
            continue
        result = answer(folder, given)
        assert result["outcome"] in set(Outcome), shown(given)
        if result["outcome"] == "refused":
            assert result["reason"] in set(Refusal), shown(given)
        seen.add(result["reason"] or result["outcome"])
    assert {"not_a_request", "bad_target"} <= seen, seen


@pytest.mark.parametrize("name", ["system", "incident", "action_id", "undo_of"])
@pytest.mark.parametrize("value", ["a" * 300, "\ud800", "\x00", "caf\u00e9", "a\nb"])
def test_what_becomes_a_key_of_the_ledger_fits_into_one(on_stage: Stage, name: str, value: str) -> None:
    result = answer("switch_trading", {**event("switch_trading"), name: value})
    assert (result["outcome"], result["reason"]) == ("refused", "not_a_request")


BODIES: Mapping[str, Callable[[], str]] = {
    "no JSON": lambda: "{",
    "deep": lambda: "[" * 200_000,
    "a megabyte": lambda: json.dumps({"action": "x" * 1_000_000}),
    "half a pair": lambda: '{"action": "\\ud800"}',
    "a number of 5000 digits": lambda: '{"hops": ' + "9" * 5_000 + "}",
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_in_the_paced_queue_that_is_none_is_refused_and_not_repeated(on_stage: Stage, kind: str) -> None:
    record = {"eventSource": "aws:sqs", "messageId": f"message-{len(kind)}", "body": BODIES[kind]()}
    assert answer("roll_back_alias", {"Records": [record]}) == {"batchItemFailures": []}
    days = [item["pk"]["S"] for item in client("dynamodb").scan(TableName="ledger")["Items"]]
    assert any(day.startswith("RECORD#") for day in days)


ALARM_FILES = sorted(path.stem for path in (ROOT / "events" / "alarms").glob("*.json"))


def test_no_alarm_makes_respond_fail(on_stage: Stage) -> None:
    chance, decided, count = random.Random(SEED), set(), 0  # noqa: S311 - examples, no secrets
    for name in ALARM_FILES:
        base = json.loads((ROOT / "events" / "alarms" / f"{name}.json").read_text())
        for _ in range(ALARMS_EACH):
            spoil = inner if chance.random() < 0.5 else spoiled
            given = spoil(base, chance)
            for decision in answer("respond", given)["decisions"]:
                assert decision["decision"] in DECISIONS, shown(given)
                if decision["decision"] == "refused":
                    assert decision["reason"] in set(Refusal), shown(given)
                decided.add(decision["decision"])
                count += 1
    assert {"opened", "refused", "nothing_open"} <= decided
    assert count > 250


def test_no_outcome_makes_respond_fail(on_stage: Stage) -> None:
    chance = random.Random(SEED)  # noqa: S311 - examples, no secrets
    detail: dict[str, Any] = {
        "action": "halt_trading",
        "action_id": "shop-1a-1.0.1",
        "outcome": "acted",
        "reason": "",
        "detail": "",
    }
    detail |= {"incident": "shop-1a-1", "hops": 0, "until": None}
    base = {"source": "selfheal", "detail-type": "Action Outcome", "detail": detail}
    for _ in range(150):
        given = spoiled(base, chance)
        if isinstance(given, dict) and given.get("clock") == "tick":
            continue
        for decision in answer("respond", given)["decisions"]:
            assert decision["decision"] in DECISIONS, shown(given)


def test_every_action_was_asked() -> None:
    assert {entry.function for entry in ACTIONS.values()} == set(functions())
