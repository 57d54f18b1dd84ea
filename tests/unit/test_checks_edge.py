"""Checks of what faces outwards or holds all together: APIs, URLs and stacks."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from pytest_socket import enable_socket
from selfheal.checks import stack_status, web
from selfheal.checks.finding import Mark
from selfheal.clients import client
from selfheal.ledger import Ledger

from tests.unit.aws import script
from tests.unit.checking import DENIED, changed_by_selfheal, refusal_of, the_only, told

# -- api --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "mark", "words"),
    [
        ({}, "pass", "account's limits"),
        ({"*/*": {"throttlingRateLimit": -1, "throttlingBurstLimit": -1}}, "pass", "account's limits"),
        ({"*/*": {"throttlingRateLimit": 50.0, "throttlingBurstLimit": 20}}, "pass", "50.0 requests a second"),
        ({"*/*": {"throttlingRateLimit": 0.0, "throttlingBurstLimit": 0}}, "fail", "throttled to nothing"),
        ({"~1orders/POST": {"throttlingRateLimit": 0.0, "throttlingBurstLimit": 5}}, "fail", "~1orders/POST"),
    ],
)
def test_the_stage_of_a_rest_api(ledger: Ledger, settings: dict[str, Any], mark: str, words: str) -> None:
    with script("apigateway") as aws:
        aws.add_response("get_stage", {"methodSettings": settings}, {"restApiId": "a1", "stageName": "live"})

        finding = the_only({"api": {"rest_api": "a1", "stage": "live"}})

    assert (finding.verdict, finding.resource) == (mark, "a1/live")
    assert words in finding.seen


@pytest.mark.parametrize(
    ("settings", "mark"),
    [
        ({}, "pass"),
        ({"ThrottlingRateLimit": 9.0, "ThrottlingBurstLimit": 9}, "pass"),
        ({"ThrottlingBurstLimit": 0}, "fail"),
    ],
)
def test_the_stage_of_an_http_api(ledger: Ledger, settings: dict[str, Any], mark: str) -> None:
    with script("apigatewayv2") as aws:
        seen = {"StageName": "live", "DefaultRouteSettings": settings}
        aws.add_response("get_stage", seen, {"ApiId": "a2", "StageName": "live"})

        assert told({"api": {"http_api": "a2", "stage": "live"}}) == [mark]


def test_a_stage_that_selfheal_limits_fails_until_it_is_undone(ledger: Ledger) -> None:
    changed_by_selfheal(ledger, "limit_api", {"rest_api": "a1", "stage": "live"}, rate=5)
    with script("apigateway") as aws:
        limits = {"*/*": {"throttlingRateLimit": 5.0, "throttlingBurstLimit": 5}}
        aws.add_response("get_stage", {"methodSettings": limits})

        finding = the_only({"api": {"rest_api": "a1", "stage": "live"}})

    assert finding.verdict == "fail"
    assert "limit_api by selfheal" in finding.seen


@pytest.mark.parametrize(("code", "mark"), [("NotFoundException", "fail"), (DENIED, "unknown")])
def test_a_stage_that_is_not_there_or_out_of_reach(code: str, mark: str) -> None:
    with script("apigateway") as aws:
        aws.add_client_error("get_stage", code)

        assert told({"api": {"rest_api": "a1", "stage": "live"}}) == [mark]


# -- stack ------------------------------------------------------------------------------------------------------------


def test_every_status_that_cloudformation_knows_is_in_the_table() -> None:
    known = client("cloudformation").meta.service_model.shape_for("StackStatus").enum

    assert set(stack_status.STATUSES) == set(known)


@pytest.mark.parametrize("status", sorted(stack_status.STATUSES))
def test_each_status_is_told_with_its_meaning_and_what_to_do(status: str) -> None:
    with script("cloudformation") as aws:
        seen = {"StackName": "shop", "CreationTime": 0, "StackStatus": status, "StackStatusReason": "because"}
        aws.add_response("describe_stacks", {"Stacks": [seen]}, {"StackName": "shop"})

        finding = the_only({"stack": "shop"})

    wanted = stack_status.STATUSES[status]
    assert finding.verdict == wanted.verdict
    assert finding.seen.startswith(f"{status}: {wanted.means} (because)")
    assert finding.advice or finding.verdict is Mark.PASS
    assert "{" not in finding.advice + finding.seen


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("ROLLBACK_COMPLETE", "can only be deleted"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback --stack-name {stack}"),
        ("DELETE_FAILED", "--retain-resources"),
        ("DELETE_FAILED", "messages in its queues, its log groups, the history of its alarms"),
        ("UPDATE_FAILED", "rollback-stack"),
        ("REVIEW_IN_PROGRESS", "list-change-sets"),
        ("UPDATE_ROLLBACK_COMPLETE", "deploy again"),
    ],
)
def test_the_way_out_of_a_status(status: str, words: str) -> None:
    assert words in stack_status.STATUSES[status].to_do


def test_whoever_is_told_to_delete_a_stack_is_told_what_it_costs() -> None:
    for status in stack_status.STATUSES.values():
        if "delete-stack" in status.to_do:
            assert "selfheal never deletes a stack" in status.to_do


def test_a_stack_that_is_missing_fails_and_any_other_validation_error_is_unknown() -> None:
    for message, mark in (("Stack with id shop does not exist", "fail"), ("1 validation error detected", "unknown")):
        with script("cloudformation") as aws:
            aws.add_client_error("describe_stacks", "ValidationError", message)

            assert told({"stack": "shop"}) == [mark]


def test_a_status_of_tomorrow_is_unknown() -> None:
    with script("cloudformation") as aws:
        seen = {"StackName": "shop", "CreationTime": 0, "StackStatus": "POLISH_IN_PROGRESS"}
        aws.add_response("describe_stacks", {"Stacks": [seen]})

        assert told({"stack": "shop"}) == ["unknown"]


# -- url --------------------------------------------------------------------------------------------------------------


class Answers(BaseHTTPRequestHandler):
    """Says what its path says."""

    asked: ClassVar[list[str]] = []
    other: ClassVar[str] = ""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/slow":
            time.sleep(1.3)
        status, body, location = {
            "/moved": (302, b"", "/health"),
            "/around": (302, b"", "/around"),
            "/away": (302, b"", f"{self.other}/health"),
            "/down": (503, b"", ""),
            "/recovers": (503 if self.asked.count("/recovers") == 1 else 200, b"{}", ""),
            "/text": (200, b"fine", ""),
            "/long": (200, b"x" * 3 * web.MAX_BODY, ""),
        }.get(self.path, (200, b'{"status": "ok", "parts": {"db": true}}', ""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base gives it
        pass


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on 127.0.0.1 that the stack lists."""
    enable_socket()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    other = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Answers.asked.clear()
    Answers.other = f"http://127.0.0.1:{other.server_port}"
    listed = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HEALTH_HOSTS", f"shop.example.com, {listed}")
    threads = [threading.Thread(target=one.serve_forever, args=(0.02,)) for one in (server, other)]
    for thread in threads:
        thread.start()
    yield listed
    for one in (server, other):
        one.shutdown()
        one.server_close()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("path", "fields", "mark", "words"),
    [
        ("/health", {}, "pass", "status 200"),
        ("/health?deep=1", {"field": "status", "value": "ok"}, "pass", "status is ok"),
        ("/health", {"field": "parts.db", "value": "true"}, "pass", "parts.db is true"),
        ("/health", {"field": "status"}, "pass", "status is there"),
        ("/health", {"field": "status", "value": "down"}, "fail", "status is ok"),
        ("/health", {"field": "parts.redis", "value": "ok"}, "fail", "no parts.redis"),
        ("/health", {"field": "status.deep", "value": "ok"}, "fail", "no status.deep"),
        ("/text", {"field": "status"}, "fail", "no JSON"),
        ("/down", {}, "fail", "it answers 503"),
        ("/down", {"status": 503}, "pass", "503"),
        ("/recovers", {}, "pass", "200"),
        ("/moved", {}, "pass", "200"),
        ("/around", {}, "fail", "redirects more than"),
        ("/away", {}, "fail", "redirects (302) to 127.0.0.1"),
        ("/long", {}, "pass", "200"),
        ("/slow", {"timeout": 1}, "fail", "no answer in two tries"),
    ],
)
def test_a_url(host: str, path: str, fields: dict[str, Any], mark: str, words: str) -> None:
    finding = the_only({"url": {"url": host + path, **fields}})

    assert finding.verdict == mark
    assert words in finding.seen


