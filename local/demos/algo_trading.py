"""The demo system of trading services that look at a flag."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from local.account import Account
from local.demos import SYSTEMS, arn

NAME = "algo-trading-prod"
FOLDER = SYSTEMS / NAME


def parameters() -> Mapping[str, list[str]]:
    """What selfheal may touch of it."""
    return {
        "ProtectedParameters": [arn("ssm", "parameter/algo-trading/prod/trading_enabled")],
        "ProtectedServices": [arn("ecs", "service/algo-trading-prod-cluster/*")],
        "ProtectedDatabases": [arn("rds", "db:algo-trading-prod-db")],
        "ProtectedLogGroups": [arn("logs", "log-group:/aws/ecs/algo-trading-prod*")],
        "ProtectedBackups": ["arn:aws:s3:::algo-trading-prod-data", "arn:aws:s3:::algo-trading-prod-data/backups/*"],
        "RestoreFolders": ["arn:aws:s3:::algo-trading-prod-data/restore/*"],
        "ProtectedFunctions": [arn("lambda", "function:algo-trading-prod-*")],
    }


def prepare(account: Account) -> None:
    """The reports of yesterday and of today, and a target behind the dashboard."""
    today = datetime.now(UTC).date()
    for day in (today - timedelta(days=1), today):
        for report in ("trades.csv", "positions.csv"):
            account.client("s3").put_object(
                Bucket="algo-trading-prod-data", Key=f"backups/{day.isoformat()}/{report}", Body=b"one,line\n"
            )
    balancing = account.client("elbv2")
    group = balancing.describe_target_groups(Names=["algo-trading-prod-dashboard"])["TargetGroups"][0]
    balancing.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": "10.0.0.1", "Port": 80}])
