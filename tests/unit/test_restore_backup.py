"""A backup is copied next to itself: whole or refused, over nothing, and gone on with after a kill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws
from selfheal.action import AlreadyDone, Change, Decline
from selfheal.clients import client
from selfheal.errors import ChangedMeanwhile, NotApplied, Refused
from selfheal.refusal import Refusal
from selfheal.words import Direction, Verdict

from functions.restore_backup import app
from functions.restore_backup.app import RestoreBackup
from tests.unit.aws import ask, planned, script

BUCKET, DAY = "backups", "2026-11-20"
TARGET = {"bucket": BUCKET, "prefix": "daily/"}
ASK = ask("restore_backup", TARGET, options={"date": DAY}, requested_by="ann")


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        aws = client("s3")
        aws.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield aws


def put(s3: Any, *names: str, folder: str = f"daily/{DAY}/", body: bytes = b"data") -> None:
    for name in names:
        s3.put_object(Bucket=BUCKET, Key=f"{folder}{name}", Body=body, Tagging="kind=backup")


def keys(s3: Any, prefix: str = "") -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())]


def declined(request: Any = ASK) -> Decline:
    action = RestoreBackup()
    found = action.decide(action.observe(request), request)
    assert isinstance(found, Decline)
    return found


def state(**more: Any) -> dict[str, Any]:
    usual = {"from": f"daily/{DAY}/", "to": "restore/x/", "objects": 2, "bytes": 8, "copied": 0}
    return {**usual, "too_large": [], "archived": [], "foreign": [], **more}


# -- decide ------------------------------------------------------------------------------------------------------


def test_a_day_without_a_backup_is_refused(s3: Any) -> None:
    put(s3, "a", folder="daily/2026-11-19/")

    assert declined().refusal is Refusal.NO_SUCH_BACKUP


@pytest.mark.parametrize("wrong", [{"too_large": ["dump"]}, {"archived": ["dump"]}])
def test_what_one_call_can_t_copy_is_refused_with_the_command(wrong: dict[str, Any]) -> None:
    found = RestoreBackup().decide(state(**wrong), ASK)

    assert isinstance(found, Decline)
    assert found.refusal is Refusal.BACKUP_UNFIT
    command = found.evidence["command"]
    assert command == f"aws s3 cp --recursive s3://backups/daily/{DAY}/ s3://backups/restore/x/"


def test_size_and_tier_are_those_of_the_list() -> None:
    large = {"Key": f"daily/{DAY}/large", "Size": app.LARGEST_BYTES + 1, "ETag": '"1"', "StorageClass": "STANDARD"}
    cold = {"Key": f"daily/{DAY}/cold", "Size": 1, "ETag": '"2"', "StorageClass": "DEEP_ARCHIVE"}
    with script("s3") as aws:
        aws.add_response("list_objects_v2", {"Contents": [large, cold]})
        aws.add_response("list_objects_v2", {})
        seen = RestoreBackup().observe(ASK)

    assert (seen["too_large"], seen["archived"]) == (["large"], ["cold"])


@pytest.mark.parametrize("day", ["", None, "2026-1-2", "20261120", "2026-02-30", "yesterday", "2026-11-20/.."])
def test_what_is_no_day_is_refused(day: str | None) -> None:
    request = ask("restore_backup", TARGET, options={"date": day})

    with pytest.raises(Refused, match="bad_options"):
        RestoreBackup().observe(request)


@pytest.mark.parametrize("prefix", ["", "restore", "/restore/", f"daily/{DAY}/", f"daily/{DAY}/restore/"])
def test_a_place_that_is_no_folder_or_lies_in_the_backup_is_refused(prefix: str) -> None:
    request = ask("restore_backup", TARGET, options={"date": DAY, "to_prefix": prefix})

    with pytest.raises(Refused, match="bad_options"):
        RestoreBackup().observe(request)


@pytest.mark.parametrize(("name", "body"), [("other", b"data"), ("a", b"another size")])
def test_whatever_else_lies_there_is_left_alone(s3: Any, name: str, body: bytes) -> None:
    put(s3, "a")
    place = RestoreBackup().observe(ASK)["to"]
    put(s3, name, folder=place, body=body)

    found = declined()

    assert found.refusal is Refusal.PLACE_TAKEN
    assert name in found.detail


# -- apply and verify --------------------------------------------------------------------------------------------


def test_a_backup_is_copied_whole_and_stays_as_it_was(s3: Any) -> None:
    put(s3, "a", "deep/b")
    put(s3, "c", folder="daily/2026-11-201/")  # another folder that begins alike

    change = planned(RestoreBackup(), ASK)
    RestoreBackup().apply(ASK, change)
    seen = RestoreBackup().verify(ASK, change)

    place = change.plan["to"]
    assert change.direction is Direction.RISKY
    assert seen.verdict is Verdict.HOLDS
    assert keys(s3, "restore/") == [f"{place}a", f"{place}deep/b"]
    assert keys(s3, "daily/2026-11-20/") == [f"daily/{DAY}/a", f"daily/{DAY}/deep/b"]
    assert s3.get_object_tagging(Bucket=BUCKET, Key=f"{place}a")["TagSet"] == [{"Key": "kind", "Value": "backup"}]
    again = RestoreBackup()
    assert isinstance(again.decide(again.observe(ASK), ASK), AlreadyDone)
    other = ask("restore_backup", TARGET, options={"date": DAY}, action_id="test-2")
    assert planned(RestoreBackup(), other).plan["to"] != place


def test_a_later_run_copies_what_is_missing_and_no_more(s3: Any) -> None:
    put(s3, "a", "b", "c")
    change = planned(RestoreBackup(), ASK)
    put(s3, "b", folder=change.plan["to"])

    assert RestoreBackup().verify(ASK, change).verdict is Verdict.NOT_YET
    assert RestoreBackup().apply(ASK, change)["copied"] == 2
    assert RestoreBackup().verify(ASK, change).verdict is Verdict.HOLDS


def test_without_time_it_stops_and_says_so(s3: Any) -> None:
    put(s3, "a", "b")
    change = planned(RestoreBackup(), ASK)

    assert RestoreBackup(remaining_s=-1.0).apply(ASK, change) == {"left_for_the_next_run": True}
    assert RestoreBackup().verify(ASK, change).verdict is Verdict.NOT_YET


def test_a_backup_that_changed_meanwhile_is_not_called_restored(s3: Any) -> None:
    put(s3, "a")
    change = planned(RestoreBackup(), ASK)
    RestoreBackup().apply(ASK, change)
    put(s3, "late")

    assert RestoreBackup().verify(ASK, change).verdict is Verdict.DOES_NOT_HOLD


SOURCE = {"Bucket": BUCKET, "Key": "from/a"}
COPY = {"Bucket": BUCKET, "Key": "to/a", "CopySource": SOURCE, "CopySourceIfMatch": '"1"'}
HERE = {"Contents": [{"Key": "to/a", "Size": 4, "ETag": '"1"'}]}


def copy() -> None:
    app._copy(BUCKET, "from/a", "to/a", '"1"')


def test_each_copy_demands_an_unchanged_source_and_a_free_name() -> None:
    with script("s3") as aws:
        aws.add_response("copy_object", {}, {**COPY, "IfNoneMatch": "*"})
        copy()


@pytest.mark.parametrize(("there", "error"), [(HERE, None), ({}, ChangedMeanwhile)])
def test_412_is_our_own_copy_or_a_source_that_changed(there: dict[str, Any], error: type[Exception] | None) -> None:
    with script("s3") as aws:
        aws.add_client_error("copy_object", "PreconditionFailed", "At least one", 412)
        aws.add_response("list_objects_v2", there)
        if error is None:
            copy()
        else:
            with pytest.raises(error):
                copy()


@pytest.mark.parametrize("there", [HERE, {}])
def test_where_s3_does_not_know_the_condition_a_look_has_to_do(there: dict[str, Any]) -> None:
    with script("s3") as aws:
        aws.add_client_error("copy_object", "NotImplemented", "A header", 501)
        aws.add_response("list_objects_v2", there)
        if not there:
            aws.add_response("copy_object", {}, COPY)
        copy()


def test_a_failure_of_one_object_is_told_and_the_others_go_on(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, "a", "b")
    change, real = planned(RestoreBackup(), ASK), app._copy

    def broken(bucket: str, source: str, place: str, etag: str) -> None:
        if source.endswith("a"):
            raise NotApplied("not this one")
        real(bucket, source, place, etag)

    monkeypatch.setattr(app, "_copy", broken)
    action = RestoreBackup()
    assert action.apply(ASK, change)["copied"] == 1
    seen = action.verify(ASK, change)

    assert seen.verdict is Verdict.DOES_NOT_HOLD
    assert seen.evidence["failed"] == {"a": "not this one"}


def test_the_change_fits_into_one_item_of_the_ledger(s3: Any) -> None:
    put(s3, *(f"{number:04}" for number in range(30)))

    change = planned(RestoreBackup(), ASK)

    assert isinstance(change, Change)
    assert len(str(change.plan)) < 400