def test_another_origin_is_never_asked(host: str) -> None:
    assert told({"url": f"{host}/away"}) == ["fail"]

    assert Answers.asked == ["/away"]


def test_a_failing_url_is_tried_twice_and_no_more(host: str) -> None:
    assert told({"url": f"{host}/down"}) == ["fail"]

    assert Answers.asked == ["/down"] * 2


def test_a_long_answer_is_cut_off(host: str) -> None:
    assert len(web.get(f"{host}/long", 4).body) == web.MAX_BODY


def test_nobody_listening_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    enable_socket()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HEALTH_HOSTS", f"http://127.0.0.1:{port}")

    assert told({"url": f"http://127.0.0.1:{port}/"}) == ["fail"]


@pytest.mark.parametrize(
    ("hosts", "url"),
    [
        ("", "https://shop.example.com/"),
        ("shop.example.com", "https://evil.example.com/"),
        ("shop.example.com", "https://shop.example.com.evil.example.com/"),
        ("shop.example.com", "http://shop.example.com/"),
        ("shop.example.com", "https://shop.example.com:8443/"),
        ("http://shop.example.com", "https://shop.example.com/"),
        ("*.example.com", "https://shop.example.com/"),
    ],
)
def test_what_the_stack_does_not_list_is_not_even_resolved(
    monkeypatch: pytest.MonkeyPatch, hosts: str, url: str
) -> None:
    monkeypatch.setenv("HEALTH_HOSTS", hosts)
    monkeypatch.setattr(web, "resolve", lambda origin: pytest.fail("resolved"))

    finding = the_only({"url": url})

    assert finding.verdict == "unknown"
    assert "HealthHosts" in finding.seen


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.5", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104
        "224.0.0.1", "::1", "fe80::1", "fd00:ec2::254", "fc00::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_a_name_that_leads_inside_is_not_asked(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HEALTH_HOSTS", "shop.example.com")
    answers = [(0, 0, 0, "", ("198.51.101.7", 443)), (0, 0, 0, "", (address, 443))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: answers)
    monkeypatch.setattr(web, "_request", lambda *_: pytest.fail("asked"))

    finding = the_only({"url": "https://shop.example.com/"})

    assert finding.verdict == "unknown"
    assert "no public address" in finding.seen


