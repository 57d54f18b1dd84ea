"""Is a dead-letter queue empty, as far as SQS counts?"""

from __future__ import annotations

from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.queue import Queue

KIND = CheckKind(
    "queue",
    "a dead-letter queue holds no message: visible, in flight and delayed together",
    {"queue": named("queue name"), "at_most": Field(int, 0, help="messages that are no finding")},
    main="queue",
    named_by=("queue",),
)
SERVICES = ("sqs",)
PERMISSIONS = ("sqs:GetQueueAttributes", "sqs:GetQueueUrl")


def look(check: Check) -> list[Finding]:
    """All three kinds: a message that somebody holds, or that is delayed, is in the queue as well."""
    counts = Queue(check["queue"]).attributes().counts
    told = f"{counts.visible} visible, {counts.in_flight} in flight, {counts.delayed} delayed"
    problems = []
    if counts.total > check["at_most"]:
        problems.append(Problem(told, f"at most {check['at_most']}", "inspect_dlq tells what they are"))
    return findings(check, problems, told)
