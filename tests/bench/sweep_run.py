"""Who sweeps: `python -m tests.bench.sweep_run WHO N PART_S`, against the account at AWS_ENDPOINT_URL.

Prints what was looked at, what was found wrong, what is not known, and the wall and CPU seconds from the first client
to the last answer; imports are not counted, for nobody.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.exceptions import ClientError

Told = dict[str, Any]


def names_of(count: int) -> list[str]:
    """As the account has them."""
    return [f"shop-{number:04}" for number in range(count)]


def serial(count: int, part_s: float) -> Told:
    """The script that everybody writes: a call for each thing of each resource."""
    return _each(count, part_s, 1)


def threads(count: int, part_s: float) -> Told:
    """The same with 16 threads."""
    return _each(count, part_s, 16)


def _each(count: int, part_s: float, workers: int) -> Told:
    session: Any = boto3.session.Session()
    aws: dict[str, Any] = {name: session.client(name) for name in ("lambda", "cloudwatch", "sqs", "scheduler")}
    end = time.monotonic() + part_s

    def look(name: str) -> int | None:
        """How many of its calls failed; None: it was not looked at in this part."""
        if time.monotonic() > end:
            return None
        calls: Sequence[Callable[[], Any]] = (
            lambda: aws["lambda"].get_function_configuration(FunctionName=name),
            lambda: aws["lambda"].get_alias(FunctionName=name, Name="live"),
            lambda: aws["cloudwatch"].describe_alarms(AlarmNames=[name]),
            lambda: aws["sqs"].get_queue_attributes(
                QueueUrl=f"{os.environ['AWS_ENDPOINT_URL']}/queue/{name}", AttributeNames=["All"]
            ),
            lambda: aws["scheduler"].get_schedule(Name=name),
        )
        return sum(map(_fails, calls))

    with ThreadPoolExecutor(workers) as pool:
        failed = [one for one in pool.map(look, names_of(count)) if one is not None]
    return {"looked_at": len(failed), "wrong": 0, "unknown": sum(failed)}


def _fails(call: Callable[[], Any]) -> bool:
    try:
        call()
    except ClientError:
        return True
    return False


def pages(count: int, _: float) -> Told:
    """The floor: AWS's lists and nothing else, the four side by side."""
    session: Any = boto3.session.Session()
    aws: dict[str, Any] = {name: session.client(name) for name in ("lambda", "cloudwatch", "scheduler")}
    queries = [
        {
            "Id": f"m{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SQS",
                    "MetricName": "ApproximateNumberOfMessagesVisible",
                    "Dimensions": [{"Name": "QueueName", "Value": name}],
                },
                "Period": 60,
                "Stat": "Maximum",
            },
        }
        for number, name in enumerate(names_of(count))
    ]
    window = {"StartTime": int(time.time()) - 600, "EndTime": int(time.time())}
    lists: Sequence[Callable[[], Any]] = (
        lambda: list(aws["lambda"].get_paginator("list_functions").paginate()),
        lambda: list(
            aws["cloudwatch"]
            .get_paginator("describe_alarms")
            .paginate(AlarmNamePrefix="shop-", PaginationConfig={"PageSize": 100})
        ),
        lambda: list(aws["scheduler"].get_paginator("list_schedules").paginate(PaginationConfig={"PageSize": 100})),
        lambda: [
            aws["cloudwatch"].get_metric_data(MetricDataQueries=queries[start : start + 500], **window)
            for start in range(0, count, 500)
        ],
    )
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: one(), lists))
    return {"looked_at": count, "wrong": 0, "unknown": 0}


def checks_of(count: int) -> list[dict[str, Any]]:
    """Of each: function, alias, alarm, queue, schedule."""
    names = names_of(count)
    return [
        *({"function": {"function": name}} for name in names),
        *({"alias": {"function": name, "alias": "live"}} for name in names),
        *({"alarms": {"names": names[start : start + 100]}} for start in range(0, count, 100)),
        *({"queue": {"queue": name}} for name in names),
        *({"schedule": {"schedule": name}} for name in names),
    ]


def selfheal(count: int, _: float) -> Told:
    """CheckHealth through its handler: the runbook's sweep, engine, report, result in the ledger. `look_s` of it is
    spent with the checks. The findings that say what is looked at in turn are not counted as unknown."""
    with tempfile.TemporaryDirectory() as folder:
        from selfheal_build.runbooks import compile_folder  # noqa: PLC0415 - only this one has it

        system = {"system": "shop", "owner": "ann", "sweeps": [{"name": "all", "checks": checks_of(1)}]}
        Path(folder, "shop.yaml").write_text(json.dumps(system))
        compiled = compile_folder(Path(folder))
        compiled["systems"][0]["sweeps"][0]["checks"] = checks_of(count)  # YAML of 4,010 checks takes its time
        path = Path(folder, "runbooks.json")
        path.write_text(json.dumps(compiled))
        os.environ["RUNBOOKS_PATH"] = str(path)
        app: Any = importlib.import_module("functions.check_health.app")

        looking: list[float] = []
        run = app.run

        def timed(*asked: Any) -> Any:
            began = time.monotonic()
            found = run(*asked)
            looking.append(time.monotonic() - began)
            return found

        app.run = timed
        global _began  # noqa: PLW0603 - what is imported here was imported there before
        _began = _now()
        arn = "arn:aws:lambda:us-east-1:123456789012:function:selfheal-CheckHealth"
        context = SimpleNamespace(
            function_name="CheckHealth", memory_limit_in_mb=512, invoked_function_arn=arn, aws_request_id="sweep-1",
            get_remaining_time_in_millis=lambda: 300_000,
        )  # fmt: skip
        event = {"target": {"system": "shop"}, "options": {"sweep": "all"}, "mode": "act", "action_id": "sweep-1"}
        answer = app.lambda_handler(event, context)
    evidence = answer["evidence"]
    assert answer["outcome"] == "acted", answer
    in_turn = sum(one["resource"] == "in turn" for one in evidence["findings"])
    unknown = evidence["unknown"] - in_turn
    return {"looked_at": count, "wrong": evidence["failed"], "unknown": unknown, "look_s": looking[0]}


def selfheal_lists(count: int, part_s: float) -> Told:
    """The same without the share that is looked at closely: what the lists cost."""
    from selfheal.checks.turns import Turn  # noqa: PLC0415

    Turn.take = lambda self, checks, share, what, as_listed: [as_listed(check) for check in checks]  # type: ignore[method-assign]
    return selfheal(count, part_s)


WHO = {one.__name__: one for one in (serial, threads, pages, selfheal, selfheal_lists)}
_began = (0.0, 0.0)


def _now() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.monotonic(), used.ru_utime + used.ru_stime


if __name__ == "__main__":
    _began = _now()
    told = WHO[sys.argv[1]](int(sys.argv[2]), float(sys.argv[3]))
    wall, cpu = (after - before for after, before in zip(_now(), _began, strict=True))
    sys.stderr.write(json.dumps({**told, "wall_s": wall, "cpu_s": cpu}) + "\n")
