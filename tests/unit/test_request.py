"""Whatever comes in: a request or a named refusal, never another exception."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal.catalogue import ACTIONS
from selfheal.errors import Refused
from selfheal.refusal import Refusal
from selfheal.request import _KNOWN, MAX_ID_LENGTH, MAX_OPTIONS_BYTES, Request, read_request
from selfheal.target import KINDS
from selfheal.words import Mode, Origin, ResponseMode

NAMES = tuple(ACTIONS)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
"""Any JSON; surrogates included, since JSON can carry them."""
name = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="*?"), min_size=1, max_size=40)
times = st.datetimes(timezones=st.sampled_from([UTC, None])).map(datetime.isoformat)
plausible: dict[str, st.SearchStrategy[Any]] = {
    "action": st.sampled_from(NAMES),
    "action_id": name,
    "target": st.fixed_dictionaries(
        {}, optional={field: name | json_values for kind in KINDS.values() for field in kind.required}
    ),
    "mode": st.sampled_from(Mode),
    "origin": st.sampled_from(Origin),
    "response_mode": st.sampled_from(ResponseMode),
    "not_after": times | st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-W01-1"]),
    "cooldown_s": st.integers(),
    "alarms": st.lists(st.fixed_dictionaries({"name": name, "arn": name, "state_at": name | json_values}), max_size=2),
    "options": st.dictionaries(
        st.sampled_from(["limit", "sample", "payload", "only", "minutes"]), json_values, max_size=3
    ),
}
events = st.fixed_dictionaries({}, optional={known: plausible.get(known, st.text()) | json_values for known in _KNOWN})


@given(event=json_values | events, names=st.sampled_from([(one,) for one in NAMES] + [NAMES]))
def test_any_event_is_a_request_or_refused(event: Any, names: tuple[str, ...]) -> None:
    try:
        request = read_request(event, names, "default-id")
    except Refused:
        return
    check_usable(request)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Well-formed ones, with any of the optional fields."""
    entry = ACTIONS[draw(st.sampled_from(NAMES))]
    kind = KINDS[draw(st.sampled_from(entry.kinds))]
    by_type = {
        int: st.integers(0, 1000),
        str: st.text(max_size=20),
        dict: st.just({"a": [1, None]}),
        list: st.just(["a"]),
        bool: st.booleans(),
    }
    options = {key: by_type[option.type] for key, option in entry.options.items()}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "reason": st.text(max_size=50),
        "mode": st.sampled_from(Mode),
        "origin": st.sampled_from(Origin),
        "not_after": times,
        "incident": name,
        "system": name,
        "alarms": st.lists(st.fixed_dictionaries({"name": name, "arn": name, "state_at": st.just("1769852100000")})),
        "response_mode": st.sampled_from(ResponseMode),
        "cooldown_s": st.integers(0, 10**9),
        "requested_by": st.text(max_size=20),
        "options": st.fixed_dictionaries({}, optional=options),
        "undo_of": name,
        "hops": st.integers(0, 8),
    }
    given_ = draw(st.fixed_dictionaries({}, optional=optional))
    plain = name.filter(lambda text: not set(text) & set(kind.not_in_names))
    target = {field: draw(plain) for field in kind.required}
    return {"action": entry.name, "action_id": draw(name), "target": target, **given_}


@given(event=requests())
def test_a_well_formed_request_survives_the_way_over_the_wire(event: dict[str, Any]) -> None:
    request = read_request(event, NAMES, "default-id")

    again = read_request(json.loads(json.dumps(request.as_event())), NAMES, "other-id")

    assert again == request
    check_usable(request)


def check_usable(request: Request) -> None:
    """Its keys fit into the ledger, and the guards can work with it."""
    text = json.dumps(request.as_event())
    assert len(text) < 400_000
    for key in (f"CHANGE{request.target.key}#{request.action_id}", request.incident or "", request.undo_of or ""):
        assert len(key.encode()) <= 1024
    assert request.not_after is None or request.not_after.tzinfo is UTC
    assert all(float(alarm.state_at or 0) >= 0 for alarm in request.alarms)


