"""Clients of the local stack's account; nothing here can reach another one."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config

from local.emulator.control import ACCOUNT, REGION


class Account:
    """The account behind one endpoint on this machine, as its root."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._clients: dict[str, Any] = {}
        self._queue_urls: dict[str, str] = {}

    def client(self, service: str) -> Any:
        """The client of ``service``, made once. It does not retry: nothing here is throttled."""
        if service not in self._clients:
            self._clients[service] = self._session.client(
                service,
                endpoint_url=self.endpoint,
                config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60, proxies={}),
            )
        return self._clients[service]

    def queue_url(self, name: str) -> str:
        """The URL of a queue, asked for once."""
        if name not in self._queue_urls:
            self._queue_urls[name] = self.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        return self._queue_urls[name]

    def log_lines(self, prefix: str = "") -> list[str]:
        """The messages of all log groups whose names begin with ``prefix``, in the order of time."""
        logs = self.client("logs")
        groups = [
            group["logGroupName"]
            for page in logs.get_paginator("describe_log_groups").paginate(
                **({"logGroupNamePrefix": prefix} if prefix else {})
            )
            for group in page["logGroups"]
        ]
        events = [
            event
            for group in groups
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group)
            for event in page["events"]
        ]
        return [event["message"].rstrip() for event in sorted(events, key=lambda event: int(event["timestamp"]))]

    def outputs(self, stack: str) -> dict[str, str]:
        """The outputs of a CloudFormation stack."""
        described = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}

    @cached_property
    def _session(self) -> Any:
        return boto3.Session(ACCOUNT, "test", region_name=REGION)  # the secret that the emulator is started with
