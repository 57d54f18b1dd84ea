"""Take a snapshot of an RDS instance or an Aurora cluster, before somebody tries something on it.

Alarm: a database in trouble, or a database migration that is about to be rolled back by hand.
Action: `snapshot_database`; safe where it costs nothing (Aurora; Multi-AZ, save SQL Server), else risky: an instance in
a single zone stops its I/O for seconds to minutes.
Precondition: the database is available (or optimizing its storage); otherwise it is to be asked again later.

The name is made of the action and of the time of the alarm, so that a repeat meets its own snapshot; a day alone would
collide with the second snapshot of that day. An instance of a cluster has no snapshots of its own: the cluster has.
Taking one lasts minutes to hours; the clock looks until RDS says `available`.

Never: restores (the evidence has the commands for a person: always into a new name, with the security groups, subnets
and parameter group that a restore would otherwise lose), deletes a snapshot, not even its own (they cost money and
never expire), or takes the snapshot of somebody else for its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from selfheal.action import Action, Change, Decision, Decline, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client, client_once
from selfheal.database_snapshot import READY, TAG, loses_nothing, restore_commands, snapshot_id, tag_of
from selfheal.errors import ChangedMeanwhile, NotApplied, TargetNotFound
from selfheal.handler import handler_for
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

QUOTA = "the quota of manual snapshots is used up: delete old ones, or ask AWS for more"


class SnapshotDatabase(Action):
    """AWS calls: 1 to observe, 1 to apply, 1 to verify."""

    name = "snapshot_database"
    permissions = (
        "rds:CreateDBClusterSnapshot",
        "rds:CreateDBSnapshot",
        "rds:DescribeDBClusterSnapshots",
        "rds:DescribeDBClusters",
        "rds:DescribeDBInstances",
        "rds:DescribeDBSnapshots",
    )
    reversible = False

    def observe(self, request: Request) -> State:
        """The database, as far as a snapshot and a restore need it."""
        seen = _cluster(request) if _is_cluster(request) else _instance(request)
        return {**seen, "now": datetime.now(UTC).isoformat()}

    def decide(self, state: State, request: Request) -> Decision:
        """Refuse what RDS would refuse, by name; tell what it costs."""
        name = state["name"]
        if state["member_of"]:
            cluster = state["member_of"]
            detail = f"{name} is a member of the cluster {cluster}; the target is database_cluster: {cluster}"
            return Decline(Refusal.DATABASE_IN_CLUSTER, detail)
        if state["status"] not in READY:
            return Decline(Refusal.DATABASE_BUSY, f"{name} is {state['status']}; ask again once it is available")
        free = loses_nothing(state)
        moment = _moment(request, state)
        snapshot = snapshot_id(name, request.action_id, request.incident, moment)
        cost = "without a pause" if free else "its I/O may pause for seconds to minutes"
        return Change(
            direction=Direction.SAFE if free else Direction.RISKY,
            summary=f"take snapshot {snapshot} of {name}: {cost}",
            after={"snapshot": snapshot},
            plan={"snapshot": snapshot, "restore": restore_commands(state, snapshot, moment)},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One call that is not repeated by the SDK. Whether it took effect is read, by the name."""
        self._called = True
        snapshot = change.plan["snapshot"]
        tags = [{"Key": TAG, "Value": tag_of(request.action_id)}]
        aws, name = client_once("rds"), _name(request)
        try:
            if _is_cluster(request):
                aws.create_db_cluster_snapshot(
                    DBClusterSnapshotIdentifier=snapshot, DBClusterIdentifier=name, Tags=tags
                )
            else:
                aws.create_db_snapshot(DBSnapshotIdentifier=snapshot, DBInstanceIdentifier=name, Tags=tags)
        except (aws.exceptions.DBSnapshotAlreadyExistsFault, aws.exceptions.DBClusterSnapshotAlreadyExistsFault):
            return {"created": False}
        except aws.exceptions.SnapshotQuotaExceededFault as error:
            raise NotApplied(f"snapshot of {name}: {QUOTA} ({error})") from error
        except (
            aws.exceptions.InvalidDBInstanceStateFault,
            aws.exceptions.InvalidDBClusterStateFault,
        ) as error:
            raise ChangedMeanwhile(f"snapshot of {name}: {error}") from error
        except AwsError as error:
            translate(error, f"snapshot of {name}")
        return {"created": True}

    def verify(self, request: Request, change: Change) -> Verification:
        """`available` is done, `creating` is not yet; `failed`, and one that another action made, is not ours."""
        snapshot = change.plan["snapshot"]
        told = {"snapshot": snapshot, "restore": change.plan["restore"]}
        try:
            status, made_by, of = _seen(request, snapshot)
        except TargetNotFound:
            verdict = Verdict.NOT_YET if self._called else Verdict.DOES_NOT_HOLD
            return Verification(verdict, detail=f"there is no snapshot {snapshot} yet")
        if (made_by, of) != (tag_of(request.action_id), _name(request)):
            detail = f"{snapshot} is of {of} and not made by this action"
            return Verification(Verdict.DOES_NOT_HOLD, {"snapshot": None}, detail)
        if status == "available":
            return Verification(Verdict.HOLDS, {"snapshot": snapshot}, change.summary, told)
        if status == "creating":
            return Verification(Verdict.NOT_YET, {"snapshot": snapshot}, f"{snapshot} is creating", told)
        return Verification(Verdict.DOES_NOT_HOLD, {"snapshot": snapshot}, f"{snapshot} is {status}")