def refusal(event: Any) -> Refusal:
    with pytest.raises(Refused) as error:
        read_request(event, NAMES, "default-id")
    return error.value.refusal


FLAG: dict[str, Any] = {"action": "halt_trading", "target": {"parameter": "/a/b"}}


def test_the_defaults() -> None:
    request = read_request({"target": {"parameter": "/a/b"}}, ("halt_trading", "resume_trading"), "default-id")

    assert request == Request("halt_trading", "default-id", request.target)
    assert (request.mode, request.origin) == (Mode.PLAN, Origin.HAND)
    assert request.target.key == "parameter:/a/b"


def test_null_means_not_given() -> None:
    nothing = {key: None for key in _KNOWN if key not in FLAG}

    assert read_request({**FLAG, **nothing}, NAMES, "default-id") == read_request(FLAG, NAMES, "default-id")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"action": "reboot"}, Refusal.UNKNOWN_ACTION),
        ({"action": ["halt_trading"]}, Refusal.UNKNOWN_ACTION),
        ({"force": True}, Refusal.NOT_A_REQUEST),
        ({"mode": "do it"}, Refusal.NOT_A_REQUEST),
        ({"mode": {}}, Refusal.NOT_A_REQUEST),
        ({"cooldown_s": -1}, Refusal.NOT_A_REQUEST),
        ({"cooldown_s": True}, Refusal.NOT_A_REQUEST),
        ({"hops": "1"}, Refusal.NOT_A_REQUEST),
        ({"not_after": "tomorrow"}, Refusal.NOT_A_REQUEST),
        ({"not_after": 5}, Refusal.NOT_A_REQUEST),
        ({"not_after": "0001-01-01T00:00:00+23:59"}, Refusal.NOT_A_REQUEST),
        ({"action_id": "x" * (MAX_ID_LENGTH + 1)}, Refusal.NOT_A_REQUEST),
        ({"action_id": "two\nlines"}, Refusal.NOT_A_REQUEST),
        ({"incident": "\ud800"}, Refusal.NOT_A_REQUEST),
        ({"alarms": "red"}, Refusal.NOT_A_REQUEST),
        ({"alarms": [{"name": "red"}]}, Refusal.NOT_A_REQUEST),
        ({"alarms": [{"name": "red", "arn": "a", "state_at": "yesterday"}]}, Refusal.NOT_A_REQUEST),
        ({"alarms": [{"name": "red", "arn": "a", "state_at": 5}]}, Refusal.NOT_A_REQUEST),
        ({"options": []}, Refusal.BAD_OPTIONS),
        ({"options": {"force": 1}}, Refusal.BAD_OPTIONS),
        ({"target": None}, Refusal.BAD_TARGET),
        ({"target": {}}, Refusal.BAD_TARGET),
        ({"target": {"parameter": "/a/*"}}, Refusal.BAD_TARGET),
        ({"target": {"parameter": "\ud800"}}, Refusal.BAD_TARGET),
        ({"target": {"parameter": "/a", "schedule": "b"}}, Refusal.BAD_TARGET),
    ],
)
def test_what_is_wrong_has_a_name(change: dict[str, Any], reason: Refusal) -> None:
    assert refusal({**FLAG, **change}) is reason


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({}, True),
        ({"limit": 0}, True),
        ({"limit": -1}, False),
        ({"limit": True}, False),
        ({"limit": "5"}, False),
        ({"limit": None}, False),
    ],
)
def test_options_have_types(options: dict[str, Any], allowed: bool) -> None:
    event = {"action": "redrive_dlq", "target": {"queue": "dead"}, "options": options}

    if allowed:
        defaults = {"limit": 0, "canary": 1, "per_second": 100, "archive": True}
        assert read_request(event, NAMES, "id").options == defaults
    else:
        assert refusal(event) is Refusal.BAD_OPTIONS


def test_options_fit_into_the_ledger() -> None:
    large = {"payload": {"text": "x" * MAX_OPTIONS_BYTES}}

    assert refusal({"action": "smoke_test", "target": {"function": "f", "alias": "a"}, "options": large}) is (
        Refusal.BAD_OPTIONS
    )
