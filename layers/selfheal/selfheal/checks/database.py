"""Is a database there and available, and does a change wait for its maintenance window?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Problem, findings, unknown
from selfheal.checks.kind import Check, CheckKind, Field
from selfheal.clients import client
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable

KIND = CheckKind(
    "database",
    "an RDS instance or an Aurora cluster is available",
    {
        "database": Field(str, help="instance identifier"),
        "database_cluster": Field(str, help="cluster identifier"),
    },
    either=("database", "database_cluster"),
    named_by=("database", "database_cluster"),
)
SERVICES = ("rds",)
PERMISSIONS = ("rds:DescribeDBClusters", "rds:DescribeDBInstances")

PER_CALL = 100
"""Identifiers in one filter, and records in one page."""
USABLE = ("available", "backing-up", "storage-optimization")
"""Statuses in which a database answers (RDS user guide, status of a DB instance)."""
ADVICE: Mapping[str, str] = {
    "stopped": "`aws rds start-db-{what} --db-{what}-identifier {name}`",
    "stopping": "`aws rds start-db-{what} --db-{what}-identifier {name}` once it is stopped",
    "storage-full": "`aws rds modify-db-{what} --db-{what}-identifier {name} --allocated-storage GB"
    " --apply-immediately`",
    "failed": "restore it beside the old one from a snapshot or to a point in time: a decision of a person",
    "inaccessible-encryption-credentials": "see its KMS key: disabled, deleted, or its grant withdrawn",
    "inaccessible-encryption-credentials-recoverable": "enable its KMS key again, then start the database",
    "incompatible-network": "see that its subnets have free addresses",
    "incompatible-parameters": "correct its parameter group and reboot it",
    "deleting": "somebody deletes it: `aws rds describe-db-snapshots` shows what there is to restore",
}
WAIT = "wait: AWS works on it, and snapshots or changes are refused meanwhile"

Described = Mapping[str, Mapping[str, Any]]


def look_all(checks: Sequence[Check]) -> list[list[Finding]]:
    """DescribeDBInstances and DescribeDBClusters, a hundred identifiers at a time."""
    instances = _ask("database", checks, "DBInstance", "db-instance-id")
    clusters = _ask("database_cluster", checks, "DBCluster", "db-cluster-id")
    return [
        _judge(check, "instance", instances, _instance)
        if check["database"]
        else _judge(check, "cluster", clusters, _cluster)
        for check in checks
    ]


def _ask(field: str, checks: Sequence[Check], what: str, filter_name: str) -> Described | Exception:
    """By identifier, which RDS keeps in lower case; or the error that stands for all of them."""
    names = sorted({check[field].lower() for check in checks if check[field]})
    try:
        return {one[f"{what}Identifier"]: one for one in _pages(names, what, filter_name)}
    except (TargetForbidden, Unreadable, NotApplied) as error:
        return error


def _pages(names: Sequence[str], what: str, filter_name: str) -> Iterable[Mapping[str, Any]]:
    for start in range(0, len(names), PER_CALL):
        chosen = [{"Name": filter_name, "Values": names[start : start + PER_CALL]}]
        try:
            paginator = client("rds").get_paginator(f"describe_db_{what[2:].lower()}s")
            for page in paginator.paginate(Filters=chosen, PaginationConfig={"PageSize": PER_CALL}):
                yield from page[f"{what}s"]
        except AwsError as error:
            try:
                translate(error, "databases")
            except TargetNotFound:
                continue


def _judge(
    check: Check, what: str, seen: Described | Exception, more: Callable[[Mapping[str, Any]], tuple[list[Problem], str]]
) -> list[Finding]:
    if isinstance(seen, Exception):
        return [unknown(check, str(seen))]
    one = seen.get(check.resource.lower())
    if one is None:
        advice = "correct the identifier; a deleted one is restored from a snapshot, by a person"
        return findings(check, [Problem(f"there is no such {what}", "it exists", advice)], "")
    status = str(one.get("DBInstanceStatus") or one.get("Status"))
    problems, notes = more(one)
    if status not in USABLE:
        advice = ADVICE.get(status, WAIT).format(what=what, name=check.resource)
        problems.insert(0, Problem(f"it is {status}", "available", advice))
    waiting = sorted(one.get("PendingModifiedValues") or {})
    later = f"; {', '.join(waiting)} will change in its maintenance window" if waiting else ""
    return findings(check, problems, f"{status}, {notes}{later}")


def _instance(one: Mapping[str, Any]) -> tuple[list[Problem], str]:
    return [], "Multi-AZ" if one.get("MultiAZ") else "in one zone only: a snapshot stops its I/O for a moment"


def _cluster(one: Mapping[str, Any]) -> tuple[list[Problem], str]:
    members = one.get("DBClusterMembers", [])
    told = f"{len(members)} instances" + ("" if one.get("MultiAZ") else ", in one zone only")
    if any(member.get("IsClusterWriter") for member in members):
        return [], told
    advice = "`aws rds failover-db-cluster` if it has a reader; else add an instance"
    return [Problem(f"none of its {len(members)} instances is the writer", "a writer", advice)], told
