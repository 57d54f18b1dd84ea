"""List and end the sessions of a PostgreSQL database, where it can be done without a network to it.

Alarm: connections of a database run out, or queries wait for a session that holds its locks and sleeps.
Actions: `list_sessions` (reads) shows the idle, the idle in transaction and the slow sessions apart; `end_sessions`
(risky) ends those of one kind, with a limit.
Precondition: Aurora PostgreSQL with its Data API on, the only way to send SQL through an API. Anything else is refused,
and the evidence has the same SQL for a person, and the command to run it with.

A pid is used again: what is ended is the pid with the start of its session as it was seen, and only if it still is as
idle or as slow. Ending it twice ends nothing else. A client that pools its connections opens new ones at once: when
they are all idle, the pool is too large, and to end them helps for a while.

Never: ends its own session, one of another database, a replication, a worker, a superuser's or one of RDS itself; tells
what a query has as literals; reads a table. SQL of a request is no SQL: values are parameters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from selfheal import sessions_sql
from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.errors import NotApplied
from selfheal.handler import handler_for
from selfheal.members import change_each
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

ENGINE = "aurora-postgresql"
MOST = 100
"""Sessions of one kind that are listed, and that one action ends at most."""
LONGEST_MINUTES = 60 * 24 * 30
PERMISSIONS_OF_BOTH = (
    "rds-data:ExecuteStatement",
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "secretsmanager:DescribeSecret",
)


class ListSessions(Action):
    """AWS calls: 2 to observe, 3 to apply."""

    name = "list_sessions"
    permissions = PERMISSIONS_OF_BOTH
    reversible = False

    def observe(self, request: Request) -> State:
        """Where the SQL goes."""
        return _database(request)

    def decide(self, state: State, request: Request) -> Decision:
        """Refuse by name what has no Data API."""
        idle, slow = request.options["idle_minutes"], request.options["slow_minutes"]
        declined = _wrong_minutes(idle, "idle_minutes") or _wrong_minutes(slow, "slow_minutes")
        declined = declined or _why_not(state, request, {"which": sessions_sql.IDLE, "minutes": idle, "limit": MOST})
        if declined is not None:
            return declined
        minutes = {sessions_sql.IDLE: idle, sessions_sql.IN_TRANSACTION: idle, sessions_sql.SLOW: slow}
        return Change(
            direction=Direction.READ,
            summary=f"list sessions of {request.target['database_name']} on {request.target['database_cluster']}",
            plan={"where": _where(state, request), "minutes": minutes},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One query for each kind."""
        found: dict[str, Any] = {}
        for which, minutes in change.plan["minutes"].items():
            rows = _select(change.plan["where"], sessions_sql.find(which), minutes=minutes, user="", limit=MOST)
            found[which] = [{**row, "query": sessions_sql.told(row["query"] or "")} for row in rows]
        counts = {which: len(rows) for which, rows in found.items()}
        return {"counts": counts, **found, "for_a_person": _more_for_a_person()}

    def verify(self, request: Request, change: Change) -> Verification:
        """Nothing was changed, so there is nothing to wait for."""
        return Verification(Verdict.HOLDS, detail=change.summary)


