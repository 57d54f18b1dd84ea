"""Plays of functions/manage_sessions: sessions are rows here, since moto has no Data API that answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from selfheal.clients import client

if TYPE_CHECKING:
    from tests.unit.stage import Play, Stage

VARIANTS = {"end_two_sessions": "end_sessions"}
QUERY = "SELECT * FROM accounts WHERE iban = 'DE00 1234'"


def list_sessions(stage: Stage, number: int) -> Play:
    """Reads."""
    return _play(stage, number, "list_sessions", 2, left=2)


def end_sessions(stage: Stage, number: int) -> Play:
    """One."""
    return _play(stage, number, "end_sessions", 1)


def end_two_sessions(stage: Stage, number: int) -> Play:
    """More than one."""
    return _play(stage, number, "end_sessions", 2)


def sessions_of_an_instance(stage: Stage) -> Play:
    """Refused by name: an instance has no Data API. Not in the matrix, which asks for something to be done."""
    play = stage.play("list_sessions")
    client("rds").create_db_instance(
        DBInstanceIdentifier="plain", Engine="postgres", DBInstanceClass="db.t4g.medium", AllocatedStorage=20,
        MasterUsername="shop", MasterUserPassword="not-a-secret",
    )  # fmt: skip
    return replace(play, target={**play.target, "database_cluster": "plain"})


def _play(stage: Stage, number: int, action: str, sessions: int, left: int = 0) -> Play:
    from tests.unit.stage import Play  # noqa: PLC0415 - the stage imports the plays

    cluster, secret = f"aurora-{number}", f"db-{number}"
    made = client("rds").create_db_cluster(
        DBClusterIdentifier=cluster, Engine="aurora-postgresql", MasterUsername="shop",
        MasterUserPassword="not-a-secret", EnableHttpEndpoint=True, EngineMode="serverless", EngineVersion="11.13",
    )["DBCluster"]  # fmt: skip
    client("secretsmanager").create_secret(Name=secret, SecretString="{}")
    rows = {pid: session(pid) for pid in range(100, 100 + sessions)}
    stage_rows(stage)[made["DBClusterArn"]] = rows
    target = {"database_cluster": cluster, "database_name": "shop", "secret": secret}
    # The same call looks and ends, and to end a session twice ends nothing: no call is counted as an effect.
    return Play(number, action, target, lambda: len(rows), left, (), sessions)


def session(pid: int) -> dict[str, Any]:
    """A row as the Data API answers it."""
    row = {"pid": pid, "started": f"20261121090000{pid:06}", "user": "shop", "application": "web"}
    return {**row, "state": "idle", "for_s": 900, "query": QUERY}


def stage_rows(stage: Stage) -> dict[str, dict[int, dict[str, Any]]]:
    """Cluster → pid → row."""
    rows: dict[str, dict[int, dict[str, Any]]] = stage.__dict__.setdefault("session_rows", {})
    return rows


def answers(stage: Stage) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
    """The Data API: the texts of sessions_sql and no others, every parameter of a text given and none besides."""

    def execute(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        given = {one["name"]: next(iter(one["value"].values())) for one in asked["parameters"]}
        named = set(re.findall(r"(?<!:):([a-z]+)\b", asked["sql"]))
        assert named == given.keys(), (named, given)
        rows = stage_rows(stage)[asked["resourceArn"]]
        if "pg_terminate_backend" not in asked["sql"]:
            return {"formattedRecords": json.dumps(list(rows.values())[: given["limit"]])}
        row = rows.get(given["pid"])
        if row is None or row["started"] != given["started"]:
            return {"formattedRecords": "[]"}
        del rows[given["pid"]]
        return {"formattedRecords": '[{"ended": true}]'}

    return {"rds-data.execute_statement": execute}


PLAYS = (list_sessions, end_sessions, end_two_sessions)
