"""The functions behind the page: the widget, and the two that its buttons may call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from local import stack
from local.account import Account

DECIDE = ("Approve", "Undo")


class NotAllowed(Exception):
    """A button that calls something else."""


class Failed(Exception):
    """The function ended with an error; the message is its own."""


class Functions:
    """selfheal's functions on the local stack. One thread uses it: it has an account of its own."""

    def __init__(self, endpoint: str) -> None:
        self._account = Account(endpoint)

    def widget(self, context: Mapping[str, Any]) -> str:
        """The page's HTML. Raises Failed."""
        return self._invoke(self._names["ShowControlRoom"], {"widgetContext": context})

    def call(self, endpoint: object, request: object, context: Mapping[str, Any]) -> str:
        """What a button answers, as HTML. Raises NotAllowed, Failed."""
        name = str(endpoint).rpartition(":")[2]
        if name not in [self._names[one] for one in DECIDE] or not isinstance(request, Mapping):
            raise NotAllowed(f"{name:.80} is not one of {', '.join(DECIDE)}")
        return self._invoke(name, {**request, "widgetContext": context})

    @cached_property
    def _names(self) -> dict[str, str]:
        """Logical id → the function's name."""
        pages = self._account.client("cloudformation").get_paginator("list_stack_resources")
        found = [one for page in pages.paginate(StackName=stack.NAME) for one in page["StackResourceSummaries"]]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}

    def _invoke(self, name: str, event: Mapping[str, Any]) -> str:
        answer = self._account.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        body = answer["Payload"].read().decode()
        if "FunctionError" in answer:
            raise Failed(f"{name}: {body[:1000]}")
        told = json.loads(body)
        return told if isinstance(told, str) else json.dumps(told)
