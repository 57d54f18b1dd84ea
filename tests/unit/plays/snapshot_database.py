"""Plays of functions/snapshot_database: an instance with a standby, one without, a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.clients import client

if TYPE_CHECKING:
    from tests.unit.stage import Play, Stage

VARIANTS = {"snapshot_a_single_zone": "snapshot_database", "snapshot_a_cluster": "snapshot_database"}


def snapshot_database(stage: Stage, number: int) -> Play:
    """With a standby: nothing stops."""
    return _instance(stage, number, multi_az=True)


def snapshot_a_single_zone(stage: Stage, number: int) -> Play:
    """Its I/O may stop."""
    return _instance(stage, number, multi_az=False)


def _instance(stage: Stage, number: int, *, multi_az: bool) -> Play:
    from tests.unit.stage import Play  # noqa: PLC0415 - the stage imports the plays

    name, aws = f"shop-{number}", client("rds")
    aws.create_db_instance(
        DBInstanceIdentifier=name, Engine="postgres", DBInstanceClass="db.t4g.medium", AllocatedStorage=20,
        MasterUsername="shop", MasterUserPassword="not-a-secret", MultiAZ=multi_az,
    )  # fmt: skip

    def look() -> int:
        return len(aws.describe_db_snapshots(DBInstanceIdentifier=name, SnapshotType="manual")["DBSnapshots"])

    target = {"database": name}
    # Without the ledger a repeat makes the call again; the name is the same, and RDS takes one snapshot of it.
    return Play(number, "snapshot_database", target, look, 1, ("rds.create_db_snapshot",), None, stage.by_an_alarm)


def snapshot_a_cluster(stage: Stage, number: int) -> Play:
    """Aurora."""
    from tests.unit.stage import Play  # noqa: PLC0415 - the stage imports the plays

    name, aws = f"aurora-{number}", client("rds")
    aws.create_db_cluster(
        DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="shop", MasterUserPassword="not-a-secret"
    )

    def look() -> int:
        return len(
            aws.describe_db_cluster_snapshots(DBClusterIdentifier=name, SnapshotType="manual")["DBClusterSnapshots"]
        )

    effects = ("rds.create_db_cluster_snapshot",)
    target = {"database_cluster": name}
    return Play(number, "snapshot_database", target, look, 1, effects, None, stage.by_an_alarm)


PLAYS = (snapshot_database, snapshot_a_single_zone, snapshot_a_cluster)
