"""Plays of functions/restore_backup: a backup of one object, and one of three."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.clients import client

if TYPE_CHECKING:
    from tests.unit.stage import Play, Stage

VARIANTS = {"restore_three_objects": "restore_backup"}
DAY = "2026-11-20"


def restore_backup(stage: Stage, number: int) -> Play:
    """One object."""
    return _play(number, ("data.db",))


def restore_three_objects(stage: Stage, number: int) -> Play:
    """Three, one of them further down."""
    return _play(number, ("a.db", "b.db", "more/c.db"))


def _play(number: int, names: tuple[str, ...]) -> Play:
    from tests.unit.stage import Play  # noqa: PLC0415 - the stage imports the plays

    aws, bucket = client("s3"), f"backups-{number}"
    aws.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for name in names:
        aws.put_object(Bucket=bucket, Key=f"daily/{DAY}/{name}", Body=name.encode())

    def look() -> int:
        return int(aws.list_objects_v2(Bucket=bucket, Prefix="restore/")["KeyCount"])

    more = {"requested_by": "ann", "options": {"date": DAY}}
    target = {"bucket": bucket, "prefix": "daily/"}
    return Play(number, "restore_backup", target, look, len(names), ("s3.copy_object",), len(names), more)


PLAYS = (restore_backup, restore_three_objects)