def test_the_stack_may_say_where_a_host_is_asked(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_HOSTS", f"shop.example.com={host}")

    assert told({"url": {"url": "https://shop.example.com/health", "field": "status", "value": "ok"}}) == ["pass"]
    assert told({"url": f"{host}/health"}) == ["unknown"], "where it is asked is not listed itself"


@pytest.mark.parametrize("address", ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"])
def test_metadata_are_not_asked_even_if_they_are_listed(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    enable_socket()
    monkeypatch.setenv("HEALTH_HOSTS", f"http://{address}")
    monkeypatch.setattr(web, "_request", lambda *_: pytest.fail("asked"))

    assert told({"url": f"http://{address}/latest/meta-data/"}) == ["unknown"]


def test_the_name_is_resolved_once_and_that_address_is_asked_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[str] = []
    asked: list[tuple[web.Origin, str]] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        resolved.append(host)
        return [(0, 0, 0, "", ("2606:4700::1", port, 0, 0)), (0, 0, 0, "", ("93.184.215.14", port))]

    def request(origin: web.Origin, address: str, *_: Any) -> web.Answer:
        asked.append((origin, address))
        return web.Answer(302, b"", "/next") if len(asked) == 1 else web.Answer(200, b"")

    monkeypatch.setenv("HEALTH_HOSTS", "shop.example.com")
    monkeypatch.setattr("socket.getaddrinfo", resolve)
    monkeypatch.setattr(web, "_request", request)

    assert told({"url": "https://shop.example.com/first"}) == ["pass"]
    assert resolved == ["shop.example.com"]
    assert asked == [(web.Origin("https", "shop.example.com", 443), "93.184.215.14")] * 2


def test_a_name_that_is_none_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown_name(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setenv("HEALTH_HOSTS", "shop.example.com")
    monkeypatch.setattr("socket.getaddrinfo", unknown_name)

    assert "can't be resolved" in the_only({"url": "https://shop.example.com/"}).seen


def test_the_certificate_is_checked_for_the_name_and_not_for_the_address() -> None:
    with web._pool(web.Origin("https", "lb.internal", 443), "93.184.215.14", "shop.example.com", 4) as pool:
        made: Any = pool

        assert (made.host, made.cert_reqs, made.assert_hostname) == (
            "93.184.215.14",
            "CERT_REQUIRED",
            "shop.example.com",
        )
        assert made.conn_kw["server_hostname"] == "shop.example.com"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("shop.example.com/health", "url must be https://"),
        ("ftp://shop.example.com/", "url must be https://"),
        ("https://ann:secret@shop.example.com/", "url must be https://"),
        ("https://shop.example.com:port/", "url must be https://"),
        ({"url": "https://shop.example.com/", "timeout": 60}, "timeout must be"),
        ({"url": "https://shop.example.com/", "status": 42}, "status must be"),
        ({"url": "https://shop.example.com/", "value": "ok"}, "value needs the field"),
        ({"url": "https://shop.example.com/", "method": "POST"}, "unknown ['method']"),
    ],
)
def test_a_malformed_url_check_is_refused_by_name(fields: Any, words: str) -> None:
    assert words in refusal_of({"url": fields})
