"""The demo system of a web service on ECS with a database."""

from __future__ import annotations

from collections.abc import Mapping

from local.account import Account
from local.demos import SYSTEMS, arn

NAME = "polymarket-staging"
FOLDER = SYSTEMS / NAME


def parameters() -> Mapping[str, list[str]]:
    """What selfheal may touch of it."""
    return {
        "ProtectedServices": [arn("ecs", "service/polymarket-staging-cluster/*")],
        "ProtectedDatabases": [arn("rds", "db:polymarket-staging")],
        "ProtectedSecrets": [arn("secretsmanager", "secret:polymarket-staging/*")],
        "ProtectedLogGroups": [arn("logs", "log-group:/ecs/polymarket-staging*")],
        "ProtectedFunctions": [arn("lambda", "function:polymarket-staging-*")],
        "WorkflowTokens": [arn("secretsmanager", "secret:selfheal/github*")],
    }


def prepare(account: Account) -> None:
    """A second version of the database's secret."""
    account.client("secretsmanager").put_secret_value(
        SecretId="polymarket-staging/database", SecretString='{"username": "app", "password": "second"}'
    )
