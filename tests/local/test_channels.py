"""Channels: the template's own connections, destinations and rules, and what arrives of an incident, posted by HTTP.

The rules are those of template.yaml and the events those of the outbox; only the receivers are ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse
from selfheal import outbox, outcome, told
from selfheal.incident import Incident, Phase

from local.emulator.control import Emulator
from tests.local.emulator.account import Account
from tests.local.emulator.test_cloudformation import deploy
from tests.local.receiver import Posted, Receiver, receiving
from tests.unit.incidents import START, Story, incident

pytestmark = pytest.mark.local

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
KINDS = (
    "AWS::Chatbot::MicrosoftTeamsChannelConfiguration",
    "AWS::Chatbot::SlackChannelConfiguration",
    "AWS::Events::ApiDestination",
    "AWS::Events::Connection",
)
QUOTED = 'say "hi" \\ <now> @here'


@dataclass
class Channels:
    """The stack and its receivers."""

    account: Account
    bus: str
    alarm: str
    queue: str
    receiver: Receiver

    def tell(self, one: Incident, *news: dict[str, Any]) -> None:
        """What the outbox would put on the bus."""
        sent: list[dict[str, Any]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(outcome, "send", lambda kind, *details: sent.extend(details))
            outbox.tell(one, list(news))
        self.put(outcome.INCIDENT_UPDATE, *sent)

    def put(self, kind: str, *details: Mapping[str, Any]) -> None:
        """Events of selfheal's bus."""
        entries = [
            {"Source": "selfheal", "DetailType": kind, "Detail": json.dumps(detail), "EventBusName": self.bus}
            for detail in details
        ]
        assert self.account.client("events").put_events(Entries=entries)["FailedEntryCount"] == 0

    def paged(self, action: str, number: int = 1) -> list[Posted]:
        """What PagerDuty got of this kind of event, as soon as there are so many."""
        return self._got("/v2/enqueue", number, lambda one: one.body["event_action"] == action)

    def posted(self, path: str, number: int = 1) -> list[Posted]:
        """What arrived there, as soon as there is so much of it."""
        return self._got(path, number, lambda _: True)

    def _got(self, path: str, number: int, fits: Callable[[Posted], bool]) -> list[Posted]:
        def found() -> list[Posted]:
            return [one for one in self.receiver.at(path) if fits(one)]

        self.account.wait(lambda: len(found()) >= number, f"{number} at {path}")
        return found()


