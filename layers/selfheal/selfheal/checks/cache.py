"""Is a Redis, Valkey or Memcached of ElastiCache available?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field
from selfheal.clients import client

KIND = CheckKind(
    "cache",
    "an ElastiCache replication group, cluster or serverless cache is available, with all its parts",
    {
        "replication_group": Field(str, help="id of a replication group (Redis, Valkey)"),
        "cache_cluster": Field(str, help="id of a single cluster (Memcached, or one node)"),
        "serverless_cache": Field(str, help="name of a serverless cache"),
    },
    either=("replication_group", "cache_cluster", "serverless_cache"),
    named_by=("replication_group", "cache_cluster", "serverless_cache"),
)
SERVICES = ("elasticache",)
PERMISSIONS = (
    "elasticache:DescribeCacheClusters",
    "elasticache:DescribeReplicationGroups",
    "elasticache:DescribeServerlessCaches",
)

ADVICE: Mapping[str, str] = {
    "create-failed": "delete it and create it again, in its template",
    "incompatible-network": "see that its subnets have free addresses",
    "restore-failed": "restore it again from another snapshot",
    "deleting": "somebody deletes it",
}
WAIT = "wait: AWS works on it; what it holds can be slow or gone meanwhile"


def look(check: Check) -> list[Finding]:
    """DescribeReplicationGroups, DescribeCacheClusters with its nodes, or DescribeServerlessCaches."""
    try:
        parts, told = _read(check)
    except AwsError as error:
        translate(error, f"cache {check.resource}")
    problems = [
        Problem(f"{part} is {status}", "available", ADVICE.get(status, WAIT))
        for part, status in parts.items()
        if status != "available"
    ]
    return findings(check, problems, f"available{told}")


def _read(check: Check) -> tuple[Mapping[str, str], str]:
    """The status of the whole and of its parts, and what else a person should know."""
    if name := check["replication_group"]:
        (group,) = client("elasticache").describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"]
        shards = {f"shard {one['NodeGroupId']}": one["Status"].lower() for one in group.get("NodeGroups", [])}
        failover = group.get("AutomaticFailover", "disabled")
        told = "" if failover == "enabled" else f"; automatic failover is {failover}: a lost node is an outage"
        return {"it": _status(group, "Status"), **shards}, told
    if name := check["cache_cluster"]:
        asked = {"CacheClusterId": name, "ShowCacheNodeInfo": True}
        (cluster,) = client("elasticache").describe_cache_clusters(**asked)["CacheClusters"]
        nodes = {f"node {one['CacheNodeId']}": _status(one, "CacheNodeStatus") for one in cluster.get("CacheNodes", [])}
        return {"it": _status(cluster, "CacheClusterStatus"), **nodes}, f", {len(nodes)} nodes"
    asked = {"ServerlessCacheName": check["serverless_cache"]}
    (cache,) = client("elasticache").describe_serverless_caches(**asked)["ServerlessCaches"]
    return {"it": _status(cache, "Status")}, ""


def _status(seen: Mapping[str, Any], name: str) -> str:
    return str(seen.get(name, "unknown")).lower()
