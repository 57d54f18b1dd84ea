"""The evidence as it lies in S3: one JSON document, and an overview for a person beside it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from selfheal import settings
from selfheal.aws_errors import AwsError, code_of, translate
from selfheal.clients import client
from selfheal.errors import ChangedMeanwhile, NotApplied, TargetForbidden, TargetNotFound, Unreadable
from selfheal.evidence.found import Found, Look
from selfheal.frozen import dataclass
from selfheal.observability import logger
from selfheal.request import Request

PERMISSIONS = ("s3:PutObject",)
FORMAT_VERSION = 1
_FORBIDDEN = {"AccessDenied", "NoSuchBucket"}
"""What is no better the second time."""


@dataclass(frozen=True)
class Kept:
    """Where it lies. `earlier`: a run of the same id had put it there before."""

    uri: str
    overview: str
    size: int
    earlier: bool


def keep(request: Request, look: Look, found: Mapping[str, Found], missing: Mapping[str, str]) -> Kept:
    """Write both objects, over nothing that is there. Raises TargetForbidden, TargetNotFound, Unreadable, NotApplied.

    The same action_id has the same keys, so that a repeated run finds its own; S3 itself refuses the second write.
    """
    bucket, key = settings.text("ARCHIVE_BUCKET"), key_of(request)
    head = _head(request, look)
    body = {**head, "has": {name: one.content for name, one in found.items()}, "missing": dict(missing)}
    text = json.dumps(body, default=str).encode("utf-8", "surrogatepass")
    earlier = not _put(bucket, f"{key}.json", text, "application/json")
    overview = _overview(head, found, missing).encode("utf-8", "replace")
    try:
        _put(bucket, f"{key}.md", overview, "text/markdown; charset=utf-8")
    except (ChangedMeanwhile, NotApplied, TargetForbidden, TargetNotFound, Unreadable) as error:
        logger.warning("no overview beside the evidence", cause=str(error))  # the document has it all
    return Kept(f"s3://{bucket}/{key}.json", f"s3://{bucket}/{key}.md", len(text), earlier)


def key_of(request: Request) -> str:
    """`evidence/<incident or action_id>/<target>-<mark of the action_id>`, without an ending."""
    mark = hashlib.sha256(request.action_id.encode()).hexdigest()[:8]
    return f"evidence/{_slug(request.incident or request.action_id)}/{_slug(request.target.key)}-{mark}"


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:200] or "unnamed"


def _head(request: Request, look: Look) -> dict[str, Any]:
    since, until = (datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") for at in (look.since, look.until))
    return {
        "format": FORMAT_VERSION,
        "target": request.target.as_dict(),
        "key": request.target.key,
        "incident": request.incident,
        "system": request.system,
        "action_id": request.action_id,
        "requested_by": request.requested_by,
        "reason": request.reason,
        "from": since,
        "to": until,
    }


def _overview(head: Mapping[str, Any], found: Mapping[str, Found], missing: Mapping[str, str]) -> str:
    facts = [f"- {name}: {head[name]}" for name in ("incident", "system", "reason", "requested_by", "from", "to")]
    has = [f"- **{name}**: {_line(one.summary)}" for name, one in found.items()]
    lacks = [f"- **{name}**: {_line(why)}" for name, why in missing.items()] or ["- nothing"]
    lines = [
        f"# Evidence of {_line(head['key'])}",
        "",
        *facts,
        "",
        "## Has",
        "",
        *has,
        "",
        "## Missing",
        "",
        *lacks,
        "",
    ]
    return "\n".join(lines)


def _line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:500]


def _put(bucket: str, key: str, body: bytes, kind: str) -> bool:
    """False: it is there already. Without a clear answer it is put once more: then S3 says whether it was."""
    for again in (True, False):
        try:
            client("s3").put_object(Bucket=bucket, Key=key, Body=body, ContentType=kind, IfNoneMatch="*")
            break
        except AwsError as error:
            code = code_of(error)
            if code == "PreconditionFailed":
                return False
            if again and not (isinstance(error, ClientError) and code in _FORBIDDEN):
                continue
            translate(error, f"s3://{bucket}/{key}")
    return True
