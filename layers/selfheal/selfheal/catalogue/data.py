"""Actions on what is kept: secrets, databases, logs, backups, evidence."""

from __future__ import annotations

from selfheal.catalogue.entry import Entry, Option

_EVIDENCE = (
    "alias",
    "function",
    "service",
    "queue",
    "rest_api",
    "http_api",
    "database",
    "database_cluster",
    "log_group",
    "system",
)

ENTRIES = (
    Entry(
        "roll_back_secret",
        "refresh_secrets",
        ("secret",),
        "make an earlier version of a secret the current one",
        {"to_version": Option(str, None, "version id to go to instead of the previous one")},
        undo="roll_back_secret",
    ),
    Entry(
        "reload_function",
        "refresh_secrets",
        ("alias",),
        "publish a function's version anew, so that it reads its secrets again, and point the alias there",
        {"marker": Option(str, "SELFHEAL_RELOADED", "environment variable that is set to make the version differ")},
        undo="reload_function",
    ),
    Entry(
        "snapshot_database",
        "snapshot_database",
        ("database", "database_cluster"),
        "take a snapshot of an RDS instance or an Aurora cluster",
        contains=True,
    ),
    Entry(
        "list_sessions",
        "manage_sessions",
        ("sessions",),
        "list the idle and the slow sessions of a PostgreSQL database through the Data API",
        {
            "idle_minutes": Option(int, 5, "idle for longer than this"),
            "slow_minutes": Option(int, 5, "one query for longer than this"),
        },
        contains=True,
    ),
    Entry(
        "end_sessions",
        "manage_sessions",
        ("sessions",),
        "end idle or slow sessions of a PostgreSQL database, never its own and never replication's",
        {
            "which": Option(str, "idle", "idle, idle_in_transaction or slow"),
            "minutes": Option(int, 5, "for longer than this, at least 1"),
            "user": Option(str, None, "only sessions of this database user"),
            "limit": Option(int, 20, "end at most this many"),
        },
    ),
    Entry(
        "keep_logs",
        "preserve_evidence",
        ("log_group",),
        "keep the logs of a group for longer; never for shorter",
        {"days": Option(int, 90, "one of the retentions that CloudWatch knows")},
        contains=True,
        undo="keep_logs",
    ),
    Entry(
        "capture_evidence",
        "preserve_evidence",
        _EVIDENCE,
        "copy logs, stop reasons, dead letters and the last deployments to S3",
        {
            "minutes": Option(int, 60, "look back this long, at most 1440"),
            "log_groups": Option(list, None, "log groups besides those that the target names"),
            "query": Option(str, None, "a Logs Insights query to run over them"),
            "traces": Option(bool, False, "X-Ray traces with errors as well"),
            "trail": Option(bool, False, "who did what: CloudTrail's management events as well"),
        },
        contains=True,
    ),
    Entry(
        "restore_backup",
        "restore_backup",
        ("backup",),
        "copy a backup in S3 to a place of its own, over nothing that is there",
        {
            "date": Option(str, None, "the backup of this day, YYYY-MM-DD; needed"),
            "to_prefix": Option(str, "restore/", "where to; it gets a folder of its own in there"),
        },
        person=True,
    ),
)
