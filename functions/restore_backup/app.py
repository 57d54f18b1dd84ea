"""Copy a backup in S3 to a folder of its own, so that a person can look at it, or start a system on it.

Alarm: none; a person asks for it (data that was lost, or overwritten by a deployment).
Action: `restore_backup` (risky; a person only) copies every object of `<prefix><date>/` to
`<to_prefix><date>-<id>/` of the same bucket; the id is the action's, so that the folder is its own.
Precondition: there is a backup of that day, no object of it is over 5 GB or in an archive tier (one CopyObject can't
take those; the refusal has the command for a person), and in the new folder lies nothing else.

What is in the new folder is the journal: a run that ended goes on with what is missing. Each copy demands that the
source is what was listed (its ETag) and that nothing has the new name (If-None-Match). At the end number and sizes are
compared.

Never: writes over an object, or into the backup; deletes one, not even what it has copied (a person does, when it is
not needed any more); puts anything where a system reads it.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from datetime import date
from typing import Any

from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, State, Verification
from selfheal.aws_errors import AwsError, code_of, translate
from selfheal.clients import client
from selfheal.errors import ChangedMeanwhile, Refused
from selfheal.handler import handler_for
from selfheal.members import change_each, listed
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

LARGEST_BYTES = 5 * 1024**3
"""That one CopyObject takes (API reference)."""
ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
"""Storage classes whose objects are to be restored first (API reference: ObjectNotInActiveTierError)."""
Objects = Mapping[str, Mapping[str, Any]]
"""Name below the folder → size and etag."""


class RestoreBackup(Action):
    """AWS calls: 1 per 1000 objects to list each of both folders, in each of the steps; 1 for each object to copy."""

    name = "restore_backup"
    permissions = (
        "s3:GetObject",
        "s3:GetObjectTagging",
        "s3:ListBucket",
        "s3:PutObject",
        "s3:PutObjectTagging",
    )
    reversible = False
    continues = True

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._failed: dict[str, str] = {}

    def observe(self, request: Request) -> State:
        """Both folders: how much is there, what one call can't copy, what does not belong there."""
        bucket, source, place = request.target["bucket"], _source(request), _place(request)
        backup, there = _objects(bucket, source), _objects(bucket, place)
        return {
            "from": source,
            "to": place,
            "objects": len(backup),
            "bytes": sum(one["size"] for one in backup.values()),
            "too_large": [name for name, one in backup.items() if one["size"] > LARGEST_BYTES][:10],
            "archived": [name for name, one in backup.items() if one["class"] in ARCHIVED][:10],
            "foreign": _foreign(backup, there)[:10],
            "copied": len(there),
        }

    def decide(self, state: State, request: Request) -> Decision:
        """Refuse what can't be whole, and what would not be alone."""
        bucket, source, place = request.target["bucket"], state["from"], state["to"]
        if not state["objects"]:
            return Decline(Refusal.NO_SUCH_BACKUP, f"nothing lies in s3://{bucket}/{source}")
        command = (
            f"aws s3 cp --recursive {shlex.quote(f's3://{bucket}/{source}')} {shlex.quote(f's3://{bucket}/{place}')}"
        )
        if state["archived"]:
            detail = f"in an archive tier: {listed(state['archived'])}; aws s3api restore-object first, then {command}"
            return Decline(Refusal.BACKUP_UNFIT, detail, {"command": command})
        if state["too_large"]:
            detail = f"over 5 GB: {listed(state['too_large'])}; a person runs: {command}"
            return Decline(Refusal.BACKUP_UNFIT, detail, {"command": command})
        if state["foreign"]:
            return Decline(Refusal.PLACE_TAKEN, f"in s3://{bucket}/{place} lies {listed(state['foreign'])}")
        if state["copied"] == state["objects"]:
            return AlreadyDone(f"all {state['objects']} objects lie in s3://{bucket}/{place}")
        return Change(
            direction=Direction.RISKY,
            summary=f"copy {state['objects']} objects ({state['bytes']} bytes) to s3://{bucket}/{place}",
            after={"folder": f"s3://{bucket}/{place}"},
            plan={name: state[name] for name in ("from", "to", "objects", "bytes")},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Copy what is missing, one object after the other, until the time of this invocation is over."""
        bucket, source, place = request.target["bucket"], change.plan["from"], change.plan["to"]
        backup, there = _objects(bucket, source), _objects(bucket, place)
        missing = [name for name in backup if name not in there]

        def copy(name: str, evidence: dict[str, Any]) -> None:
            _copy(bucket, source + name, place + name, backup[name]["etag"])
            evidence["copied"] = evidence.get("copied", 0) + 1

        return change_each(missing, copy, self._failed, alone=len(backup) == 1, remaining_s=self.remaining_s)

    def verify(self, request: Request, change: Change) -> Verification:
        """As many objects as were planned, each as large as its source, and nothing else."""
        bucket, plan = request.target["bucket"], change.plan
        backup, there = _objects(bucket, plan["from"]), _objects(bucket, plan["to"])
        if (len(backup), sum(one["size"] for one in backup.values())) != (plan["objects"], plan["bytes"]):
            return Verification(Verdict.DOES_NOT_HOLD, change.after, "the backup itself changed while it was copied")
        if foreign := _foreign(backup, there):
            return Verification(Verdict.DOES_NOT_HOLD, change.after, f"not as in the backup: {listed(foreign)}")
        missing = [name for name in backup if name not in there]
        told = f"{len(there)} of {plan['objects']} objects lie in s3://{bucket}/{plan['to']}"
        if failed := {name: self._failed[name] for name in missing if name in self._failed}:
            return Verification(
                Verdict.DOES_NOT_HOLD, change.after, f"{told}; failed: {listed(failed)}", {"failed": failed}
            )
        if missing:
            return Verification(Verdict.NOT_YET, change.after, told)
        delete = f"aws s3 rm --recursive {shlex.quote(f's3://{bucket}/' + plan['to'])}"
        return Verification(Verdict.HOLDS, change.after, told, {"when_not_needed_any_more": delete})


def _source(request: Request) -> str:
    """The folder of the day. Raises Refused for what is no day."""
    asked = request.options["date"] or ""
    try:
        day = date.fromisoformat(asked).isoformat()
    except ValueError:
        day = ""
    if day != asked or not day:
        raise Refused(Refusal.BAD_OPTIONS, f"date must be the day of a backup, YYYY-MM-DD; got {asked!r:.40}")
    return f"{request.target['prefix']}{day}/"


def _place(request: Request) -> str:
    """The folder of this action. Raises Refused if it would lie within the backup."""
    prefix, source = request.options["to_prefix"], _source(request)
    if not prefix.endswith("/") or prefix.startswith("/") or not prefix.isprintable() or len(prefix.encode()) > 512:
        raise Refused(Refusal.BAD_OPTIONS, f"to_prefix must be a folder like restore/, got {prefix!r:.80}")
    short = hashlib.sha256(request.action_id.encode()).hexdigest()[:12]
    place = f"{prefix}{request.options['date']}-{short}/"
    if place.startswith(source):
        raise Refused(Refusal.BAD_OPTIONS, f"to_prefix {prefix} lies within the backup {source}")
    return place


def _objects(bucket: str, folder: str) -> dict[str, dict[str, Any]]:
    """What lies in a folder, by its name below it."""
    try:
        pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
        return {
            one["Key"].removeprefix(folder): {
                "size": one["Size"],
                "etag": one["ETag"],
                "class": one.get("StorageClass", "STANDARD"),
            }
            for page in pages
            for one in page.get("Contents", ())
        }
    except AwsError as error:
        translate(error, f"s3://{bucket}/{folder}")


def _foreign(backup: Objects, there: Objects) -> list[str]:
    """What lies in the new folder and is not a copy of the backup's."""
    return [name for name, one in there.items() if name not in backup or backup[name]["size"] != one["size"]]


def _copy(bucket: str, source: str, place: str, etag: str) -> None:
    """One CopyObject, over nothing. Raises ChangedMeanwhile if the source is not as it was listed.

    S3's documentation has two words on If-None-Match of CopyObject: the API reference has it, the user guide says 501.
    Where it is not known, a look right before has to do.
    """
    aws = client("s3")
    asked = {"Bucket": bucket, "Key": place, "CopySource": {"Bucket": bucket, "Key": source}, "CopySourceIfMatch": etag}
    try:
        try:
            aws.copy_object(**asked, IfNoneMatch="*")
        except aws.exceptions.ClientError as error:
            if code_of(error) != "NotImplemented":
                raise
            if "" not in _objects(bucket, place):
                aws.copy_object(**asked)
    except AwsError as error:
        try:
            translate(error, f"s3://{bucket}/{place}")
        except ChangedMeanwhile:
            if "" not in _objects(bucket, place):
                raise


lambda_handler = handler_for(RestoreBackup)
