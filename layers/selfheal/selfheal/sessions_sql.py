"""Every SQL text for the sessions and tables of a PostgreSQL database: what the actions send, what a person may run.

The actions send parameters by name (`:minutes`), as the Data API has them; nothing that a request says becomes text.
A person gets the same with the values written in. Wherever sessions are named: never the one that asks, never another
database, never replication or workers, never a superuser or a role of RDS itself.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

IDLE, IN_TRANSACTION, SLOW = "idle", "idle_in_transaction", "slow"
WHICH = (IDLE, IN_TRANSACTION, SLOW)
SHOWN = 120
"""Characters of a query that are told; literals are replaced before."""
READ = 1000
"""Characters of a query that are read."""

# Text, so that it is compared exactly: a number would lose microseconds. No colons: the Data API finds parameters there
_STARTED = "to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')"

_OTHERS = """a.datname = current_database()
  AND a.pid <> pg_backend_pid()
  AND a.backend_type = 'client backend'
  AND a.usename NOT LIKE 'rds%'
  AND NOT r.rolsuper
  AND NOT r.rolreplication"""

_SINCE = {
    IDLE: ("a.state = 'idle'", "a.state_change"),
    IN_TRANSACTION: ("a.state IN ('idle in transaction', 'idle in transaction (aborted)')", "a.state_change"),
    SLOW: ("a.state = 'active'", "a.query_start"),
}

_FROM = "FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid"


def _condition(which: str) -> str:
    state, since = _SINCE[which]
    return f"{_OTHERS}\n  AND {state}\n  AND {since} < now() - make_interval(mins => CAST(:minutes AS integer))"


def find(which: str) -> str:
    """The sessions of one kind, the longest first. Parameters: minutes, user (empty: any), limit."""
    since = _SINCE[which][1]
    return f"""SELECT a.pid, {_STARTED} AS started, a.usename AS "user", a.application_name AS application,
  a.state, CAST(EXTRACT(EPOCH FROM now() - {since}) AS bigint) AS for_s, left(a.query, {READ}) AS query
{_FROM}
WHERE {_condition(which)}
  AND (CAST(:user AS text) = '' OR a.usename = CAST(:user AS text))
ORDER BY {since}
LIMIT CAST(:limit AS integer)"""  # noqa: S608 - of constants


def end(which: str) -> str:
    """End one session if it still is the one that was seen: a pid is used again. Parameters: minutes, pid, started.

    One row, `ended`; no row if the session is gone, is another one, or works again.
    """
    return f"""SELECT pg_terminate_backend(a.pid) AS ended
{_FROM}
WHERE a.pid = CAST(:pid AS integer)
  AND {_STARTED} = CAST(:started AS text)
  AND {_condition(which)}"""


TABLE_SIZES = """SELECT relid::regclass AS "table", pg_size_pretty(pg_total_relation_size(relid)) AS total,
  n_live_tup, n_dead_tup, last_vacuum, last_autovacuum, last_analyze
FROM pg_stat_user_tables ORDER BY pg_total_relation_size(relid) DESC LIMIT 20"""
"""The largest tables, with what vacuum has left in them; reads only."""
VACUUM = "VACUUM (ANALYZE)"
"""Of the whole database: locks nobody out, unlike VACUUM FULL, and takes I/O; not within a transaction."""
CONNECTIONS = """SELECT a.datname, a.usename, a.state, count(*) FROM pg_stat_activity a
WHERE a.backend_type = 'client backend' GROUP BY 1, 2, 3 ORDER BY 4 DESC"""
"""Who has how many connections, in which state."""


def for_a_person(which: str, minutes: int, user: str = "", limit: int = 20) -> dict[str, str]:
    """`list` and `end` with their values written in: to look first, then to end what was listed."""
    values = {"minutes": str(int(minutes)), "user": _literal(user), "limit": str(int(limit))}
    chosen = _filled(find(which), values)
    inner = chosen.replace(f"SELECT a.pid, {_STARTED} AS started", "SELECT a.pid AS chosen, a.pid", 1)
    return {
        "list": f"{chosen};",
        "end": f"SELECT chosen, pg_terminate_backend(chosen) AS ended FROM ({inner}) AS s;",  # noqa: S608 - quoted
    }


def psql(host: str, port: int, database: str, user: str) -> str:
    """The command that opens the session in which a person runs it; it asks for the password."""
    words = f"host={host} port={port} dbname={_word(database)} user={_word(user)} sslmode=require"
    return f"psql {shlex.quote(words)} -v ON_ERROR_STOP=1"


def _filled(sql: str, values: Mapping[str, str]) -> str:
    return re.sub(r"(?<!:):([a-z]+)\b", lambda found: values[found[1]], sql)


def _literal(text: str) -> str:
    """A quoted literal; with a backslash it would need another form, and no name of a user has one."""
    return "'" + text.replace("\\", "").replace("'", "''") + "'"


def _word(text: str) -> str:
    """A value of libpq's connection string."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_LITERALS = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*(?:'|$)          # E'…' with backslashes
      | '(?:[^']|'')*(?:'|$)                    # '…', cut off at the end or not
      | \$(\w*)\$.*?(?:\$\1\$|$)                # $tag$…$tag$
      | (?<![\w.$])\d[\w.]*                     # numbers""",
    re.VERBOSE | re.DOTALL,
)


def told(query: str) -> str:
    """A query as it may be told: literals replaced by ?, then cut. Whoever's data they are, they stay there."""
    return re.sub(r"\s+", " ", _LITERALS.sub("?", query)).strip()[:SHOWN]
