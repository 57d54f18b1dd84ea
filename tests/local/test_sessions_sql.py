"""The SQL of sessions on a real PostgreSQL: what it finds, and what it never ends.

Only where somebody asks for it: POSTGRES=/usr/lib/postgresql/15/bin make test ARGS=tests/local/test_sessions_sql.py
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from selfheal import sessions_sql

SERVERS = [Path(os.environ["POSTGRES"]) / "initdb"] if os.environ.get("POSTGRES") else []
pytestmark = [pytest.mark.local, pytest.mark.skipif(not SERVERS, reason="POSTGRES names no folder with its programs")]

SETUP = (
    "CREATE ROLE ops LOGIN",
    "CREATE ROLE app LOGIN",
    "CREATE ROLE boss LOGIN SUPERUSER",
    "CREATE ROLE copy LOGIN REPLICATION",
    "CREATE ROLE rdsproxy LOGIN",
    "GRANT pg_monitor, pg_signal_backend TO ops",
)
LEFT_ALONE = (("app", "other"), ("boss", "shop"), ("copy", "shop"), ("rdsproxy", "shop"))


@dataclass
class Database:
    """A server of its own, reached by a Unix socket; `ops` has the rights of a user for the Data API."""

    folder: Path
    clients: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, sql: str, user: str = "ops", database: str = "shop") -> list[list[str]]:
        """Rows as texts."""
        command = [
            "psql",
            "-h",
            str(self.folder),
            "-U",
            user,
            "-d",
            database,
            "-XAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, done.stderr
        return [line.split("|") for line in done.stdout.splitlines()]

    def open(self, user: str, database: str, sql: str = "SELECT 'idle';") -> None:
        """A session that stays."""
        command = ["psql", "-h", str(self.folder), "-U", user, "-d", database, "-XAt"]
        client = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, stderr=subprocess.DEVNULL
        )
        self.clients.append(client)
        assert client.stdin is not None
        client.stdin.write(f"{sql}\n")
        client.stdin.flush()

    def pids(self) -> set[str]:
        """Of every session but the one that asks."""
        rows = self.run(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return {pid for (pid,) in rows}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    made = tmp_path_factory.mktemp("pg")
    folder, tools = Path(f"/tmp/selfheal-pg-{os.getpid()}"), SERVERS[-1].parent  # noqa: S108 - a socket's path is short
    folder.mkdir(mode=0o755)
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    data, log = folder / "data", made / "initdb.log"
    options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
    with log.open("w") as out:
        for command in (
            ["initdb", "-D", str(data), "-A", "trust", "-U", "owner"],
            ["pg_ctl", "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start"],
        ):
            whole = [*as_user, str(tools / command[0]), *command[1:]]
            subprocess.run(whole, stdout=out, stderr=out, check=True, timeout=60)
    found = Database(folder)
    for name in ("shop", "other"):
        found.run(f"CREATE DATABASE {name}", "owner", "postgres")
    for sql in SETUP:
        found.run(sql, "owner")
    yield found
    for client in found.clients:
        client.kill()
        client.communicate()
    stop = [*as_user, str(tools / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"]
    subprocess.run(stop, stdout=subprocess.DEVNULL, check=True, timeout=60)
    shutil.rmtree(folder)


@pytest.fixture
def sessions(database: Database) -> Database:
    """One of each kind, and those that must be left alone, older than a second."""
    database.open("app", "shop")
    database.open("app", "shop", "BEGIN; SELECT 'in transaction';")
    database.open("app", "shop", "SELECT pg_sleep(600);")
    for user, name in LEFT_ALONE:
        database.open(user, name)
    time.sleep(1.0)
    return database


def filled(sql: str, **values: str | int) -> str:
    """Parameters in their places, as the Data API does it on its side. Without minutes nobody would have to wait."""
    return re.sub(r"(?<!:):([a-z]+)\b", lambda found: repr(values[found[1]]), sql)


def test_each_kind_finds_its_own_and_ends_it_and_nothing_else(sessions: Database) -> None:
    others, before = {}, sessions.pids()
    for which in sessions_sql.WHICH:
        [row] = sessions.run(filled(sessions_sql.find(which), minutes=0, user="", limit=10))
        others[which] = row[:2]
        assert row[2] == "app"
        assert sessions.run(filled(sessions_sql.find(which), minutes=1, user="", limit=10)) == []
        assert sessions.run(filled(sessions_sql.find(which), minutes=0, user="ops", limit=10)) == []
    assert len({pid for pid, _ in others.values()}) == 3

    for which, (pid, started) in others.items():
        wrong = next(one for one in sessions_sql.WHICH if one != which)
        given: dict[str, str | int] = {"minutes": 0, "pid": int(pid), "started": started}
        assert sessions.run(filled(sessions_sql.end(which), **{**given, "started": "20200101000000000000"})) == []
        assert sessions.run(filled(sessions_sql.end(which), **{**given, "minutes": 1})) == []
        assert sessions.run(filled(sessions_sql.end(wrong), **given)) == []
        assert pid in sessions.pids()
        assert sessions.run(filled(sessions_sql.end(which), **given)) == [["t"]]
        time.sleep(0.3)
        assert sessions.run(filled(sessions_sql.end(which), **given)) == []

    assert before - sessions.pids() == {pid for pid, _ in others.values()}


@pytest.mark.parametrize("which", sessions_sql.WHICH)
def test_what_a_person_runs_ends_what_it_listed(sessions: Database, which: str) -> None:
    before = sessions.pids()
    texts = sessions_sql.for_a_person(which, 1, "app", 50)
    now = {name: sql.replace("mins => CAST(1 AS integer)", "mins => 0") for name, sql in texts.items()}

    listed = {row[0] for row in sessions.run(now["list"])}
    ended = sessions.run(now["end"])
    time.sleep(0.3)

    assert listed
    assert sorted(ended) == sorted([pid, "t"] for pid in listed)
    assert before - sessions.pids() == listed


def test_the_looks_for_a_person_are_sql(database: Database) -> None:
    database.run("CREATE TABLE orders (id int)", "owner")
    database.run(f"{sessions_sql.VACUUM};", "owner")

    assert database.run(sessions_sql.TABLE_SIZES)[0][0] == "orders"
    assert database.run(sessions_sql.CONNECTIONS)
