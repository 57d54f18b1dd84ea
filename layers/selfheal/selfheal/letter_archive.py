"""The archive of dead letters: one S3 object per message, written before anything else happens to it."""

from __future__ import annotations

import base64
import json
from typing import Any

from botocore.exceptions import ClientError

from selfheal import settings
from selfheal.aws_errors import AwsError, code_of, translate
from selfheal.clients import client
from selfheal.dead_letter import DeadLetter


def archive(letter: DeadLetter, queue: str) -> str:
    """Write `dlq/<queue>/<MessageId>.json` and return that key.

    An object that is there already is as good: a message never changes, and S3 itself refuses the second write
    (If-None-Match). Raises TargetForbidden, TargetNotFound, Unreadable, NotApplied.
    """
    key = f"dlq/{queue}/{letter.message_id}.json"
    text = json.dumps(letter.as_archived(queue), default=_encoded)
    try:
        client("s3").put_object(
            Bucket=settings.text("ARCHIVE_BUCKET"),
            Key=key,
            Body=text.encode("utf-8", "surrogatepass"),
            ContentType="application/json",
            IfNoneMatch="*",
        )
    except AwsError as error:
        if not (isinstance(error, ClientError) and code_of(error) == "PreconditionFailed"):
            translate(error, f"archive of message {letter.message_id}")
    return key


def _encoded(raw: Any) -> dict[str, str]:
    if not isinstance(raw, bytes):
        raise TypeError(f"a {type(raw).__name__} is no part of a message")
    return {"base64": base64.b64encode(raw).decode()}
