"""What a snapshot of a database is called, whether taking it costs anything, and how a person restores from it.

A restore always makes a new instance, and what the command leaves out falls back to a default: security group,
parameter group, subnets, a single zone (API reference). So the command names what the database had.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

READY = ("available", "storage-optimization")
"""States in which RDS takes a snapshot of an instance (API reference of CreateDBSnapshot)."""
LONGEST_ID = 255
TAG = "selfheal:action"


def snapshot_id(database: str, action_id: str, incident: str | None, moment: str) -> str:
    """`auto-<database>-<moment>-<incident>-<digest>`; the same for the same action and moment.

    `moment` as yyyymmddhhmmss in UTC. The digest is the action's: two steps of one incident are two snapshots. Letters,
    digits and single hyphens, and a letter first, as RDS wants it.
    """
    digest = hashlib.sha256(action_id.encode()).hexdigest()[:8]
    parts = ["auto", database[:63], moment, (incident or "by-hand")[:100], digest]
    plain = re.sub("[^a-z0-9]+", "-", "-".join(parts).lower())
    return plain[:LONGEST_ID].strip("-")


def tag_of(action_id: str) -> str:
    """The value of the tag that says whose snapshot it is; a tag takes fewer characters than an id."""
    return re.sub(r"[^A-Za-z0-9 _.:/=+@-]", "_", action_id)[:256]


def loses_nothing(found: Mapping[str, Any]) -> bool:
    """No pause of I/O: Aurora's storage takes snapshots by itself; Multi-AZ takes them from the standby, save for SQL
    Server (RDS user guide, creating a snapshot)."""
    engine = str(found["engine"])
    return engine.startswith("aurora") or (bool(found["multi_az"]) and not engine.startswith("sqlserver"))


def restore_commands(found: Mapping[str, Any], snapshot: str, moment: str) -> list[str]:
    """The commands for a person, complete, into a new name."""
    name = f"{found['name'][:40]}-restored-{moment}"
    return _of_cluster(found, snapshot, name) if found["is_cluster"] else [_of_instance(found, snapshot, name)]


def _of_instance(found: Mapping[str, Any], snapshot: str, name: str) -> str:
    return _command(
        "restore-db-instance-from-db-snapshot",
        ("--db-instance-identifier", name),
        ("--db-snapshot-identifier", snapshot),
        ("--db-instance-class", found["class"]),
        ("--db-subnet-group-name", found["subnet_group"]),
        ("--vpc-security-group-ids", *found["security_groups"]),
        ("--db-parameter-group-name", found["parameter_group"]),
        ("--option-group-name", found["option_group"]),
        ("--multi-az" if found["multi_az"] else "--no-multi-az",),
        ("--publicly-accessible" if found["public"] else "--no-publicly-accessible",),
        ("--deletion-protection",),
    )


def _of_cluster(found: Mapping[str, Any], snapshot: str, name: str) -> list[str]:
    """An Aurora cluster is restored without an instance; one of the writer's class is added."""
    scaling = found["scaling"]
    limits = f"MinCapacity={scaling['MinCapacity']},MaxCapacity={scaling['MaxCapacity']}" if scaling else ""
    cluster = _command(
        "restore-db-cluster-from-snapshot",
        ("--db-cluster-identifier", name),
        ("--snapshot-identifier", snapshot),
        ("--engine", found["engine"]),
        ("--engine-version", found["version"]),
        ("--db-subnet-group-name", found["subnet_group"]),
        ("--vpc-security-group-ids", *found["security_groups"]),
        ("--db-cluster-parameter-group-name", found["parameter_group"]),
        ("--serverless-v2-scaling-configuration", limits),
        ("--deletion-protection",),
    )
    if not found["writer"]:
        return [cluster]
    asked = f"aws rds describe-db-instances --db-instance-identifier {shlex.quote(found['writer'])}"
    same_class = f'"$({asked} --query DBInstances[0].DBInstanceClass --output text)"'
    instance = _command(
        "create-db-instance",
        ("--db-instance-identifier", f"{name}-1"),
        ("--db-cluster-identifier", name),
        ("--engine", found["engine"]),
    )
    return [cluster, f"{instance} --db-instance-class {same_class}"]


def _command(name: str, *parts: Iterable[Any]) -> str:
    """`aws rds <name> …`; an option without its value is left out."""
    words = ["aws", "rds", name]
    for option, *values in parts:
        if not values or all(values):
            words += [option, *values]
    return " ".join(shlex.quote(str(word)) for word in words)
