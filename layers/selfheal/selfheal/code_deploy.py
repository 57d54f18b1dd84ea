"""What CodeDeploy says of the deployments that shift an alias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client

IN_FLIGHT = ("Created", "Queued", "InProgress", "Baking", "Ready")
"""Statuses in which a deployment may still write its alias."""


def in_flight(code_deploy: Mapping[str, str]) -> list[str]:
    """Ids of the deployments of `{application, deployment_group}` that may still write the alias.

    Raises what `translate` makes of AWS's answer.
    """
    names = {"applicationName": code_deploy["application"], "deploymentGroupName": code_deploy["deployment_group"]}
    statuses = list(IN_FLIGHT)
    try:
        pages = client("codedeploy").get_paginator("list_deployments").paginate(**names, includeOnlyStatuses=statuses)
        return [deployment for page in pages for deployment in page["deployments"]]
    except AwsError as error:
        translate(error, f"deployments of {code_deploy['deployment_group']}")


def deployment_info(deployment: str) -> dict[str, Any]:
    """One deployment as GetDeployment describes it. Raises as `in_flight`."""
    try:
        answer: dict[str, Any] = client("codedeploy").get_deployment(deploymentId=deployment)["deploymentInfo"]
    except AwsError as error:
        translate(error, f"deployment {deployment}")
    return answer
