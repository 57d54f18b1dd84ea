"""A function's configuration with its environment, which holds secrets: what may be known of it outside of here.

Names, never values: states, images and messages are recorded and logged. Lambda's own error texts quote the environment
that they refuse ("… exceeded the 4KB limit. String measured: {…}"), so those of a write are not passed on either.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from selfheal.aws_errors import AwsError, code_of, translate
from selfheal.busy import PAUSES_S
from selfheal.clients import client
from selfheal.errors import ChangedMeanwhile, NotApplied, Unreadable
from selfheal.function_version import SETTINGS

LATEST = "$LATEST"
LIMIT_BYTES = 4096
"""Of all variables together (Lambda quotas)."""
MARKER = re.compile("selfheal-[0-9a-f]{16}")
POLL_S = 1.0
RESERVE_S = 15.0
"""Left of an invocation for what comes after the wait."""


def marker_of(action_id: str) -> str:
    """What the marker variable is set to: the same for a repeat, so that nothing is published twice."""
    return f"selfheal-{hashlib.sha256(action_id.encode()).hexdigest()[:16]}"


def read(function: str, qualifier: str = "") -> dict[str, Any]:
    """A version's configuration as Lambda has it, environment included: not to be recorded or logged."""
    which = {"Qualifier": qualifier} if qualifier else {}
    try:
        found: dict[str, Any] = client("lambda").get_function_configuration(FunctionName=function, **which)
    except AwsError as error:
        translate(error, f"function {function}:{qualifier or LATEST}")
    return found


def described(configuration: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What may be recorded of it; `name` is the marker variable's."""
    value = variables(configuration).get(name)
    ours = value if value is not None and MARKER.fullmatch(value) else None
    return {
        "code": configuration["CodeSha256"],
        "revision": configuration.get("RevisionId", ""),
        "state": configuration.get("State", "Active"),
        "last_update": configuration.get("LastUpdateStatus", "Successful"),
        "environment_error": configuration.get("Environment", {}).get("Error", {}).get("ErrorCode", ""),
        "bytes": _size({**variables(configuration), name: marker_of("")}),
        "marker": ours,
        "marker_taken": value is not None and ours is None,
    }


def variables(configuration: Mapping[str, Any]) -> dict[str, str]:
    """The environment. Values are secrets."""
    return dict(configuration.get("Environment", {}).get("Variables", {}))


def differences(latest: Mapping[str, Any], live: Mapping[str, Any], name: str) -> list[str]:
    """What publishing `latest` would change besides the marker: names of variables and of settings, no values."""
    ours, theirs = variables(latest), variables(live)
    named = [
        f"environment variable {key}"
        for key in sorted({*ours, *theirs} - {name})
        if ours.get(key, None) != theirs.get(key, None)
    ]
    code = ["code"] if latest["CodeSha256"] != live["CodeSha256"] else []
    # A setting may be absent or empty; both are none.
    return [*code, *named, *(field for field in SETTINGS if (latest.get(field) or None) != (live.get(field) or None))]


def _size(environment: Mapping[str, str]) -> int:
    return sum(len(part.encode()) for pair in environment.items() for part in pair)


def mark(function: str, latest: Mapping[str, Any], name: str, value: str) -> None:
    """Write the environment back whole with the marker in it, if nobody wrote since `latest` was read."""
    environment = {"Variables": {**variables(latest), name: value}}

    def update() -> Any:
        return client("lambda").update_function_configuration(
            FunctionName=function, Environment=environment, **pin(latest)
        )

    patiently(f"environment of {function}", update, quiet=True)


def pin(configuration: Mapping[str, Any]) -> dict[str, str]:
    """What makes a write fail if somebody wrote since. The emulators have no revisions; Lambda always has."""
    revision = configuration.get("RevisionId")
    return {"RevisionId": revision} if revision else {}


def patiently(what: str, call: Callable[[], Any], *, quiet: bool = False) -> Any:
    """Make the call, again while Lambda is busy with another one (409). `quiet`: pass no text of Lambda on.

    Raises what `translate` makes of the answer, ChangedMeanwhile if Lambda stays busy.
    """
    failed: ClientError | BotoCoreError
    for pause in (*PAUSES_S, None):
        try:
            return call()
        except AwsError as error:  # handled outside: what is raised in here would carry the text along
            failed = _without_text(error) if quiet else error
        if code_of(failed) != "ResourceConflictException":
            translate(failed, what)
        if pause:
            time.sleep(pause)
    raise ChangedMeanwhile(f"{what}: Lambda is busy with another update")


def _without_text(error: ClientError | BotoCoreError) -> ClientError | BotoCoreError:
    """The same failure without what AWS or botocore says: it may quote the environment."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        told = {"Code": code_of(error), "Message": "text withheld, it may quote the environment"}
        answer: Any = {"Error": told, "ResponseMetadata": {"HTTPStatusCode": status}}
        return ClientError(answer, error.operation_name)
    if isinstance(error, ParamValidationError):
        return ParamValidationError(report="text withheld, it may quote the environment")
    return error


def settled(function: str, qualifier: str, end: float) -> dict[str, Any]:
    """The configuration once its update is over and, of a version, once it can be invoked.

    `end` on time.monotonic(). Raises NotApplied if the update failed, Unreadable if it lasts longer.
    """
    which = f"{function}:{qualifier or LATEST}"
    while True:
        found = read(function, qualifier)
        state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
        if update == "Failed" or state == "Failed":
            code = found.get("LastUpdateStatusReasonCode") or found.get("StateReasonCode") or "no reason given"
            raise NotApplied(f"{which} could not be updated ({code}); the alias was not moved")
        if update != "InProgress" and state != "Pending":
            return found
        if time.monotonic() > end:
            raise Unreadable(which, "its update is still in progress; the alias was not moved yet")
        time.sleep(POLL_S)
