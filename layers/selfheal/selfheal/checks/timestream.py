"""Is a Timestream database there?"""

from __future__ import annotations

from botocore.discovery import EndpointDiscoveryException

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, findings, unknown
from selfheal.checks.kind import Check, CheckKind, named
from selfheal.clients import client

KIND = CheckKind(
    "timestream",
    "a Timestream database exists",
    {"database_name": named("database name")},
    main="database_name",
    named_by=("database_name",),
)
SERVICES = ("timestream-write",)
PERMISSIONS = ("timestream:DescribeDatabase", "timestream:DescribeEndpoints")


def look(check: Check) -> list[Finding]:
    """DescribeDatabase. The client asks DescribeEndpoints first where it is."""
    name = check["database_name"]
    try:
        seen = client("timestream-write").describe_database(DatabaseName=name)["Database"]
    except EndpointDiscoveryException as error:
        return [unknown(check, f"its endpoint was not found, which takes timestream:DescribeEndpoints on *: {error}")]
    except AwsError as error:
        translate(error, f"Timestream database {name}")
    return findings(check, [], f"it exists, with {seen.get('TableCount', 0)} tables")
