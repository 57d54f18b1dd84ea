"""the-alchemiser-v2-dev on the local stack, besides its healing (test_demo_heals): gates, diagnosis, procedures."""

from __future__ import annotations

import json
import time

import pytest

from local import system
from tests.local.scenario import Systems

pytestmark = pytest.mark.local

SYSTEM = system.NAME
LOG = f"/aws/lambda/{system.FUNCTION}"
LIVE = {"function": system.FUNCTION, "alias": system.ALIAS}


def write_log(systems: Systems, *lines: str) -> None:
    """Lines of a run of the function, now."""
    logs, stream = systems.client("logs"), f"scenario-{time.time_ns()}"
    logs.create_log_stream(logGroupName=LOG, logStreamName=stream)
    now = round(time.time() * 1000)
    events = [{"timestamp": now + place, "message": line} for place, line in enumerate(lines)]
    logs.put_log_events(logGroupName=LOG, logStreamName=stream, logEvents=events)


def test_the_alias_answers_in_test_mode(systems: Systems) -> None:
    tested = systems.ask("smoke_test", LIVE, options={"payload": {"mode": "test"}, "expect": {"status": "ok"}})

    assert tested["outcome"] == "acted", tested
    assert json.loads(tested["evidence"]["answer"])["status"] == "ok"


def test_the_gate_before_a_deployment_is_closed_while_something_is_switched_off(systems: Systems) -> None:
    assert {found.partition(":")[0] for found in systems.sweep(SYSTEM, "before a deployment").values()} == {"pass"}

    halted = systems.ask("halt_trading", {"parameter": system.FLAG}, system=SYSTEM)
    findings = systems.sweep(SYSTEM, "before a deployment")
    systems.ask("halt_trading", {"parameter": system.FLAG}, undo_of=halted["action_id"], origin="undo", system=SYSTEM)

    assert [key.partition(" ")[0] for key, found in findings.items() if found.startswith("fail")] == ["changes"]
    assert systems.stack.system.state().flag == "true"


def test_a_release_is_validated(systems: Systems) -> None:
    findings = systems.sweep(SYSTEM, "after a deployment")

    assert {found.partition(":")[0] for found in findings.values()} == {"pass"}, findings
    assert {key.partition(" ")[0] for key in findings} == {"stack", "function", "alias", "alarms", "logs"}


def test_a_missing_function_and_a_missing_stack_are_found_with_the_way_back(systems: Systems) -> None:
    missing = [{"function": {"function": "test-crypto-trading-gone"}}, {"stack": {"stack": "gone"}}]

    result = systems.ask("check_health", {"system": SYSTEM}, options={"checks": missing})
    findings = {one["check"]: one for one in result["evidence"]["findings"]}

    assert {one["verdict"] for one in findings.values()} == {"fail"}
    assert "REVERT_DRIFT" in findings["function"]["advice"], "an unchanged template does not bring it back"
    assert {one["seen"] for one in findings.values()} == {"there is no such function", "there is no such stack"}


def test_a_timeout_and_a_refused_secret_are_told_from_the_log(systems: Systems) -> None:
    write_log(
        systems,
        "2026-11-20T14:35:10.000Z 8f5a Task timed out after 900.00 seconds",
        "An error occurred (AccessDeniedException) when calling the GetSecretValue operation: User: arn:aws:sts::"
        "111111111111:assumed-role/trader/x is not authorized to perform: secretsmanager:GetSecretValue on resource: "
        "arn:aws:secretsmanager:us-east-1:111111111111:secret:broker because no identity-based policy allows it",
    )

    result = systems.ask("check_health", {"system": SYSTEM}, options={"sweep": "what limits the function"})
    told = " ".join(
        f"{one['seen']} {one['advice']}" for one in result["evidence"]["findings"] if one["check"] == "limits"
    )

    assert "timed out" in told
    assert "secretsmanager:GetSecretValue" in told


def test_what_stays_with_a_person_is_prepared_with_exact_commands(systems: Systems) -> None:
    answer = systems.invoke("Respond", {"procedure": f"{SYSTEM}/rotate-the-brokers-keys"})
    text = str(answer)

    assert "gh secret set ALPACA_KEY" in text
    assert "sam remote invoke InvokeTarget" in text, "the smoke test, through the alias"
    assert text.index("sam remote invoke InvokeTarget") < text.index("delete the old keys")
    assert "--body" not in text, "no secret on a command line"


def test_a_deployment_is_watched(systems: Systems) -> None:
    version = systems.stack.system.state().version

    answer = systems.invoke("Respond", {"deployment": {"system": SYSTEM, "version": version, "by": "ann"}})
    systems.invoke("Respond", {"clock": "tick"})

    assert answer["decisions"][0]["watches"] == ["after a release"]

    def serving() -> list[str]:
        watches = [item for item in systems.items() if item["pk"]["S"] == "WATCH" and "looks" in item]
        docs = [json.loads(item["doc"]["S"]) for item in watches if SYSTEM in item["sk"]["S"]]
        return [one["version"] for doc in docs for one in doc.get("serving", {}).values()]

    assert systems.wait(serving, "the watch to note which version it proves") == [version]