class EndSessions(Action):
    """AWS calls: 3 to observe, 1 for each session to apply, 1 or more to verify."""

    name = "end_sessions"
    permissions = PERMISSIONS_OF_BOTH
    reversible = False

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._failed: dict[str, str] = {}

    def observe(self, request: Request) -> State:
        """Where the SQL goes, and the sessions in question."""
        state = _database(request)
        if not _takes_sql(state) or _wrong(request):
            return {**state, "sessions": []}
        options = request.options
        rows = _select(
            _where(state, request),
            sessions_sql.find(options["which"]),
            minutes=options["minutes"],
            user=options["user"] or "",
            limit=options["limit"],
        )
        return {**state, "sessions": [{**row, "query": sessions_sql.told(row["query"] or "")} for row in rows]}

    def decide(self, state: State, request: Request) -> Decision:
        """End what was found, no more than the limit."""
        options, target = request.options, request.target
        declined = _wrong(request) or _why_not(state, request, options)
        if declined is not None:
            return declined
        sessions = {_key(row): row for row in state["sessions"]}
        what = f"{options['which']} for more than {options['minutes']} min"
        if not sessions:
            return AlreadyDone(f"no session of {target['database_name']} is {what}")
        users = sorted({str(row["user"]) for row in sessions.values()})
        return Change(
            direction=Direction.RISKY,
            summary=f"end {len(sessions)} sessions of {', '.join(users)} on {target['database_name']}, {what}",
            before={key: row["state"] for key, row in sessions.items()},
            after=dict.fromkeys(sessions, "ended"),
            plan={"where": _where(state, request), "minutes": options["minutes"], "sessions": sessions},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One statement each, with all conditions in it. What failed is noted and the others go on."""
        self._called = True
        sessions, sql = change.plan["sessions"], sessions_sql.end(request.options["which"])

        def end(key: str, evidence: dict[str, Any]) -> None:
            pid, started = sessions[key]["pid"], sessions[key]["started"]
            minutes = change.plan["minutes"]
            rows = _select(change.plan["where"], sql, minutes=minutes, pid=pid, started=started)
            if rows and not rows[0]["ended"]:
                raise NotApplied(f"session {key}: PostgreSQL did not end it")
            evidence.setdefault("ended" if rows else "left_alone", []).append(key)

        done = change_each(sessions, end, self._failed, alone=len(sessions) == 1, remaining_s=self.remaining_s)
        return {**done, "sessions": list(sessions.values())}

    def verify(self, request: Request, change: Change) -> Verification:
        """None of those that were seen is still there in the same state: one that works again was left alone."""
        sql, minutes = sessions_sql.find(request.options["which"]), change.plan["minutes"]
        rows = _select(change.plan["where"], sql, minutes=minutes, user=request.options["user"] or "", limit=MOST)
        left = [key for key in map(_key, rows) if key in change.plan["sessions"]]
        after = {**change.after, **{key: change.before[key] for key in left}}
        if not left:
            return Verification(Verdict.HOLDS, after)
        if self._called and not self._failed:
            return Verification(Verdict.NOT_YET, after, f"still there: {', '.join(left)}")
        return Verification(Verdict.DOES_NOT_HOLD, after, f"not ended: {', '.join(left)}")


def _key(row: Mapping[str, Any]) -> str:
    return f"{row['pid']}@{row['started']}"


def _wrong_minutes(minutes: int, name: str = "minutes") -> Decline | None:
    if 1 <= minutes <= LONGEST_MINUTES:
        return None
    return Decline(Refusal.BAD_OPTIONS, f"{name} is {minutes}; from 1 to {LONGEST_MINUTES}")


def _wrong(request: Request) -> Decline | None:
    options = request.options
    if options["which"] not in sessions_sql.WHICH:
        known = ", ".join(sessions_sql.WHICH)
        return Decline(Refusal.BAD_OPTIONS, f"which is {options['which']!r:.40}; one of {known}")
    if not 1 <= options["limit"] <= MOST:
        return Decline(Refusal.BAD_OPTIONS, f"limit is {options['limit']}; from 1 to {MOST}")
    user = options["user"] or ""
    if len(user) > 63 or not (user.isprintable() or not user):
        return Decline(Refusal.BAD_OPTIONS, "user must be the name of a database user")
    return _wrong_minutes(options["minutes"])


def _takes_sql(state: State) -> bool:
    return bool(state["engine"] == ENGINE and state["data_api"])


def _why_not(state: State, request: Request, asked: Mapping[str, Any]) -> Decline | None:
    """Why no SQL can be sent; with what a person needs to do what was asked."""
    name, engine = request.target["database_cluster"], state["engine"]
    if "postgres" not in engine:
        return Decline(Refusal.BAD_TARGET, f"{name} is {engine}; this is for PostgreSQL")
    if _takes_sql(state):
        return None
    why = f"its Data API is off; it can be switched on ({_SWITCH_ON})" if engine == ENGINE else "only Aurora has one"
    command = sessions_sql.psql(state["host"], state["port"], request.target["database_name"], state["master"])
    sql = sessions_sql.for_a_person(asked["which"], asked["minutes"], asked.get("user") or "", asked["limit"])
    detail = f"{name} is {engine}: {why}. Connect with: {command} and run the SQL of the evidence"
    return Decline(Refusal.NO_DATA_API, detail, {"psql": command, **sql, "more": _more_for_a_person()})


_SWITCH_ON = "aws rds enable-http-endpoint --resource-arn ARN"


def _more_for_a_person() -> dict[str, str]:
    return {
        "connections": f"{sessions_sql.CONNECTIONS};",
        "table_sizes": f"{sessions_sql.TABLE_SIZES};",
        "vacuum": f"{sessions_sql.VACUUM};",
    }


# -- AWS ---------------------------------------------------------------------------------------------------------


def _database(request: Request) -> dict[str, Any]:
    """The cluster and the secret to log in with; an instance of the same name, so that it can be refused by name."""
    name, aws = request.target["database_cluster"], client("rds")
    try:
        (found,) = aws.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
    except aws.exceptions.DBClusterNotFoundFault:
        return _instance(name)
    except AwsError as error:
        translate(error, f"database cluster {name}")
    state = {
        "arn": found["DBClusterArn"],
        "engine": found["Engine"],
        "data_api": bool(found.get("HttpEndpointEnabled")),
        "host": found.get("Endpoint", ""),
        "port": found.get("Port", 5432),
        "master": found.get("MasterUsername", ""),
        "secret": "",
    }
    return {**state, "secret": _secret(request)} if state["data_api"] else state


def _instance(name: str) -> dict[str, Any]:
    try:
        (found,) = client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    except AwsError as error:
        translate(error, f"database {name}")
    endpoint = found.get("Endpoint", {})
    return {
        "arn": found["DBInstanceArn"],
        "engine": found["Engine"] if not found.get("DBClusterIdentifier") else f"{found['Engine']} (an instance)",
        "data_api": False,
        "host": endpoint.get("Address", ""),
        "port": endpoint.get("Port", 5432),
        "master": found.get("MasterUsername", ""),
        "secret": "",
    }


def _secret(request: Request) -> str:
    """Its ARN, which the Data API wants; its value is read by the Data API alone."""
    name = request.target["secret"]
    try:
        return str(client("secretsmanager").describe_secret(SecretId=name)["ARN"])
    except AwsError as error:
        translate(error, f"secret {name}")


def _where(state: State, request: Request) -> dict[str, str]:
    return {"cluster": state["arn"], "secret": state["secret"], "database": request.target["database_name"]}


def _select(where: Mapping[str, str], sql: str, **parameters: str | int) -> list[dict[str, Any]]:
    """Rows of one statement; a value is a parameter and never part of the text."""
    given = [
        {"name": name, "value": {"longValue": value} if isinstance(value, int) else {"stringValue": value}}
        for name, value in parameters.items()
    ]
    try:
        answer = client("rds-data").execute_statement(
            resourceArn=where["cluster"],
            secretArn=where["secret"],
            database=where["database"],
            sql=sql,
            parameters=given,
            formatRecordsAs="JSON",
        )
    except AwsError as error:
        translate(error, "Data API")
    rows: list[dict[str, Any]] = json.loads(answer["formattedRecords"])
    return rows


lambda_handler = handler_for(ListSessions, EndSessions)
