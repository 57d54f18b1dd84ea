"""Sessions: the texts, what they never name, what is told of a query, and where a person has to do it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from selfheal import sessions_sql
from selfheal.action import Action, AlreadyDone, Change, Decline
from selfheal.clients import client
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable
from selfheal.refusal import Refusal
from selfheal.words import Direction, Verdict

from functions.manage_sessions.app import EndSessions, ListSessions
from tests.unit.aws import ask, planned, recorded, script
from tests.unit.plays.manage_sessions import QUERY, session

TARGET = {"database_cluster": "crypto", "database_name": "app", "secret": "crypto/database"}
ARN = "arn:aws:rds:eu-central-1:123456789012:cluster:crypto"
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:crypto/database-AbCdEf"
CLUSTER = {
    "DBClusterIdentifier": "crypto",
    "DBClusterArn": ARN,
    "Engine": "aurora-postgresql",
    "HttpEndpointEnabled": True,
    "Endpoint": "crypto.cluster-x.eu-central-1.rds.example.com",
    "Port": 5432,
    "MasterUsername": "admin",
}
LIST = ask("list_sessions", TARGET)
END = ask("end_sessions", TARGET)


@contextmanager
def database(**more: Any) -> Iterator[Any]:
    """A cluster; yields the script of its Data API."""
    described = {**CLUSTER, **more}
    with ExitStack() as stack:
        rds, secrets, data = (stack.enter_context(script(name)) for name in ("rds", "secretsmanager", "rds-data"))
        rds.add_response("describe_db_clusters", {"DBClusters": [described]}, {"DBClusterIdentifier": "crypto"})
        if described["HttpEndpointEnabled"]:
            secrets.add_response("describe_secret", {"ARN": SECRET_ARN}, {"SecretId": "crypto/database"})
        yield data


def rows(*found: Mapping[str, Any]) -> dict[str, str]:
    return {"formattedRecords": json.dumps(found)}


def planned_end(*found: Mapping[str, Any], request: Any = END) -> Change:
    with database() as data:
        data.add_response("execute_statement", rows(*found))
        return planned(EndSessions(), request)


# -- the texts ---------------------------------------------------------------------------------------------------

TEXTS: tuple[Callable[[str], str], ...] = (sessions_sql.find, sessions_sql.end)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("which", sessions_sql.WHICH)
def test_no_text_names_a_session_that_must_be_left_alone(text: Callable[[str], str], which: str) -> None:
    sql = text(which)

    for condition in (
        "a.pid <> pg_backend_pid()",
        "a.datname = current_database()",
        "a.backend_type = 'client backend'",
        "a.usename NOT LIKE 'rds%'",
        "NOT r.rolsuper",
        "NOT r.rolreplication",
        "< now() - make_interval(mins => CAST(:minutes AS integer))",
    ):
        assert condition in sql


def test_the_kinds_exclude_each_other() -> None:
    idle, in_transaction, slow = map(sessions_sql.find, sessions_sql.WHICH)

    assert "a.state = 'idle'" in idle
    assert "'idle in transaction'" in in_transaction
    assert "a.state = 'active'" in slow
    assert "a.query_start <" in slow


def test_to_end_one_its_pid_and_its_start_must_be_those_that_were_seen() -> None:
    sql = sessions_sql.end("idle")

    assert "a.pid = CAST(:pid AS integer)" in sql
    assert "backend_start AT TIME ZONE 'UTC'" in sql
    assert "= CAST(:started AS text)" in sql


@pytest.mark.parametrize("which", sessions_sql.WHICH)
def test_a_person_gets_the_same_with_values(which: str) -> None:
    found = sessions_sql.for_a_person(which, 7, "o'brien", 3)

    for sql in found.values():
        assert not re.search(r"(?<!:):[a-z]", sql)
        assert "mins => CAST(7 AS integer)" in sql
        assert "CAST('o''brien' AS text)" in sql
        assert "LIMIT CAST(3 AS integer)" in sql
        assert "a.pid <> pg_backend_pid()" in sql
    assert "pg_terminate_backend" not in found["list"]
    assert found["end"].count("pg_terminate_backend") == 1


def test_vacuum_is_the_kind_that_locks_nobody_out() -> None:
    assert sessions_sql.VACUUM == "VACUUM (ANALYZE)"
    assert sessions_sql.TABLE_SIZES.startswith("SELECT")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (QUERY, "SELECT * FROM accounts WHERE iban = ?"),
        ("SELECT 'it''s', \"column\" FROM t1", 'SELECT ?, "column" FROM t1'),
        (r"SELECT E'it\'s secret', 'more'", "SELECT ?, ?"),
        ("SELECT $$secret$$, $q$it's secret$q$, $1", "SELECT ?, ?, $1"),
        ("INSERT INTO t VALUES ('cut off in the mid", "INSERT INTO t VALUES (?"),
        ("UPDATE t SET card = 4111111111111111 WHERE a1 = 2.5", "UPDATE t SET card = ? WHERE a1 = ?"),
        ("SELECT\n   1", "SELECT ?"),
    ],
)
def test_a_query_is_told_without_its_literals(query: str, told: str) -> None:
    assert sessions_sql.told(query) == told


@given(st.text(alphabet="ab' \n\\", max_size=30))
def test_whatever_stands_between_quotes_is_not_told(secret: str) -> None:
    quoted = secret.replace("'", "''")

    assert sessions_sql.told(f"SELECT x WHERE y = '{quoted}'") == "SELECT x WHERE y = ?"


def test_a_told_query_is_short() -> None:
    assert len(sessions_sql.told("SELECT a, " * 200)) == sessions_sql.SHOWN


# -- list --------------------------------------------------------------------------------------------------------


def test_the_kinds_are_listed_apart_and_only_read() -> None:
    with database() as data:
        change = planned(ListSessions(), LIST)
        for found in ([session(1)], [], [session(2), session(3)]):
            data.add_response("execute_statement", rows(*found))
        evidence = ListSessions().apply(LIST, change)

    assert change.direction is Direction.READ
    assert evidence["counts"] == {"idle": 1, "idle_in_transaction": 0, "slow": 2}
    assert "DE00" not in json.dumps(evidence)
    assert evidence["for_a_person"]["vacuum"] == "VACUUM (ANALYZE);"
    assert ListSessions().verify(LIST, change).verdict is Verdict.HOLDS


def test_a_statement_names_cluster_secret_database_and_its_values() -> None:
    with database() as data:
        change = planned(ListSessions(), LIST)
        for which in sessions_sql.WHICH:
            wanted = {
                "resourceArn": ARN,
                "secretArn": SECRET_ARN,
                "database": "app",
                "sql": sessions_sql.find(which),
                "parameters": [
                    {"name": "minutes", "value": {"longValue": 5}},
                    {"name": "user", "value": {"stringValue": ""}},
                    {"name": "limit", "value": {"longValue": 100}},
                ],
                "formatRecordsAs": "JSON",
            }
            data.add_response("execute_statement", rows(), wanted)
        ListSessions().apply(LIST, change)


# -- where there is no Data API ----------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [ListSessions, EndSessions])
def test_without_the_data_api_a_person_gets_command_and_sql(action: type[Action]) -> None:
    request = ask(action.name, TARGET)
    with database(HttpEndpointEnabled=False):
        one = action()
        found = one.decide(one.observe(request), request)

    assert isinstance(found, Decline)
    assert found.refusal is Refusal.NO_DATA_API
    assert found.evidence["psql"].startswith("psql 'host=crypto.cluster-x.eu-central-1.rds.example.com port=5432 ")
    assert "pg_terminate_backend" in found.evidence["end"]
    assert found.evidence["psql"] in found.detail


def test_an_instance_that_is_no_cluster_is_refused_by_name() -> None:
    with mock_aws():
        client("rds").create_db_instance(
            DBInstanceIdentifier="crypto", Engine="postgres", DBInstanceClass="db.t4g.medium", AllocatedStorage=20,
            MasterUsername="owner", MasterUserPassword="not-a-secret",
        )  # fmt: skip
        found = EndSessions().decide(EndSessions().observe(END), END)

    assert isinstance(found, Decline)
    assert found.refusal is Refusal.NO_DATA_API
    assert "only Aurora has one" in found.detail


def test_neither_cluster_nor_instance_is_not_found() -> None:
    with mock_aws(), pytest.raises(TargetNotFound):
        ListSessions().observe(LIST)


def test_another_engine_is_no_target() -> None:
    with database(Engine="aurora-mysql"):
        found = ListSessions().decide(ListSessions().observe(LIST), LIST)

    assert isinstance(found, Decline)
    assert found.refusal is Refusal.BAD_TARGET


# -- end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"which": "all"}, {"minutes": 0}, {"limit": 0}, {"limit": 101}, {"user": "x" * 64}, {"user": "a\x00"}]
)
def test_options_that_would_end_too_much_are_refused_before_any_sql(options: dict[str, Any]) -> None:
    request = ask("end_sessions", TARGET, options=options)
    with database():
        found = EndSessions().decide(EndSessions().observe(request), request)

    assert isinstance(found, Decline)
    assert found.refusal is Refusal.BAD_OPTIONS


def test_no_session_is_nothing_to_do() -> None:
    with database() as data:
        data.add_response("execute_statement", rows())
        found = EndSessions().decide(EndSessions().observe(END), END)

    assert isinstance(found, AlreadyDone)


def test_the_image_has_pid_and_start_and_no_literal() -> None:
    change = planned_end(session(7))

    assert change.before == {"7@20261121090000000007": "idle"}
    assert "DE00" not in json.dumps(recorded(change).plan)


def test_what_works_again_is_left_alone() -> None:
    change = planned_end(session(7), session(8))
    with script("rds-data") as data:
        data.add_response("execute_statement", rows({"ended": True}))
        data.add_response("execute_statement", rows())
        action = EndSessions()
        evidence = action.apply(END, change)
        data.add_response("execute_statement", rows())
        assert action.verify(END, change).verdict is Verdict.HOLDS

    assert evidence["ended"] == ["7@20261121090000000007"]
    assert evidence["left_alone"] == ["8@20261121090000000008"]


def test_a_pid_that_another_session_has_by_now_is_not_waited_for() -> None:
    change = planned_end(session(7))
    with script("rds-data") as data:
        data.add_response("execute_statement", rows({**session(7), "started": "20261121100000000001"}))
        assert EndSessions().verify(END, change).verdict is Verdict.HOLDS


def test_a_session_that_stays_is_told() -> None:
    change = planned_end(session(7), session(8))
    with script("rds-data") as data:
        for _ in range(2):
            data.add_response("execute_statement", rows(session(7), session(8)))
        assert EndSessions().verify(END, change).verdict is Verdict.DOES_NOT_HOLD
        action = EndSessions()
        action._called = True
        assert action.verify(END, change).verdict is Verdict.NOT_YET


def test_a_refusal_of_postgres_is_told_beside_the_session() -> None:
    change = planned_end(session(7), session(8))
    with script("rds-data") as data:
        data.add_response("execute_statement", rows({"ended": False}))
        data.add_response("execute_statement", rows({"ended": True}))
        action = EndSessions()
        evidence = action.apply(END, change)
        data.add_response("execute_statement", rows(session(7)))
        seen = action.verify(END, change)

    assert list(evidence["failed"]) == ["7@20261121090000000007"]
    assert seen.verdict is Verdict.DOES_NOT_HOLD
    assert seen.after["8@20261121090000000008"] == "ended"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("DatabaseResumingException", Unreadable),
        ("StatementTimeoutException", Unreadable),
        ("ForbiddenException", TargetForbidden),
        ("DatabaseErrorException", NotApplied),
    ],
)
def test_what_the_data_api_answers_is_told(code: str, error: type[Exception]) -> None:
    change = planned_end(session(7))
    with script("rds-data") as data:
        data.add_client_error("execute_statement", code, "no", 400)
        with pytest.raises(error):
            EndSessions().apply(END, change)
