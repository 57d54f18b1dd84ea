"""The archive of dead letters: one S3 object for each chunk, a letter a line, written before anything else happens."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from selfheal import settings
from selfheal.aws_errors import AwsError, code_of, translate
from selfheal.clients import client_bulk
from selfheal.dead_letter import DeadLetter


def archive(letters: Sequence[DeadLetter], queue: str, name: str) -> str:
    """Write `dlq/<queue>/<name>.jsonl` and return that key.

    The name says which run wrote it, so an object that is there already was written by an earlier attempt of the same
    call; S3 itself refuses the second write (If-None-Match). Raises TargetForbidden, TargetNotFound, Unreadable,
    NotApplied.
    """
    key = f"dlq/{queue}/{name}.jsonl"
    lines = [json.dumps(letter.as_archived(queue), default=_encoded) for letter in letters]
    try:
        client_bulk("s3").put_object(
            Bucket=settings.text("ARCHIVE_BUCKET"),
            Key=key,
            Body="\n".join([*lines, ""]).encode("utf-8", "surrogatepass"),
            ContentType="application/jsonl",
            IfNoneMatch="*",
        )
    except AwsError as error:
        if not (isinstance(error, ClientError) and code_of(error) == "PreconditionFailed"):
            translate(error, f"archive of {len(letters)} messages, {key}")
    return key


def _encoded(raw: Any) -> dict[str, str]:
    if not isinstance(raw, bytes):
        raise TypeError(f"a {type(raw).__name__} is no part of a message")
    return {"base64": base64.b64encode(raw).decode()}
