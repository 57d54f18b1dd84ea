"""The loop that everybody writes: receive 10, send 10, delete 10, one thread, no record. `… QUEUE TO_QUEUE`."""

from __future__ import annotations

import sys

import boto3


def main(queue: str, to: str) -> None:
    """Until nothing more is received."""
    sqs = boto3.client("sqs")
    while True:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        messages = answer.get("Messages", [])
        if not messages:
            return
        entries = [
            {"Id": str(place), "MessageBody": one["Body"], "MessageAttributes": one.get("MessageAttributes", {})}
            for place, one in enumerate(messages)
        ]
        sqs.send_message_batch(QueueUrl=to, Entries=entries)  # type: ignore[arg-type]  # as SQS gave them
        receipts = [{"Id": str(place), "ReceiptHandle": one["ReceiptHandle"]} for place, one in enumerate(messages)]
        sqs.delete_message_batch(QueueUrl=queue, Entries=receipts)  # type: ignore[arg-type]  # as SQS gave them


if __name__ == "__main__":
    main(*sys.argv[1:])
