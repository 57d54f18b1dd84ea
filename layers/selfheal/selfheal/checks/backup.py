"""Is the backup of a day there, and is it more than empty files?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.clients import client

KIND = CheckKind(
    "backup",
    "the backup of a day is in S3, with enough objects of enough bytes",
    {
        "bucket": named("bucket name"),
        "prefix": named("what the date follows: `db/` for db/2026-01-31/…"),
        "at_least": Field(int, 1, help="how many objects"),
        "min_bytes": Field(int, 1, help="of each object"),
        "day": Field(str, "today", one_of=("today", "yesterday"), help="in UTC"),
    },
    named_by=("bucket", "prefix"),
)
SERVICES = ("s3",)
PERMISSIONS = ("s3:ListBucket",)
MAX_PAGES = 10
"""Of 1000 objects each."""
RUN_IT = "run the backup job now and see its log; nothing younger than this could be restored"


def look(check: Check) -> list[Finding]:
    """ListObjectsV2 of `<prefix><date>/`."""
    now = datetime.fromtimestamp(time.time(), UTC)
    day = now.date() - timedelta(days=check["day"] == "yesterday")
    place = f"{check['prefix']}{day.isoformat()}/"
    objects = _objects(check["bucket"], place)
    if not objects:
        expected = f"at least {check['at_least']}"
        return findings(check, [Problem(f"no object under s3://{check['bucket']}/{place}", expected, RUN_IT)], "")
    hours = (now - max(one["LastModified"] for one in objects)).total_seconds() / 3600
    size = sum(one["Size"] for one in objects)
    told = f"{len(objects)} objects, {size} bytes, under {place}, the newest {hours:.1f} h old"
    return findings(check, _problems(check, objects, told), told)


def _problems(check: Check, objects: Sequence[Mapping[str, Any]], told: str) -> list[Problem]:
    problems = []
    if len(objects) < check["at_least"]:
        problems.append(Problem(told, f"at least {check['at_least']} objects", RUN_IT))
    small = [one["Key"] for one in objects if one["Size"] < check["min_bytes"]]
    if small:
        seen = f"{len(small)} of {len(objects)} are smaller, such as {small[0]}"
        problems.append(Problem(seen, f"at least {check['min_bytes']} bytes each", RUN_IT))
    return problems


def _objects(bucket: str, place: str) -> list[Mapping[str, Any]]:
    """Without the empty ones that consoles make to show a folder."""
    try:
        pages = (
            client("s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=bucket, Prefix=place, PaginationConfig={"MaxItems": MAX_PAGES * 1000})
        )
        return [one for page in pages for one in page.get("Contents", ()) if not one["Key"].endswith("/")]
    except AwsError as error:
        translate(error, f"backup s3://{bucket}/{place}")
