"""What RDS tells about an instance or a cluster: failovers, restarts, full disks."""

from __future__ import annotations

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.evidence.found import Found, Look, only

PERMISSIONS = ("rds:DescribeEvents",)
SOURCE_TYPES = {"database": "db-instance", "database_cluster": "db-cluster"}


def events(look: Look) -> Found:
    """The events of the look's time; RDS keeps them for 14 days."""
    kind = look.target.kind
    since, until = look.times
    try:
        pages = (
            client("rds")
            .get_paginator("describe_events")
            .paginate(SourceIdentifier=look.target[kind], SourceType=SOURCE_TYPES[kind], StartTime=since, EndTime=until)
        )
        told = [only(one, "Date", "Message", "EventCategories") for page in pages for one in page["Events"]]
    except AwsError as error:
        translate(error, f"events of {look.target[kind]}")
    return Found(f"{len(told)} events", {"events": told})