def only_channels(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template without functions: what the channels are made of, and alarms to refer to."""
    resources = template["Resources"]
    kept = {
        name: resource
        for name, resource in resources.items()
        if resource["Type"] in KINDS
        or (resource["Type"] == "AWS::Events::Rule" and "Condition" in resource)
        or name in {"Bus", "FailureQueue", "FailureQueuePolicy", "ChannelsRole", "ChatRole", "PeopleTopic"}
    }
    alarms = {name: _alarm() for name in resources if resources[name]["Type"] == "AWS::CloudWatch::Alarm"}
    asked = {name for name in template["Conditions"] if name.startswith("Has")}
    return {
        "Parameters": template["Parameters"],
        "Conditions": {name: template["Conditions"][name] for name in asked},
        "Resources": {**kept, **alarms},
    }


def _alarm() -> dict[str, Any]:
    properties = {
        "Namespace": "n",
        "MetricName": "m",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}


@pytest.fixture(scope="module", params=["github", "jira"])
def channels(
    request: pytest.FixtureRequest, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Channels]:
    """All channels, with tickets of either kind."""
    account = Account(emulator, tmp_path_factory.mktemp("channels"))
    secret = account.name("secret")
    text = json.dumps({"routing_key": "r0uting", "authorization": "Bearer t0ken"})
    account.client("secretsmanager").create_secret(Name=secret, SecretString=text)
    with receiving() as receiver:
        made = deploy(
            account,
            only_channels(yaml_parse(TEMPLATE.read_text(encoding="utf-8"))),
            PagerDutySecret=secret,
            PagerDutyUrl=f"{receiver.url}/v2/enqueue",
            WebhookUrl=f"{receiver.url}/hook",
            WebhookSecret=secret,
            TicketUrl=f"{receiver.url}/tickets",
            TicketKind=request.param,
            TicketSecret=secret,
            JiraProject="OPS",
        )
        yield Channels(account, made["Bus"], made["HeartbeatAlarm"], made["FailureQueue"], receiver)


@pytest.fixture(autouse=True)
def _empty(channels: Channels) -> None:
    channels.receiver.posted.clear()
    channels.receiver.answers.clear()


def contained(number: int = 1) -> Incident:
    """An incident with something done, and with a name that would break a payload."""
    story = Story(replace(incident(), response=QUOTED, id=f"demo-12345678-{number:x}"))
    story.go()
    story.answer("halt_trading", detail="trading halted")
    return story.incident


def closed(one: Incident) -> Incident:
    """The same when it is over."""
    return replace(one, phase=Phase.CLOSED, verdict="healed", green_at=START + 60, closed_at=START + 60)


def test_an_incident_pages_when_it_opens_and_is_resolved_when_it_is_closed(channels: Channels) -> None:
    one = contained()
    channels.tell(one, {"what": "opened", "detail": "because"})
    (trigger,) = channels.paged("trigger")

    assert trigger.body["routing_key"] == "r0uting"
    assert trigger.body["dedup_key"] == one.id
    assert trigger.body["payload"]["severity"] == "error"
    assert trigger.body["payload"]["source"] == "demo"
    assert trigger.body["payload"]["summary"] == told.of({"what": "opened"}, one, ())["title"]
    assert trigger.body["payload"]["custom_details"]["done"].startswith("Done: trading halted")

    channels.tell(closed(one), {"what": "closed", "detail": "healed"})
    resolved = channels.paged("resolve", 2)
    assert {found.body["dedup_key"] for found in resolved} == {one.id, f"{one.id}/needs-you"}


@pytest.mark.parametrize("severity", ["P0", "P2", "P4"])
def test_severity_decides_who_is_paged_and_an_escalation_always_does(channels: Channels, severity: str) -> None:
    one = replace(contained(2), severity=severity)
    channels.tell(one, {"what": "opened", "detail": "because"})
    channels.tell(one, {"what": "escalated", "detail": "it burns"})

    found = channels.paged("trigger", 1 + (severity == "P0"))
    channels.posted("/hook", 2)
    keys = {one.body["dedup_key"] for one in found}
    assert keys == {f"{one.id}/needs-you"} | ({one.id} if severity == "P0" else set())
    assert len(channels.paged("trigger")) == len(keys)


def test_who_takes_an_incident_over_acknowledges_it(channels: Channels) -> None:
    channels.put(
        outcome.ACTION_OUTCOME, {"action": "take_over", "outcome": "acted", "target": {"incident": "demo-12345678-1"}}
    )
    found = channels.paged("acknowledge", 2)
    assert {one.body["dedup_key"] for one in found} == {"demo-12345678-1", "demo-12345678-1/needs-you"}


def test_an_alarm_that_nothing_answers_pages(channels: Channels) -> None:
    detail = {"what": "escalated", "told": told.of_refusal("abc", "no_runbook", QUOTED)}
    channels.put(outcome.INCIDENT_UPDATE, detail)
    (found,) = channels.paged("trigger")
    assert found.body["payload"]["summary"] == "selfheal did not act: no_runbook"


def test_an_alarm_of_selfheal_itself_pages_past_all_of_its_code(channels: Channels) -> None:
    for value in ("ALARM", "OK"):
        channels.account.client("cloudwatch").set_alarm_state(
            AlarmName=channels.alarm, StateValue=value, StateReason='no "heartbeat"'
        )
        (found,) = channels.paged("trigger" if value == "ALARM" else "resolve")
        assert found.body["dedup_key"] == channels.alarm


def test_a_webhook_gets_every_event_as_it_is(channels: Channels) -> None:
    one = contained(3)
    channels.tell(one, {"what": "contained", "detail": "trading halted"})
    (found,) = channels.posted("/hook")

    assert found.headers["authorization"] == "Bearer t0ken"
    assert found.body["detail-type"] == outcome.INCIDENT_UPDATE
    assert found.body["detail"]["state"]["response"] == QUOTED


def test_a_ticket_is_made_for_the_root_cause_once(channels: Channels) -> None:
    one = closed(contained(4))
    channels.tell(replace(one, repeats=1, thread=one.id), {"what": "closed", "detail": "healed"})
    channels.tell(one, {"what": "closed", "detail": "healed"})
    (found,) = channels.posted("/tickets")

    channels.posted("/hook", 2)
    assert len(channels.posted("/tickets")) == 1
    assert found.headers["authorization"] == "Bearer t0ken"
    jira = "fields" in found.body
    title, body = ("summary", "description") if jira else ("title", "body")
    fields = found.body["fields"] if jira else found.body
    assert fields[title].startswith("Root cause: [P1] demo closed as healed: ")
    assert "\n\nDone: trading halted" in fields[body]
    assert f"Incident: {one.id}" in fields[body]
    if jira:
        assert (fields["project"], fields["issuetype"]) == ({"key": "OPS"}, {"name": "Task"})


def test_what_a_receiver_does_not_take_lies_in_the_failure_queue(channels: Channels) -> None:
    channels.receiver.answers["/hook"] = 500
    channels.tell(contained(5), {"what": "contained", "detail": "trading halted"})
    assert json.loads(channels.account.message(channels.queue)["Body"])["source"] == "selfheal"
