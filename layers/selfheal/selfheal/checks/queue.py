"""Is a dead-letter queue empty, as far as SQS counts?"""

from __future__ import annotations

from collections.abc import Sequence

from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.checks.metrics import Wanted, read_sums
from selfheal.checks.turns import Turn
from selfheal.queue import Queue

KIND = CheckKind(
    "queue",
    "a dead-letter queue holds no message: visible, in flight and delayed together",
    {"queue": named("queue name"), "at_most": Field(int, 0, help="messages that are no finding")},
    main="queue",
    named_by=("queue",),
)
SERVICES = ("cloudwatch", "sqs")
PERMISSIONS = ("cloudwatch:GetMetricData", "sqs:GetQueueAttributes", "sqs:GetQueueUrl")
FEW = 50
MINUTES = 10
"""CloudWatch counts each minute, some minutes late; a queue that nobody touched for 6 hours is not counted at all, and
a delayed message only once it is visible (SQS developer guide, available CloudWatch metrics)."""
COUNTED = ("ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible")


def look(check: Check) -> list[Finding]:
    """All three kinds: a message that somebody holds, or that is delayed, is in the queue as well."""
    counts = Queue(check["queue"]).attributes().counts
    told = f"{counts.visible} visible, {counts.in_flight} in flight, {counts.delayed} delayed"
    problems = []
    if counts.total > check["at_most"]:
        problems.append(Problem(told, f"at most {check['at_most']}", "inspect_dlq tells what they are"))
    return findings(check, problems, told)


def listed(checks: Sequence[Check], _: Turn) -> list[list[Finding] | None]:
    """GetMetricData, 500 metrics at a time. It only tells that a queue is empty: what holds messages, or was not
    counted, is looked at by itself."""
    sums = read_sums([one for check in checks for one in _wanted(check)])
    return [_empty(check, [sums[one] for one in _wanted(check)]) for check in checks]


def _wanted(check: Check) -> tuple[Wanted, ...]:
    queue = (("QueueName", check["queue"]),)
    return tuple(Wanted("AWS/SQS", metric, queue, MINUTES, "Maximum", "max") for metric in COUNTED)


def _empty(check: Check, counts: Sequence[float | None]) -> list[Finding] | None:
    visible, in_flight = counts
    if visible is None or in_flight is None or visible + in_flight > check["at_most"]:
        return None
    told = f"{visible:.0f} visible, {in_flight:.0f} in flight, as CloudWatch counted in the last {MINUTES} minutes"
    return findings(check, [], told)
