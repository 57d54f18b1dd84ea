"""Actions that slow down or stop what calls: functions, their sources, APIs."""

from __future__ import annotations

from selfheal.catalogue.entry import Entry, Option

ENTRIES = (
    Entry(
        "stop_function",
        "throttle_function",
        ("function",),
        "let a Lambda function run no more: its reserved concurrency is 0",
        contains=True,
        undo="stop_function",
    ),
    Entry(
        "limit_function",
        "throttle_function",
        ("function",),
        "let a Lambda function run so many times at once",
        {"concurrency": Option(int, None, "reserved concurrency, at least 1; needed")},
        contains=True,
        undo="limit_function",
    ),
    Entry(
        "pause_source",
        "throttle_function",
        ("event_source",),
        "stop an event source mapping from polling; it resumes at the same place",
        contains=True,
        undo="pause_source",
    ),
    Entry(
        "limit_api",
        "throttle_api",
        ("rest_api", "http_api"),
        "throttle every method of an API Gateway stage",
        {
            "rate": Option(int, None, "requests a second; needed"),
            "burst": Option(int, None, "requests at once; default: as many as the rate"),
        },
        contains=True,
        undo="limit_api",
    ),
)
