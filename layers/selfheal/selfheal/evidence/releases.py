"""What was deployed last: the alias, the versions, CodeDeploy's deployments."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.evidence.found import Found, Look, only

PERMISSIONS = (
    "codedeploy:BatchGetDeployments",
    "codedeploy:ListDeployments",
    "lambda:GetAlias",
    "lambda:ListVersionsByFunction",
)
MAX_VERSIONS = 20
MAX_PAGES = 10
MAX_DEPLOYMENTS = 5
WITHIN_DAYS = 30
BATCH = 25
"""As many as BatchGetDeployments takes."""
_VERSION = ("Version", "LastModified", "CodeSha256", "Description", "State", "LastUpdateStatus")
_DEPLOYMENT = (
    "deploymentId",
    "status",
    "creator",
    "createTime",
    "startTime",
    "completeTime",
    "deploymentConfigName",
    "description",
    "errorInformation",
    "rollbackInfo",
    "deploymentOverview",
)


def versions(look: Look) -> Found:
    """Where the alias points to, and the newest versions. Their order is not documented: they are sorted here."""
    name, alias = look.target["function"], look.target["alias"]
    try:
        pointed = client("lambda").get_alias(FunctionName=name, Name=alias)
        pages = client("lambda").get_paginator("list_versions_by_function").paginate(FunctionName=name)
        listed = [only(version, *_VERSION) for page in islice(pages, MAX_PAGES) for version in page["Versions"]]
    except AwsError as error:
        translate(error, f"alias {alias} of {name}")
    numbered = sorted((one for one in listed if one["Version"].isdecimal()), key=lambda one: -int(one["Version"]))
    content = {
        "alias": only(pointed, "Name", "FunctionVersion", "RoutingConfig", "Description", "RevisionId"),
        "versions": numbered[:MAX_VERSIONS],
    }
    return Found(f"{alias} points to {pointed['FunctionVersion']}; {len(numbered)} versions", content)


def deployments(look: Look) -> Found:
    """The last deployments of the target's CodeDeploy group within a month."""
    names, (_, until) = look.target["code_deploy"], look.times
    try:
        pages = (
            client("codedeploy")
            .get_paginator("list_deployments")
            .paginate(
                applicationName=names["application"],
                deploymentGroupName=names["deployment_group"],
                createTimeRange={"start": until - timedelta(days=WITHIN_DAYS), "end": until},
            )
        )
        listed = [one for page in pages for one in page["deployments"]][:BATCH]
        infos = client("codedeploy").batch_get_deployments(deploymentIds=listed)["deploymentsInfo"] if listed else []
    except AwsError as error:
        translate(error, f"deployments of {names['deployment_group']}")
    newest = sorted(infos, key=lambda one: str(one.get("createTime", "")), reverse=True)[:MAX_DEPLOYMENTS]
    last = f", the last one {newest[0].get('status')}" if newest else ""
    return Found(f"{len(listed)} deployments{last}", {"deployments": [only(one, *_DEPLOYMENT) for one in newest]})
