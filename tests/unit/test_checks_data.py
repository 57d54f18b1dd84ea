"""Checks of what keeps something: databases, caches, Timestream, secrets, and the group in front of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.discovery import EndpointDiscoveryRefreshFailed
from selfheal.checks import timestream
from selfheal.clients import client

from tests.unit.aws import script
from tests.unit.checking import DENIED, found, refusal_of, the_only, told


def ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


# -- database ---------------------------------------------------------------------------------------------------------


def instance(name: str = "orders", **more: Any) -> dict[str, Any]:
    return {"DBInstanceIdentifier": name, "DBInstanceStatus": "available", "MultiAZ": True, **more}


def cluster(name: str = "ledger", **more: Any) -> dict[str, Any]:
    members = [{"DBInstanceIdentifier": "ledger-1", "IsClusterWriter": True}]
    return {"DBClusterIdentifier": name, "Status": "available", "MultiAZ": True, "DBClusterMembers": members, **more}


@pytest.mark.parametrize(
    ("seen", "mark", "words"),
    [
        ([instance()], "pass", "Multi-AZ"),
        ([instance(MultiAZ=False)], "pass", "one zone only"),
        ([instance(DBInstanceStatus="backing-up")], "pass", "backing-up"),
        ([instance(PendingModifiedValues={"MasterUserPassword": "****"})], "pass", "MasterUserPassword will change"),
        ([instance(DBInstanceStatus="modifying")], "fail", "modifying"),
        ([instance(DBInstanceStatus="storage-full")], "fail", "storage-full"),
        ([], "fail", "no such instance"),
        ([instance("other")], "fail", "no such instance"),
    ],
)
def test_an_instance(seen: list[dict[str, Any]], mark: str, words: str) -> None:
    with script("rds") as aws:
        chosen = [{"Name": "db-instance-id", "Values": ["orders"]}]
        aws.add_response("describe_db_instances", {"DBInstances": seen}, {"Filters": chosen, "MaxRecords": 100})

        finding = the_only({"database": {"database": "Orders"}})

    assert (finding.verdict, finding.resource) == (mark, "Orders")
    assert words in finding.seen
    assert "****" not in finding.seen


def test_the_advice_names_the_command_or_says_wait() -> None:
    for status, words in (("modifying", "wait"), ("stopped", "start-db-instance --db-instance-identifier orders")):
        with script("rds") as aws:
            aws.add_response("describe_db_instances", {"DBInstances": [instance(DBInstanceStatus=status)]})

            assert words in the_only({"database": {"database": "orders"}}).advice


@pytest.mark.parametrize(
    ("seen", "marks"),
    [
        ([cluster()], ["pass"]),
        ([cluster(Status="failing-over")], ["fail"]),
        ([cluster(DBClusterMembers=[])], ["fail"]),
        ([cluster(Status="stopped", DBClusterMembers=[])], ["fail", "fail"]),
        ([], ["fail"]),
    ],
)
def test_a_cluster(seen: list[dict[str, Any]], marks: list[str]) -> None:
    with script("rds") as aws:
        aws.add_response("describe_db_clusters", {"DBClusters": seen})

        assert told({"database": {"database_cluster": "ledger"}}) == marks


def test_databases_are_asked_for_together_and_one_error_spoils_only_its_own_kind() -> None:
    names = [f"db-{number:03}" for number in range(120)]
    with script("rds") as aws:
        for part in (names[:100], names[100:]):
            asked = {"Filters": [{"Name": "db-instance-id", "Values": part}], "MaxRecords": 100}
            aws.add_response("describe_db_instances", {"DBInstances": [instance(name) for name in part]}, asked)
        aws.add_client_error("describe_db_clusters", DENIED)

        checks = [{"database": {"database": name}} for name in names]
        marks = told({"database": {"database_cluster": "ledger"}}, *checks)

    assert marks == ["unknown", *["pass"] * 120]


def test_a_database_that_rds_does_not_know_is_a_failure_of_its_own() -> None:
    with script("rds") as aws:
        aws.add_client_error("describe_db_instances", "DBInstanceNotFound")

        assert told({"database": {"database": "orders"}}) == ["fail"]


# -- cache ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "marks"),
    [
        ({"Status": "available", "AutomaticFailover": "enabled"}, ["pass"]),
        ({"Status": "available", "NodeGroups": [{"NodeGroupId": "1", "Status": "available"}]}, ["pass"]),
        ({"Status": "modifying"}, ["fail"]),
        ({"Status": "available", "NodeGroups": [{"NodeGroupId": "1", "Status": "creating"}]}, ["fail"]),
    ],
)
def test_a_replication_group(seen: dict[str, Any], marks: list[str]) -> None:
    with script("elasticache") as aws:
        asked = {"ReplicationGroupId": "prices"}
        aws.add_response("describe_replication_groups", {"ReplicationGroups": [seen]}, asked)

        assert told({"cache": {"replication_group": "prices"}}) == marks


def test_a_group_without_failover_passes_and_says_so() -> None:
    with script("elasticache") as aws:
        aws.add_response("describe_replication_groups", {"ReplicationGroups": [{"Status": "available"}]})

        assert "a lost node is an outage" in the_only({"cache": {"replication_group": "prices"}}).seen


@pytest.mark.parametrize(("node", "marks"), [("available", ["pass"]), ("rebooting", ["fail"])])
def test_a_cache_cluster_with_its_nodes(node: str, marks: list[str]) -> None:
    with script("elasticache") as aws:
        nodes = [{"CacheNodeId": "0001", "CacheNodeStatus": node}]
        seen = {"CacheClusterStatus": "available", "CacheNodes": nodes}
        asked = {"CacheClusterId": "sessions", "ShowCacheNodeInfo": True}
        aws.add_response("describe_cache_clusters", {"CacheClusters": [seen]}, asked)

        assert told({"cache": {"cache_cluster": "sessions"}}) == marks


@pytest.mark.parametrize(("status", "marks"), [("AVAILABLE", ["pass"]), ("CREATE-FAILED", ["fail"])])
def test_a_serverless_cache(status: str, marks: list[str]) -> None:
    with script("elasticache") as aws:
        aws.add_response("describe_serverless_caches", {"ServerlessCaches": [{"Status": status}]})

        assert told({"cache": {"serverless_cache": "quotes"}}) == marks


@pytest.mark.parametrize(
    ("field", "call", "code"),
    [
        ("replication_group", "describe_replication_groups", "ReplicationGroupNotFoundFault"),
        ("cache_cluster", "describe_cache_clusters", "CacheClusterNotFound"),
        ("serverless_cache", "describe_serverless_caches", "ServerlessCacheNotFoundFault"),
    ],
)
def test_a_cache_that_is_missing_fails_and_one_out_of_reach_is_unknown(field: str, call: str, code: str) -> None:
    for given, mark in ((code, "fail"), (DENIED, "unknown")):
        with script("elasticache") as aws:
            aws.add_client_error(call, given)

            assert told({"cache": {field: "c"}}) == [mark]


# -- Timestream -------------------------------------------------------------------------------------------------------


def test_a_timestream_database(monkeypatch: pytest.MonkeyPatch) -> None:
    class Write:
        def __init__(self, error: Exception | None = None) -> None:
            self.error = error

        def describe_database(self, DatabaseName: str) -> dict[str, Any]:  # noqa: N803 - AWS's name
            if self.error:
                raise self.error
            return {"Database": {"DatabaseName": DatabaseName, "TableCount": 3}}

    missing = client("timestream-write").exceptions.ResourceNotFoundException(
        {"Error": {"Code": "ResourceNotFoundException"}}, "DescribeDatabase"
    )
    for error, mark in ((None, "pass"), (missing, "fail"), (EndpointDiscoveryRefreshFailed(), "unknown")):
        monkeypatch.setattr(timestream, "client", lambda service, error=error: Write(error))

        finding = the_only({"timestream": "market"})

        assert finding.verdict == mark
        assert "DescribeEndpoints" in finding.seen or mark != "unknown"


# -- secrets ----------------------------------------------------------------------------------------------------------

CURRENT = {"VersionIdsToStages": {"v" * 32: ["AWSCURRENT"]}}
PENDING = {"VersionIdsToStages": {"v" * 32: ["AWSCURRENT"], "p" * 32: ["AWSPENDING"]}}
ROTATED = {"VersionIdsToStages": {"v" * 32: ["AWSCURRENT", "AWSPENDING"]}}


@pytest.mark.parametrize(
    ("seen", "mark", "words"),
    [
        ({**CURRENT, "LastChangedDate": ago(5)}, "pass", "last changed"),
        (CURRENT, "pass", "not told"),
        (ROTATED, "pass", ""),
        ({**CURRENT, "DeletedDate": ago(5)}, "fail", "nobody can read it"),
        ({}, "fail", "no current version"),
        ({**CURRENT, "RotationEnabled": True, "NextRotationDate": ago(60)}, "fail", "was due"),
        ({**CURRENT, "RotationEnabled": True, "NextRotationDate": ago(-60)}, "pass", ""),
    ],
)
def test_a_secret(seen: dict[str, Any], mark: str, words: str) -> None:
    with script("secretsmanager") as aws:
        aws.add_response("describe_secret", seen, {"SecretId": "shop/key"})

        finding = the_only({"secrets": {"names": ["shop/key"]}})

    assert (finding.verdict, finding.resource) == (mark, "shop/key")
    assert words in finding.seen


@pytest.mark.parametrize(("minutes", "mark"), [(10, "unknown"), (90, "fail")])
def test_a_rotation_that_takes_too_long_is_stuck(minutes: int, mark: str) -> None:
    with script("secretsmanager") as aws:
        aws.add_response("describe_secret", PENDING)
        versions = [
            {"VersionId": "v" * 32, "CreatedDate": ago(900)},
            {"VersionId": "p" * 32, "CreatedDate": ago(minutes)},
        ]
        aws.add_response("list_secret_version_ids", {"Versions": versions})

        finding = the_only({"secrets": {"names": ["shop/key"]}})

    assert finding.verdict == mark
    assert f"pending for {minutes} minutes" in finding.seen


@pytest.mark.parametrize(("published", "mark"), [(120, "fail"), (5, "pass")])
def test_a_version_knows_only_the_secrets_of_its_day(published: int, mark: str) -> None:
    with script("secretsmanager") as aws, script("lambda") as functions:
        seen = {"Version": "7", "LastModified": ago(published).strftime("%Y-%m-%dT%H:%M:%S.000+0000")}
        functions.add_response("get_function_configuration", seen, {"FunctionName": "f", "Qualifier": "live"})
        aws.add_response("describe_secret", {**CURRENT, "LastChangedDate": ago(60)})

        finding = the_only({"secrets": {"names": ["shop/key"], "function": "f", "alias": "live"}})

    assert finding.verdict == mark
    assert "version 7 behind live" in finding.seen or mark == "pass"


def test_each_secret_has_a_finding_of_its_own() -> None:
    with script("secretsmanager") as aws:
        aws.add_client_error("describe_secret", "ResourceNotFoundException")
        aws.add_response("describe_secret", CURRENT)

        findings = found({"secrets": {"names": ["a", "b"]}})

    assert [(finding.resource, finding.verdict.value) for finding in findings] == [("a", "fail"), ("b", "pass")]


def test_secrets_out_of_reach_are_unknown_and_half_a_consumer_is_refused() -> None:
    with script("secretsmanager") as aws:
        aws.add_client_error("describe_secret", DENIED)

        assert told({"secrets": {"names": ["a"]}}) == ["unknown"]
    assert "function and alias go together" in refusal_of({"secrets": {"names": ["a"], "function": "f"}})


# -- security group ---------------------------------------------------------------------------------------------------

TCP = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432}


def rule(**more: Any) -> dict[str, Any]:
    return {**TCP, **more}


def group_pair(name: str) -> list[dict[str, str]]:
    return [{"GroupId": name}]


@pytest.mark.parametrize(
    ("rules", "source", "marks"),
    [
        ([rule(UserIdGroupPairs=group_pair("sg-app"))], {"from_group": "sg-app"}, ["pass"]),
        ([rule(UserIdGroupPairs=group_pair("sg-other"))], {"from_group": "sg-app"}, ["fail"]),
        ([rule(FromPort=0, ToPort=65535, UserIdGroupPairs=group_pair("sg-app"))], {"from_group": "sg-app"}, ["pass"]),
        ([{"IpProtocol": "-1", "UserIdGroupPairs": group_pair("sg-app")}], {"from_group": "sg-app"}, ["pass"]),
        ([rule(IpProtocol="6", UserIdGroupPairs=group_pair("sg-app"))], {"from_group": "sg-app"}, ["pass"]),
        ([rule(IpProtocol="udp", UserIdGroupPairs=group_pair("sg-app"))], {"from_group": "sg-app"}, ["fail"]),
        ([rule(FromPort=443, ToPort=443, UserIdGroupPairs=group_pair("sg-app"))], {"from_group": "sg-app"}, ["fail"]),
        ([], {"from_group": "sg-app"}, ["fail"]),
        ([rule(IpRanges=[{"CidrIp": "10.0.0.0/8"}])], {"from_cidr": "10.1.0.0/16"}, ["pass"]),
        ([rule(IpRanges=[{"CidrIp": "10.1.2.0/24"}])], {"from_cidr": "10.1.0.0/16"}, ["fail"]),
        ([rule(Ipv6Ranges=[{"CidrIpv6": "fd00::/8"}])], {"from_cidr": "fd12::/16"}, ["pass"]),
        ([rule(Ipv6Ranges=[{"CidrIpv6": "fd00::/8"}])], {"from_cidr": "10.1.0.0/16"}, ["fail"]),
        ([rule(IpRanges=[{"CidrIp": "0.0.0.0/0"}])], {"from_cidr": "10.1.0.0/16"}, ["fail"]),
        ([rule(Ipv6Ranges=[{"CidrIpv6": "::/0"}])], {"from_group": "sg-app"}, ["fail", "fail"]),
        (
            [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, rule(UserIdGroupPairs=group_pair("sg-app"))],
            {"from_group": "sg-app"},
            ["fail"],
        ),
        ([rule(PrefixListIds=[{"PrefixListId": "pl-1"}])], {"from_cidr": "10.1.0.0/16"}, ["unknown"]),
        ([rule(PrefixListIds=[{"PrefixListId": "pl-1"}])], {"from_group": "sg-app"}, ["fail"]),
    ],
)
def test_a_security_group(rules: list[Any], source: dict[str, str], marks: list[str]) -> None:
    with script("ec2") as aws:
        aws.add_response(
            "describe_security_groups",
            {"SecurityGroups": [{"GroupId": "sg-db", "IpPermissions": rules}]},
            {"GroupIds": ["sg-db"]},
        )

        assert told({"security_group": {"group": "sg-db", "port": 5432, **source}}) == marks


def test_a_security_group_may_be_told_by_its_name() -> None:
    with script("ec2") as aws:
        for name, group_id in (("redis", "sg-1"), ("functions", "sg-2")):
            rules = [rule(UserIdGroupPairs=group_pair("sg-2"))] if name == "redis" else []
            aws.add_response(
                "describe_security_groups",
                {"SecurityGroups": [{"GroupId": group_id, "IpPermissions": rules}]},
                {"Filters": [{"Name": "group-name", "Values": [name]}]},
            )

        assert told({"security_group": {"group": "redis", "port": 5432, "from_group": "functions"}}) == ["pass"]


@pytest.mark.parametrize(
    ("answers", "mark", "words"),
    [
        ([[]], "fail", "it does not exist"),
        ([["sg-1"], []], "fail", "there is no security group functions"),
        ([["sg-1", "sg-9"]], "unknown", "sg-1, sg-9"),
    ],
)
def test_a_name_of_no_security_group_or_of_several_is_told(answers: list[list[str]], mark: str, words: str) -> None:
    with script("ec2") as aws:
        for ids in answers:
            groups = [{"GroupId": one, "IpPermissions": []} for one in ids]
            aws.add_response("describe_security_groups", {"SecurityGroups": groups})

        seen = the_only({"security_group": {"group": "redis", "port": 5432, "from_group": "functions"}})

        assert (seen.verdict.value, words in seen.seen) == (mark, True), seen


@pytest.mark.parametrize(("code", "mark"), [("InvalidGroup.NotFound", "fail"), ("UnauthorizedOperation", "unknown")])
def test_a_security_group_that_is_not_there_or_out_of_reach(code: str, mark: str) -> None:
    with script("ec2") as aws:
        aws.add_client_error("describe_security_groups", code)

        assert told({"security_group": {"group": "sg-db", "port": 5432, "from_group": "sg-app"}}) == [mark]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"group": "sg-db", "from_group": "sg-app"}, "missing ['port']"),
        ({"group": "sg-db", "port": 5432}, "exactly one"),
        ({"group": "sg-db", "port": 0, "from_group": "sg-app"}, "port must be from 1"),
        ({"group": "sg-db", "port": "5432", "from_group": "sg-app"}, "port must be int"),
        ({"group": "sg-db", "port": 5432, "from_cidr": "10.0.0.1/8"}, "from_cidr must be a network"),
        ({"group": "sg-db", "port": 5432, "protocol": "icmp", "from_group": "sg-app"}, "protocol must be"),
    ],
)
def test_a_malformed_security_group_check_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    assert words in refusal_of({"security_group": fields})
