"""A queue's depth is a metric, so that an alarm on a dead-letter queue can fire.

Stock ministack 1.5.33 emits nothing in the namespace AWS/SQS.

AWS emits ApproximateNumberOfMessagesVisible, …NotVisible, …Delayed and ApproximateAgeOfOldestMessage by QueueName, once
a minute (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/
sqs-available-cloudwatch-metrics.html).

Here a change is emitted within a second, a queue that is not empty every five seconds and an empty one every minute.
"""

from __future__ import annotations

import threading
import time

from ministack.core.responses import request_scope
from ministack.services import cloudwatch, sqs

from local.emulator.mends import MendError

INTERVAL = 1.0  # seconds
BUSY, IDLE = 5.0, 60.0  # seconds between datapoints of a queue that does not change
_METRICS = {
    "ApproximateNumberOfMessages": "ApproximateNumberOfMessagesVisible",
    "ApproximateNumberOfMessagesNotVisible": "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed": "ApproximateNumberOfMessagesDelayed",
}
_emitted: dict[str, tuple[float, list[int]]] = {}


def emit(now: float) -> None:
    """Emit the metrics of the queues that are due."""
    for (account, region, _), queue in sqs._queues.all_items():
        with request_scope(account, region):
            sqs._refresh_counts(queue)
            depths = [int(queue["attributes"][name]) for name in _METRICS]
            arn = queue["attributes"]["QueueArn"]
            moment, before = _emitted.get(arn, (0.0, []))
            if depths == before and now - moment < (BUSY if any(depths) else IDLE):
                continue
            _emitted[arn] = (now, depths)
            dimensions = {"QueueName": arn.rpartition(":")[2]}
            for metric, depth in zip(_METRICS.values(), depths, strict=True):
                cloudwatch.record_metric("AWS/SQS", metric, depth, "Count", dimensions)
            oldest = min((message["sent_at"] for message in list(queue["messages"])), default=now)
            cloudwatch.record_metric("AWS/SQS", "ApproximateAgeOfOldestMessage", now - oldest, "Seconds", dimensions)


def _loop() -> None:
    while True:
        time.sleep(INTERVAL)
        try:
            emit(time.time())
        except Exception:  # noqa: BLE001 - a queue that vanishes in between must not end the metrics of the others
            sqs.logger.exception("queue metrics")


def reset() -> None:
    _emitted.clear()


def apply() -> None:
    if not hasattr(sqs, "_refresh_counts"):
        raise MendError("the queues' counts are not where they were")
    threading.Thread(target=_loop, daemon=True, name="sqs-metrics").start()
