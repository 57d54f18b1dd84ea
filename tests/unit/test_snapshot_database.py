"""Snapshots: named so that a repeat meets its own, safe where nothing stops, and a restore that a person can run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from selfheal.action import Change, Decline
from selfheal.clients import client, client_once
from selfheal.database_snapshot import LONGEST_ID, snapshot_id, tag_of
from selfheal.errors import ChangedMeanwhile, NotApplied, TargetNotFound
from selfheal.refusal import Refusal
from selfheal.words import Direction, Verdict

from functions.snapshot_database.app import SnapshotDatabase
from tests.unit.aws import ask, planned, script

TARGET = {"database": "Orders"}
ASK = ask("snapshot_database", TARGET)
INSTANCE = {
    "DBInstanceIdentifier": "orders",
    "DBInstanceStatus": "available",
    "Engine": "postgres",
    "MultiAZ": True,
    "DBInstanceClass": "db.t4g.medium",
    "DBSubnetGroup": {"DBSubnetGroupName": "private"},
    "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-1"}, {"VpcSecurityGroupId": "sg-2"}],
    "DBParameterGroups": [{"DBParameterGroupName": "orders-16"}],
    "OptionGroupMemberships": [{"OptionGroupName": "default:postgres-16"}],
    "PubliclyAccessible": False,
}
CLUSTER = {
    "DBClusterIdentifier": "crypto",
    "Status": "available",
    "Engine": "aurora-postgresql",
    "EngineVersion": "16.4",
    "DBSubnetGroup": "private",
    "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-3"}],
    "DBClusterParameterGroup": "crypto-16",
    "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 4.0},
    "DBClusterMembers": [
        {"DBInstanceIdentifier": "crypto-reader", "IsClusterWriter": False},
        {"DBInstanceIdentifier": "crypto-writer", "IsClusterWriter": True},
    ],
}


@pytest.fixture
def rds() -> Iterator[Any]:
    with mock_aws():
        aws = client("rds")
        aws.create_db_instance(
            DBInstanceIdentifier="orders", Engine="postgres", DBInstanceClass="db.t4g.medium", AllocatedStorage=20,
            MasterUsername="orders", MasterUserPassword="not-a-secret", MultiAZ=True,
        )  # fmt: skip
        yield aws


def seen(**more: Any) -> dict[str, Any]:
    """An instance as observe answers it."""
    with script("rds") as aws:
        aws.add_response("describe_db_instances", {"DBInstances": [{**INSTANCE, **more}]})
        return dict(SnapshotDatabase().observe(ASK))


def decided(**more: Any) -> Any:
    return SnapshotDatabase().decide(seen(**more), ASK)


# -- decide ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "direction"),
    [
        ({}, Direction.SAFE),
        ({"MultiAZ": False}, Direction.RISKY),
        ({"Engine": "sqlserver-se"}, Direction.RISKY),
        ({"DBInstanceStatus": "storage-optimization"}, Direction.SAFE),
    ],
)
def test_it_is_safe_where_nothing_stops(more: dict[str, Any], direction: Direction) -> None:
    change = decided(**more)

    assert isinstance(change, Change)
    assert change.direction is direction
    assert ("may pause" in change.summary) == (direction is Direction.RISKY)


@pytest.mark.parametrize("status", ["backing-up", "modifying", "stopped", "creating"])
def test_a_database_that_is_busy_is_to_be_asked_again(status: str) -> None:
    declined = decided(DBInstanceStatus=status)

    assert isinstance(declined, Decline)
    assert declined.refusal is Refusal.DATABASE_BUSY
    assert status in declined.detail


def test_an_instance_of_a_cluster_is_refused_with_the_cluster_s_name() -> None:
    declined = decided(DBClusterIdentifier="crypto")

    assert isinstance(declined, Decline)
    assert declined.refusal is Refusal.DATABASE_IN_CLUSTER
    assert "database_cluster: crypto" in declined.detail


ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=256)


@given(database=st.from_regex("[a-zA-Z][a-zA-Z0-9-]{0,62}", fullmatch=True), action_id=ids, incident=st.none() | ids)
def test_a_name_is_one_that_rds_takes_and_the_same_each_time(
    database: str, action_id: str, incident: str | None
) -> None:
    made = snapshot_id(database, action_id, incident, "20261121093500")

    assert made == snapshot_id(database, action_id, incident, "20261121093500")
    assert made != snapshot_id(database, action_id + "x", incident, "20261121093500")
    assert re.fullmatch("[a-z](?:[a-z0-9]|-(?!-))*[a-z0-9]", made)
    assert made.startswith("auto-")
    assert len(made) <= LONGEST_ID
    assert re.fullmatch(r"[\w .:/=+@-]{1,256}", tag_of(action_id))


def test_the_name_has_the_time_of_the_alarm_so_that_a_repeat_is_the_same() -> None:
    alarm = {"name": "a", "arn": "arn:aws:cloudwatch:x", "state_at": "1795253700000"}
    request = ask("snapshot_database", TARGET, alarms=[alarm], incident="shop-1a-1")
    now = {**seen(), "now": "2030-01-01T00:00:00+00:00"}

    change = SnapshotDatabase().decide(now, request)

    assert isinstance(change, Change)
    assert change.plan["snapshot"].startswith("auto-orders-20261121093500-shop-1a-1-")


# -- the restore, for a person -----------------------------------------------------------------------------------


def test_the_restore_of_an_instance_names_all_that_it_would_lose() -> None:
    change = decided()
    (command,) = change.plan["restore"]

    assert command.startswith("aws rds restore-db-instance-from-db-snapshot --db-instance-identifier orders-restored-")
    for part in (
        f"--db-snapshot-identifier {change.plan['snapshot']}",
        "--db-subnet-group-name private",
        "--vpc-security-group-ids sg-1 sg-2",
        "--db-parameter-group-name orders-16",
        "--multi-az",
        "--no-publicly-accessible",
    ):
        assert part in command


def test_the_restore_of_a_cluster_adds_an_instance_of_the_writer_s_class() -> None:
    request = ask("snapshot_database", {"database_cluster": "crypto"})
    with script("rds") as aws:
        aws.add_response("describe_db_clusters", {"DBClusters": [CLUSTER]}, {"DBClusterIdentifier": "crypto"})
        change = planned(SnapshotDatabase(), request)
    cluster, instance = change.plan["restore"]

    assert change.direction is Direction.SAFE
    assert "--db-cluster-parameter-group-name crypto-16" in cluster
    assert "--serverless-v2-scaling-configuration MinCapacity=0.5,MaxCapacity=4.0" in cluster
    assert "--db-instance-identifier crypto-writer" in instance
    assert "create-db-instance" in instance


# -- apply and verify --------------------------------------------------------------------------------------------


def test_a_snapshot_is_taken_once_and_is_known_by_its_tag(rds: Any) -> None:
    change = planned(SnapshotDatabase(), ASK)

    first, again = SnapshotDatabase(), SnapshotDatabase()
    assert first.apply(ASK, change) == {"created": True}
    assert again.apply(ASK, change) == {"created": False}

    seen_after = again.verify(ASK, change)
    assert seen_after.verdict is Verdict.HOLDS
    assert seen_after.evidence["restore"] == change.plan["restore"]
    assert len(rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]) == 1


def test_somebody_else_s_snapshot_of_this_name_is_not_ours(rds: Any) -> None:
    change = planned(SnapshotDatabase(), ASK)
    rds.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier=change.plan["snapshot"])

    SnapshotDatabase().apply(ASK, change)
    seen_after = SnapshotDatabase().verify(ASK, change)

    assert seen_after.verdict is Verdict.DOES_NOT_HOLD
    assert "not made by this action" in seen_after.detail


@pytest.mark.parametrize(
    ("status", "verdict"),
    [("creating", Verdict.NOT_YET), ("available", Verdict.HOLDS), ("failed", Verdict.DOES_NOT_HOLD)],
)
def test_the_state_of_the_snapshot_is_the_verdict(status: str, verdict: Verdict) -> None:
    change = recorded_change()
    tags = [{"Key": "selfheal:action", "Value": "test-1"}]
    snapshot = {"DBSnapshotIdentifier": change.plan["snapshot"], "DBInstanceIdentifier": "orders", "TagList": tags}
    with script("rds") as aws:
        aws.add_response("describe_db_snapshots", {"DBSnapshots": [{**snapshot, "Status": status}]})
        assert SnapshotDatabase().verify(ASK, change).verdict is verdict


def test_a_snapshot_that_is_not_there_was_not_taken(rds: Any) -> None:
    change = planned(SnapshotDatabase(), ASK)

    assert SnapshotDatabase().verify(ASK, change).verdict is Verdict.DOES_NOT_HOLD


@pytest.mark.parametrize(
    ("code", "error", "told"),
    [
        ("SnapshotQuotaExceeded", NotApplied, "quota of manual snapshots"),
        ("InvalidDBInstanceState", ChangedMeanwhile, "orders"),
        ("DBInstanceNotFound", TargetNotFound, "orders"),
    ],
)
def test_what_rds_refuses_is_told(code: str, error: type[Exception], told: str) -> None:
    change = recorded_change()
    with Stubber(client_once("rds")) as aws:
        aws.add_client_error("create_db_snapshot", code, "no", 400)
        with pytest.raises(error, match=told):
            SnapshotDatabase().apply(ASK, change)


def recorded_change() -> Change:
    with script("rds") as aws:
        aws.add_response("describe_db_instances", {"DBInstances": [INSTANCE]})
        return planned(SnapshotDatabase(), ASK)