def _is_cluster(request: Request) -> bool:
    return request.target.kind == "database_cluster"


def _name(request: Request) -> str:
    """RDS keeps names in lower case."""
    return str(request.target[request.target.kind]).lower()


def _moment(request: Request, state: State) -> str:
    """When the alarm changed its state, which is the same for a repeat; by hand, now."""
    state_at = request.alarms[0].state_at if request.alarms else ""
    seconds = int(state_at) / 1000 if 12 <= len(state_at) <= 14 else None
    moment = datetime.fromtimestamp(seconds, UTC) if seconds else datetime.fromisoformat(state["now"])
    return f"{moment:%Y%m%d%H%M%S}"


def _instance(request: Request) -> dict[str, Any]:
    name = _name(request)
    try:
        (found,) = client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    except AwsError as error:
        translate(error, f"database {name}")
    return {
        "name": name,
        "is_cluster": False,
        "member_of": found.get("DBClusterIdentifier", ""),
        "status": found["DBInstanceStatus"],
        "engine": found["Engine"],
        "multi_az": bool(found.get("MultiAZ")),
        "class": found.get("DBInstanceClass", ""),
        "subnet_group": found.get("DBSubnetGroup", {}).get("DBSubnetGroupName", ""),
        "security_groups": [one["VpcSecurityGroupId"] for one in found.get("VpcSecurityGroups", ())],
        "parameter_group": next((one["DBParameterGroupName"] for one in found.get("DBParameterGroups", ())), ""),
        "option_group": next((one["OptionGroupName"] for one in found.get("OptionGroupMemberships", ())), ""),
        "public": bool(found.get("PubliclyAccessible")),
    }


def _cluster(request: Request) -> dict[str, Any]:
    name = _name(request)
    try:
        (found,) = client("rds").describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
    except AwsError as error:
        translate(error, f"database cluster {name}")
    writer = (one["DBInstanceIdentifier"] for one in found.get("DBClusterMembers", ()) if one.get("IsClusterWriter"))
    scaling = found.get("ServerlessV2ScalingConfiguration") or {}
    return {
        "name": name,
        "is_cluster": True,
        "member_of": "",
        "status": found["Status"],
        "engine": found["Engine"],
        "version": found.get("EngineVersion", ""),
        "multi_az": bool(found.get("MultiAZ")) and found["Engine"].startswith("aurora"),
        "subnet_group": found.get("DBSubnetGroup", ""),
        "security_groups": [one["VpcSecurityGroupId"] for one in found.get("VpcSecurityGroups", ())],
        "parameter_group": found.get("DBClusterParameterGroup", ""),
        "scaling": {name: scaling[name] for name in ("MinCapacity", "MaxCapacity") if name in scaling},
        "writer": next(writer, ""),
    }


def _seen(request: Request, snapshot: str) -> tuple[str, str, str]:
    """Status, the action in its tag, the database that it is of. Raises TargetNotFound."""
    aws = client("rds")
    try:
        if _is_cluster(request):
            answer = aws.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=snapshot)
            found, of = answer["DBClusterSnapshots"], "DBClusterIdentifier"
        else:
            found, of = aws.describe_db_snapshots(DBSnapshotIdentifier=snapshot)["DBSnapshots"], "DBInstanceIdentifier"
    except AwsError as error:
        translate(error, f"snapshot {snapshot}")
    if not found:
        raise TargetNotFound(f"snapshot {snapshot}")
    tags = {tag["Key"]: tag["Value"] for tag in found[0].get("TagList", ())}
    return found[0]["Status"], tags.get(TAG, ""), found[0][of].lower()


lambda_handler = handler_for(SnapshotDatabase)
