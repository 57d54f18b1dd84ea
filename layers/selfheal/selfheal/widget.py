"""Requests that come from a button of a CloudWatch dashboard: a person presses it, and CloudWatch invokes the function.

CloudWatch sends the button's parameters and beside them `widgetContext`, where the fields stand that the person has
filled in. Lambda does not see its caller, so that the name is taken as claimed, as with any other request; who may
press the button is up to IAM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from selfheal.handler import Handler
from selfheal.words import Outcome

FIELDS = ("requested_by", "reason")
"""What a person fills in; a button's own parameters count more."""
MAX_FIELD = 256

_HEADLINES = {
    Outcome.ACTED: "Done.",
    Outcome.ALREADY_DONE: "It is so already; nothing was done.",
    Outcome.PLANNED: "This is what would be done.",
    Outcome.REFUSED: "Refused.",
    Outcome.IN_PROGRESS: "Under way.",
    Outcome.FAILED: "It failed.",
    Outcome.INCONCLUSIVE: "Not known.",
}


def is_pressed(event: object) -> bool:
    """A dashboard sent it."""
    return isinstance(event, Mapping) and isinstance(event.get("widgetContext"), Mapping)


def fields(event: Mapping[str, Any]) -> dict[str, str]:
    """What the person has filled in, by the names of `FIELDS`; what is no text is left out."""
    forms = event["widgetContext"].get("forms")
    given = forms.get("all") if isinstance(forms, Mapping) else None
    texts = {name: given.get(name) for name in FIELDS} if isinstance(given, Mapping) else {}
    return {name: text.strip()[:MAX_FIELD] for name, text in texts.items() if isinstance(text, str) and text.strip()}


def request(event: Mapping[str, Any]) -> dict[str, Any]:
    """The request in a press of a button."""
    return {**fields(event), **{name: value for name, value in event.items() if name != "widgetContext"}}


def pressable(handler: Handler) -> Callable[[Any, LambdaContext], dict[str, Any] | str]:
    """The same handler, which may also be a button's: then it answers what the person reads, as HTML."""

    def lambda_handler(event: Any, context: LambdaContext) -> dict[str, Any] | str:
        if not is_pressed(event):
            return handler(event, context)
        return answer(handler(request(event), context))

    return lambda_handler


def answer(result: Mapping[str, Any]) -> str:
    """What the person reads: what became of it, and why."""
    # only who presses a button waits for these imports
    from selfheal.control_room.markup import tag  # noqa: PLC0415

    by = f"{result['action']} by {result['requested_by'] or 'nobody: fill in your name'}"
    return tag(
        "div",
        tag("h2", _HEADLINES[result["outcome"]]),
        tag("p", result["detail"] or result["reason"]),
        tag("p", tag("small", f"{by}. Recorded as {result['action_id']}. Refresh to see what it changed.")),
    )
