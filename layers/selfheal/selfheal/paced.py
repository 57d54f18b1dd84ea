"""The queue in which requests wait for their turn: what goes back into it is to be seen again soon.

Lambda leaves a message that a batch reports as failed invisible for the rest of its visibility timeout, six times the
function's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selfheal import settings
from selfheal.aws_errors import AwsError
from selfheal.clients import client
from selfheal.observability import logger

PERMISSIONS = ("sqs:ChangeMessageVisibility",)
"""IAM actions of the handler, on the queue of a paced function."""
AGAIN_AFTER_S = 5
AT_ONCE = 10


def show_again(records: Sequence[Mapping[str, Any]]) -> None:
    """Let these messages of a batch be received again after AGAIN_AFTER_S. Where that fails, they come later."""
    queue = settings.paced_queue()
    for start in range(0, len(records) if queue else 0, AT_ONCE):
        entries = [
            {"Id": str(number), "ReceiptHandle": record["receiptHandle"], "VisibilityTimeout": AGAIN_AFTER_S}
            for number, record in enumerate(records[start : start + AT_ONCE])
        ]
        try:
            client("sqs").change_message_visibility_batch(QueueUrl=queue, Entries=entries)
        except AwsError as error:
            logger.warning("messages come back only after their visibility timeout", cause=str(error))
            return
