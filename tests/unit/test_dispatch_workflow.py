"""workflow_dispatch: sent once whatever happens, to a server on this machine that answers as GitHub does, or worse."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pytest_socket import enable_socket, socket_allow_hosts
from selfheal import github
from selfheal.action import Change, Decline, Verification
from selfheal.clients import client
from selfheal.errors import (
    Misconfigured,
    NotApplied,
    Refused,
    SelfhealError,
    TargetForbidden,
    TargetNotFound,
    Unreadable,
)
from selfheal.refusal import Refusal
from selfheal.request import Request, read_request
from selfheal.words import Direction, Mode, Verdict

from functions.dispatch_workflow.app import DispatchWorkflow
from tests.unit.aws import ask, event, recorded
from tests.unit.plays import dispatch_workflow as play_of
from tests.unit.stage import Stage, stage
from tests.unit.test_hostile_input import deep

TOKEN = "ghp_" + "secret0" * 5
TARGET = {"repository": "shop/web", "workflow": "rollback.yml", "token": "shop/github"}
OPTIONS = {"ref": "v1.4.2", "inputs": {"environment": "dev", "selfheal_id": "{action_id}"}}
WORKFLOW = "/repos/shop/web/actions/workflows/rollback.yml"
ACTIVE = {"id": 7, "name": "Roll back", "state": "active"}
RUN: Mapping[str, Any] = {
    "id": 41,
    "name": "Roll back",
    "display_title": "Roll back (test-1)",
    "status": "waiting",
    "html_url": "https://github.example.com/shop/web/actions/runs/41",
}
pytestmark = pytest.mark.usefixtures("aws")


@dataclass
class Hub:
    """GitHub on 127.0.0.1. `script`: "METHOD path" → status and body, or what is to be done with the connection."""

    port: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    script: dict[str, Any] = field(default_factory=dict)

    @property
    def posts(self) -> list[dict[str, Any]]:
        """What was sent to be dispatched."""
        return [one["body"] for one in self.seen if one["method"] == "POST"]


def handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = urlsplit(self.path)
            hub.seen.append(
                {
                    "method": self.command,
                    "path": path.path,
                    "query": parse_qs(path.query),
                    "headers": dict(self.headers),
                    "body": json.loads(body) if body else None,
                }
            )
            told = hub.script.get(f"{self.command} {path.path}", (404, {"message": "Not Found"}))
            if isinstance(told, list):
                told = told.pop(0)
            if callable(told):
                told(self)
                return
            status, document, *headers = told
            raw = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in headers[0].items() if headers else ():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def hang_up(server: BaseHTTPRequestHandler) -> None:
    """No answer at all: the connection ends."""
    server.close_connection = True


def keep_waiting(server: BaseHTTPRequestHandler) -> None:
    """Longer than anybody waits."""
    time.sleep(1.0)
    server.close_connection = True


def never_end(server: BaseHTTPRequestHandler) -> None:
    """An answer, one byte at a time."""
    server.send_response(200)
    server.send_header("Content-Length", "1000000")
    server.end_headers()
    for _ in range(20):
        server.wfile.write(b" ")
        server.wfile.flush()
        time.sleep(0.05)
    server.close_connection = True


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    enable_socket()
    socket_allow_hosts(["127.0.0.1"])
    made = Hub(script={f"GET {WORKFLOW}": (200, ACTIVE)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(made))
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("GITHUB_API", f"http://127.0.0.1:{made.port}")
    client("secretsmanager").create_secret(Name="shop/github", SecretString=TOKEN)
    yield made
    server.shutdown()
    thread.join()
    server.server_close()
    socket_allow_hosts(None)


def request(**options: Any) -> Request:
    return ask("dispatch_workflow", TARGET, options={**OPTIONS, **options})


def planned(of: Request | None = None) -> Change:
    action, asked = DispatchWorkflow(), of or request()
    decision = action.decide(action.observe(asked), asked)
    assert isinstance(decision, Change)
    return recorded(decision)


def dispatched(hub: Hub, *answers: Any, of: Request | None = None) -> tuple[DispatchWorkflow, Change]:
    """Plan and send; GitHub answers the POST like this."""
    asked = of or request()
    change, action = planned(asked), DispatchWorkflow()
    hub.script[f"POST {WORKFLOW}/dispatches"] = list(answers)
    action.apply(asked, change)
    return action, change


def runs(*found: Any) -> tuple[int, Any]:
    return 200, {"total_count": len(found), "workflow_runs": list(found)}


def text_of(verification: Verification) -> str:
    return json.dumps([verification.detail, verification.evidence])


# -- what is planned --------------------------------------------------------------------------------------------------


def test_it_is_risky_and_neither_undone_nor_repeated(hub: Hub) -> None:
    change = planned()

    assert change.direction is Direction.RISKY
    assert (DispatchWorkflow.reversible, DispatchWorkflow.repeatable) == (False, False)
    assert "rollback.yml of shop/web at v1.4.2" in change.summary
    assert change.plan["inputs"] == {"environment": "dev", "selfheal_id": "test-1"}


def test_github_is_asked_with_the_token_and_the_version(hub: Hub) -> None:
    planned()
    (asked,) = hub.seen

    assert asked["headers"]["Authorization"] == f"Bearer {TOKEN}"
    assert asked["headers"]["X-GitHub-Api-Version"] == "2022-11-28"


@pytest.mark.parametrize("state", ["disabled_manually", "disabled_inactivity", "deleted", None])
def test_a_workflow_that_is_not_active_is_refused(hub: Hub, state: str | None) -> None:
    hub.script[f"GET {WORKFLOW}"] = (200, {"name": "Roll back", "state": state} if state else [])
    action, asked = DispatchWorkflow(), request()
    decision = action.decide(action.observe(asked), asked)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.WORKFLOW_DISABLED


@pytest.mark.parametrize("ref", ["a" * 40, "0123456789abcdef" * 4, "584bff4", "ABC1234", "584bff46cff51df9"])
def test_a_commit_is_refused_before_anybody_is_asked(hub: Hub, ref: str) -> None:
    with pytest.raises(Refused) as told:
        DispatchWorkflow().observe(request(ref=ref))

    assert (told.value.refusal, hub.seen) == (Refusal.REF_IS_A_COMMIT, [])
    assert "tag it" in told.value.detail


@pytest.mark.parametrize("ref", ["main", "release/2026-01", "v1.4.2", "20260131", "defaced", "refs/tags/v1"])
def test_branches_and_tags_are_taken(hub: Hub, ref: str) -> None:
    assert planned(request(ref=ref)).plan["ref"] == ref


@pytest.mark.parametrize("ref", [None, "", "a b", "a\nb", "x" * 256, "a..b?", "\x7f", "a\u202eb"])
def test_what_can_be_no_ref_is_refused(hub: Hub, ref: Any) -> None:
    with pytest.raises(Refused):
        DispatchWorkflow().observe(request(ref=ref))


@pytest.mark.parametrize(
    "inputs", [{"n": 1}, {"n": None}, {"n": {}}, {f"k{n}": "" for n in range(26)}, {"a": "x" * 65_536}]
)
def test_inputs_are_few_texts(hub: Hub, inputs: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        DispatchWorkflow().observe(request(inputs=inputs))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repository", "web"),
        ("repository", "../web"),
        ("repository", "shop/.."),
        ("repository", "a/b/c"),
        ("workflow", "rollback"),
        ("workflow", "../x.yml"),
        ("workflow", "a.yml/../../x.yml"),
        ("workflow", "a%2f.yml"),
    ],
)
def test_a_target_cannot_lead_to_another_path(hub: Hub, name: str, value: str) -> None:
    with pytest.raises(Refused):
        DispatchWorkflow().observe(ask("dispatch_workflow", {**TARGET, name: value}, options=OPTIONS))
    assert hub.seen == []


# -- the token --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [f"{TOKEN}\n", json.dumps({"token": TOKEN}), json.dumps({"GITHUB_TOKEN": TOKEN, "other": 1})]
)
def test_a_secret_holds_the_token_as_text_or_as_json(hub: Hub, text: str) -> None:
    client("secretsmanager").put_secret_value(SecretId="shop/github", SecretString=text)
    planned()

    assert hub.seen[0]["headers"]["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("text", ["short", "two words of a token", f"{TOKEN}\r\nX-Evil: 1", '{"other": 1}', "{}"])
def test_what_is_no_token_is_not_sent_and_not_quoted(hub: Hub, text: str) -> None:
    client("secretsmanager").put_secret_value(SecretId="shop/github", SecretString=text)

    with pytest.raises(NotApplied) as told:
        DispatchWorkflow().observe(request())
    assert hub.seen == []
    assert text not in str(told.value)
    assert TOKEN not in str(told.value)


def test_a_missing_secret_is_a_missing_target() -> None:
    with pytest.raises(TargetNotFound):
        DispatchWorkflow().observe(request())


@pytest.mark.parametrize(
    "address",
    [
        "http://api.github.com",
        "ftp://x",
        "api.github.com",
        "https://",
        "https://u@h",
        "https://h?x",
        "http://127.0.0.2",
    ],
)
def test_a_token_goes_nowhere_in_the_clear(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("GITHUB_API", address)

    with pytest.raises(Misconfigured):
        github.base()


# -- the dispatch -----------------------------------------------------------------------------------------------------


def test_a_new_github_names_the_run(hub: Hub) -> None:
    hub.script["GET /repos/shop/web/actions/runs/41"] = (200, RUN)
    action, change = dispatched(hub, (200, {"workflow_run_id": 41, "html_url": RUN["html_url"]}))
    seen = action.verify(request(), change)

    assert hub.posts == [{"ref": "v1.4.2", "inputs": change.plan["inputs"], "return_run_details": True}]
    assert seen.verdict is Verdict.HOLDS
    assert (seen.evidence["run"], seen.evidence["url"]) == (41, RUN["html_url"])
    assert "run 41 is waiting; dispatched is not deployed" in seen.detail


@pytest.mark.parametrize("status", [400, 422])
def test_an_old_github_is_asked_without_the_wish_for_details(hub: Hub, status: int) -> None:
    hub.script[f"GET {WORKFLOW}/runs"] = runs(RUN)
    action, change = dispatched(hub, (status, {"message": '"return_run_details" is not permitted'}), (204, b""))

    assert [sorted(body) for body in hub.posts] == [["inputs", "ref", "return_run_details"], ["inputs", "ref"]]
    assert action.verify(request(), change).evidence["run"] == 41


def test_accepted_and_not_to_be_found_yet_still_holds(hub: Hub) -> None:
    hub.script[f"GET {WORKFLOW}/runs"] = runs()
    action, change = dispatched(hub, (204, b""))
    seen = action.verify(request(), change)

    assert (seen.verdict, seen.evidence["run"]) == (Verdict.HOLDS, None)
    assert "dispatched is not deployed" in seen.detail


def test_accepted_holds_also_if_github_then_fails(hub: Hub) -> None:
    hub.script["GET /repos/shop/web/actions/runs/41"] = (502, b"<html>")
    action, change = dispatched(hub, (200, {"workflow_run_id": 41, "html_url": RUN["html_url"]}))
    seen = action.verify(request(), change)

    assert (seen.verdict, seen.evidence["url"]) == (Verdict.HOLDS, RUN["html_url"])


@pytest.mark.parametrize(
    ("answer", "raised", "said"),
    [
        ((422, {"message": "No ref found for: v1.4.2"}), NotApplied, "No ref found for: v1.4.2"),
        ((401, {"message": "Bad credentials"}), TargetForbidden, "renew it"),
        ((403, {"message": "Resource not accessible"}), TargetForbidden, "Actions: write"),
        ((403, {"message": "rate"}, {"X-RateLimit-Remaining": "0"}), NotApplied, "rate limit"),
        ((429, {"message": "slow"}), NotApplied, "rate limit"),
        ((404, {"message": "Not Found"}), TargetNotFound, "may not see the repository"),
        ((307, {}, {"Location": "http://127.0.0.1:1/elsewhere"}), NotApplied, "redirect"),
        ((301, {}, {"Location": "https://evil.example.com/"}), NotApplied, "redirect"),
        ((418, b"no json"), NotApplied, "418"),
        ((500, {"message": "Server Error"}), Unreadable, "500"),
        ((503, b"<html>"), Unreadable, "503"),
        (hang_up, Unreadable, "no answer"),
    ],
)
def test_what_github_answers_is_told_apart_and_sent_once(
    hub: Hub, answer: Any, raised: type[SelfhealError], said: str
) -> None:
    with pytest.raises(raised, match=said):
        dispatched(hub, answer)

    assert len(hub.posts) == 1


@pytest.mark.parametrize("behaviour", [keep_waiting, never_end])
def test_an_answer_that_does_not_come_is_unclear(
    hub: Hub, behaviour: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    change = planned()
    monkeypatch.setattr(github, "READ_S", 0.2)
    hub.script[f"POST {WORKFLOW}/dispatches"] = behaviour

    with pytest.raises(Unreadable):
        DispatchWorkflow().apply(request(), change)
    assert len(hub.posts) == 1


def test_a_github_that_is_not_reached_has_done_nothing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    change = planned()
    monkeypatch.setenv("GITHUB_API", "http://127.0.0.1:1")

    with pytest.raises(NotApplied, match="not reached"):
        DispatchWorkflow().apply(request(), change)


def test_the_token_is_in_no_message_whatever_github_says(hub: Hub) -> None:
    with pytest.raises(NotApplied) as told:
        dispatched(hub, (422, {"message": f"bad token {TOKEN}\r\nnext line " + "x" * 5000}))

    assert TOKEN not in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 600


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[1]",
        b"{",
        b'"text"',
        b'{"workflow_run_id": ' + b"9" * 5_000 + b"}",
        b'{"workflow_run_id": -1, "html_url": 7}',
        b'{"workflow_run_id": true}',
        b'{"workflow_run_id": "41; rm"}',
        json.dumps({"workflow_run_id": {}, "html_url": "javascript:alert(1)"}).encode(),
        b"[" * 200_000,
        b"\xff\xfe",
    ],
)
def test_hostile_details_are_accepted_unknown(hub: Hub, body: bytes) -> None:
    hub.script[f"GET {WORKFLOW}/runs"] = (200, body)
    action, change = dispatched(hub, (200, body))
    seen = action.verify(request(), change)

    assert (seen.verdict, seen.evidence) == (Verdict.HOLDS, {"run": None})


@pytest.mark.parametrize(
    "run",
    [
        None,
        7,
        deep(50),
        {"display_title": "Roll back (test-1)"},
        {**RUN, "id": "41"},
        {**RUN, "id": True},
        {**RUN, "display_title": ["test-1"], "name": {}},
    ],
)
def test_hostile_runs_are_none(hub: Hub, run: Any) -> None:
    hub.script[f"GET {WORKFLOW}/runs"] = runs(run)

    assert DispatchWorkflow().verify(request(), planned()).verdict is Verdict.UNKNOWN


def test_of_a_run_only_what_is_of_the_right_type_is_kept(hub: Hub) -> None:
    spoiled = {
        **RUN,
        "status": "q\r\n" + "x" * 9_999,
        "conclusion": {"a": 1},
        "html_url": "javascript:x",
        "extra": TOKEN,
    }
    hub.script[f"GET {WORKFLOW}/runs"] = runs(spoiled)
    seen = DispatchWorkflow().verify(request(), planned())

    assert sorted(seen.evidence) == ["run", "status"]
    assert TOKEN not in text_of(seen)
    assert "\n" not in seen.detail


# -- a run that died, or got no answer --------------------------------------------------------------------------------


def test_a_dispatch_without_an_answer_is_found_by_its_id(hub: Hub) -> None:
    """5xx after the effect: GitHub has started it all the same."""
    change, action = planned(), DispatchWorkflow()
    hub.script[f"POST {WORKFLOW}/dispatches"] = (502, b"")
    with pytest.raises(Unreadable):
        action.apply(request(), change)
    hub.script[f"GET {WORKFLOW}/runs"] = runs({**RUN, "display_title": "Roll back (test-10)", "id": 1}, RUN)
    seen = action.verify(request(), change)

    assert (seen.verdict, seen.evidence["run"]) == (Verdict.HOLDS, 41)
    query = hub.seen[-1]["query"]
    assert query["event"] == ["workflow_dispatch"]
    assert query["created"][0].startswith(">=20")


@pytest.mark.parametrize("title", ["test-10", "a-test-1", "test-1.1", "test-12 (x)", "latest-1"])
def test_a_longer_id_is_another_run(hub: Hub, title: str) -> None:
    hub.script[f"GET {WORKFLOW}/runs"] = runs({**RUN, "display_title": title})

    assert DispatchWorkflow().verify(request(), planned()).verdict is Verdict.UNKNOWN


def test_without_an_answer_the_clock_looks_once_more_and_then_nobody_knows(hub: Hub) -> None:
    change, action = planned(), DispatchWorkflow()
    hub.script[f"POST {WORKFLOW}/dispatches"] = hang_up
    hub.script[f"GET {WORKFLOW}/runs"] = runs()
    with pytest.raises(Unreadable):
        action.apply(request(), change)

    assert action.verify(request(), change).verdict is Verdict.NOT_YET
    assert DispatchWorkflow().verify(request(), change).verdict is Verdict.UNKNOWN


def test_without_the_id_in_an_input_nothing_can_be_found(hub: Hub) -> None:
    asked = request(inputs={})
    change = planned(asked)
    looked = len(hub.seen)
    seen = DispatchWorkflow().verify(asked, change)

    assert seen.verdict is Verdict.UNKNOWN
    assert "no input carries {action_id}" in seen.detail
    assert len(hub.seen) == looked


# -- through the engine -----------------------------------------------------------------------------------------------


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    with stage(monkeypatch, tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("after", "outcome", "sent"),
    [(False, "inconclusive", 1), (True, "acted", 1)],  # killed before: nothing is there to be found; and no second one
)
def test_a_killed_run_is_looked_up_and_never_sent_again(on_stage: Stage, after: bool, outcome: str, sent: int) -> None:
    play = on_stage.play("dispatch_workflow")
    on_stage.wire.again(names=("github.post",), after=after)
    assert on_stage.run(play) is None
    end = on_stage.to_the_end(play)

    assert end["outcome"] == outcome
    assert on_stage.wire.sent("github.post") == 0
    assert play.look() == (sent if after else 0)


def test_an_old_github_through_the_engine(on_stage: Stage) -> None:
    play_of.hub(on_stage).old = True
    play = on_stage.play("dispatch_workflow")
    result = on_stage.run(play)

    assert result is not None
    assert (result["outcome"], result["evidence"]["status"], play.look()) == ("acted", "queued", 1)


def test_the_token_is_in_no_record_event_or_log(on_stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Nor in those of a run whose every call to GitHub fails."""
    caplog.set_level(logging.DEBUG)
    for faults in ({}, {"names": ("github.post",), "after": True, "error": ConnectionError}):
        play = on_stage.play("dispatch_workflow")
        on_stage.wire.again(**faults)
        result = on_stage.run(play)
        told = json.dumps([result, on_stage.wire.events(), on_stage.record_of(play)], default=str)

        assert play_of.TOKEN not in told
    items = client("dynamodb").scan(TableName="ledger")["Items"]
    assert play_of.TOKEN not in json.dumps(items, default=str)
    ours = [record.getMessage() + str(record.__dict__) for record in caplog.records if "boto" not in record.name]
    assert play_of.TOKEN not in "".join(ours)


def test_the_event_file_is_a_plan() -> None:
    asked = read_request(event("dispatch_workflow"), ("dispatch_workflow",), "id")

    assert (asked.mode, asked.target.key) == (Mode.PLAN, "workflow:example/algo-trading/rollback.yml")
