"""ARNs of targets, for the guards that look a resource up by its ARN."""

from __future__ import annotations

from selfheal.frozen import dataclass
from selfheal.target import Target


@dataclass(frozen=True)
class Home:
    """The account and region in which this stack runs; it heals there and nowhere else."""

    partition: str
    region: str
    account: str

    @classmethod
    def of(cls, arn: str) -> Home:
        """From any ARN of the stack, such as the invoked function's."""
        _, partition, _, region, account, *_ = arn.split(":", 5)
        return cls(partition, region, account)


def arns_of(target: Target, home: Home) -> tuple[str, ...]:
    """The taggable resources of a target. Schedules have no tags of their own; their group has.

    A tag on a bus speaks for all of its rules. The ARN of a secret ends in characters that its name does not tell, so
    it is exempt in a runbook or not at all.
    """
    where = f"{home.region}:{home.account}"
    bus = str(target.fields.get("bus"))
    on_bus = "" if bus == "default" else f"{bus}/"
    api = f"apigateway:{home.region}::"  # its ARNs have no account
    rest_api, http_api = target.fields.get("rest_api"), target.fields.get("http_api")
    names: dict[str, tuple[str, ...]] = {
        "alias": (f"lambda:{where}:function:{target.fields.get('function')}",),
        "queue": (f"sqs:{where}:{target.fields.get('queue')}",),
        "parameter": (f"ssm:{where}:parameter/{str(target.fields.get('parameter')).lstrip('/')}",),
        "schedule": (f"scheduler:{where}:schedule-group/{target.fields.get('group')}",),
        "schedule_group": (f"scheduler:{where}:schedule-group/{target.fields.get('schedule_group')}",),
        "rule": (f"events:{where}:rule/{on_bus}{target.fields.get('rule')}", f"events:{where}:event-bus/{bus}"),
        "archive": (f"events:{where}:event-bus/{bus}",),
        "rules": (f"events:{where}:event-bus/{bus}",),
        "service": (f"ecs:{where}:service/{target.fields.get('cluster')}/{target.fields.get('service')}",),
        "function": (f"lambda:{where}:function:{target.fields.get('function')}",),
        "database": (f"rds:{where}:db:{target.fields.get('database')}",),
        "database_cluster": (f"rds:{where}:cluster:{target.fields.get('database_cluster')}",),
        "sessions": (f"rds:{where}:cluster:{target.fields.get('database_cluster')}",),
        "backup": (f"s3:::{target.fields.get('bucket')}",),
        "event_source": (f"lambda:{where}:event-source-mapping:{target.fields.get('event_source')}",),
        "log_group": (f"logs:{where}:log-group:{target.fields.get('log_group')}",),
        "rest_api": (f"{api}/restapis/{rest_api}/stages/{target.fields.get('stage')}", f"{api}/restapis/{rest_api}"),
        "http_api": (f"{api}/apis/{http_api}/stages/{target.fields.get('stage')}", f"{api}/apis/{http_api}"),
    }
    return tuple(f"arn:{home.partition}:{name}" for name in names.get(target.kind, ()))
