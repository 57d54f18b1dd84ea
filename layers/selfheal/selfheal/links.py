"""Links into the AWS console, built from ARNs and names. Whatever a name holds, it stays inside of its link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from selfheal.arns import Home
from selfheal.frozen import dataclass

_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


@dataclass(frozen=True)
class Console:
    """The console of the account and region in which the stack runs."""

    home: Home

    @classmethod
    def of(cls, arn: str) -> Console | None:
        """The console in which this ARN's resource is; None: it is no ARN with a region."""
        parts = arn.split(":", 5)
        return cls(Home.of(arn)) if len(parts) == 6 and parts[0] == "arn" and parts[3] else None

    def alarm(self, name: str) -> str:
        """One alarm, with its graph and history."""
        return self._page("cloudwatch", f"#alarmsV2:alarm/{_name(name)}")

    def dashboard(self, name: str) -> str:
        """A CloudWatch dashboard."""
        return self._page("cloudwatch", f"#dashboards/dashboard/{_name(name)}")

    def log_group(self, name: str) -> str:
        """A log group; the console wants its name quoted twice, with `$` for the second `%`."""
        return self._page("cloudwatch", f"#logsV2:log-groups/log-group/{_twice(name)}")

    def logs_insights(self, log_group: str, query: str, last_s: int) -> str:
        """A query of Logs Insights over one log group and the last `last_s` seconds, ready to be run."""
        detail = (
            f"~(end~0~start~-{last_s}~timeType~'RELATIVE~unit~'seconds"
            f"~editorString~'{_starred(query)}~source~(~'{_starred(log_group)}))"
        )
        return self._page("cloudwatch", f"#logsV2:logs-insights$3FqueryDetail$3D{_dollars(detail)}")

    def stored(self, where: str) -> str:
        """An object in S3 by its `s3://bucket/key`; empty where it is none."""
        bucket, slash, key = where.removeprefix("s3://").partition("/")
        if not (where.startswith("s3://") and bucket and slash and key):
            return ""
        base = f"https://{self._console()}/s3/object/{_name(bucket)}"
        return f"{base}?region={self.home.region}&prefix={quote(key, safe='/')}"

    def target(self, fields: Mapping[str, Any]) -> str:
        """The page of what an action touches, by the fields of its target; empty for kinds that have none here."""
        one = {name: value for name, value in fields.items() if isinstance(value, str)}
        if "alias" in one and "function" in one:
            return self._page("lambda", f"#/functions/{_name(one['function'])}/aliases/{_name(one['alias'])}")
        if "cluster" in one and "service" in one:
            path = f"v2/clusters/{_name(one['cluster'])}/services/{_name(one['service'])}/health"
            return f"https://{self._regional()}/ecs/{path}?region={self.home.region}"
        if "queue" in one:
            return self._page("sqs/v3", f"#/queues/{quote(self._queue_url(one['queue']), safe='')}")
        if "parameter" in one:
            path = f"systems-manager/parameters/{quote(one['parameter'], safe='')}/description"
            return f"https://{self._regional()}/{path}?region={self.home.region}"
        for kind, (service, fragment) in _BY_ONE_NAME.items():
            if kind in one:
                return self._page(service, fragment.format(_name(one[kind]), _name(one.get("group", "default"))))
        return self.log_group(one["log_group"]) if "log_group" in one else ""

    def _page(self, service: str, fragment: str) -> str:
        return f"https://{self._regional()}/{service}/home?region={self.home.region}{fragment}"

    def _regional(self) -> str:
        return f"{self.home.region}.{self._console()}"

    def _console(self) -> str:
        return _CONSOLES.get(self.home.partition, "console.aws.amazon.com")

    def _queue_url(self, name: str) -> str:
        suffix = "amazonaws.com.cn" if self.home.partition == "aws-cn" else "amazonaws.com"
        return f"https://sqs.{self.home.region}.{suffix}/{self.home.account}/{name}"


_BY_ONE_NAME = {
    "function": ("lambda", "#/functions/{0}"),
    "schedule": ("scheduler", "#schedules/{1}/{0}"),
    "database": ("rds", "#database:id={0};is-cluster=false"),
    "database_cluster": ("rds", "#database:id={0};is-cluster=true"),
    "secret": ("secretsmanager", "#/secret?name={0}"),
}
"""Kinds of targets with one name → service and fragment of their page."""


def _name(name: str) -> str:
    return quote(name, safe="")


def _twice(name: str) -> str:
    return _name(_name(name)).replace("%", "$")


def _starred(text: str) -> str:
    """A string as the console writes it into a query: `*` and its code for all but letters and digits."""
    return "".join(
        character
        if character.isascii() and (character.isalnum() or character in "-_.")
        else "".join(f"*{byte:02x}" for byte in character.encode())
        for character in text
    )


def _dollars(text: str) -> str:
    return quote(text, safe="*").replace("~", "%7E").replace("%", "$25")
