"""Does a URL answer as it should?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from selfheal.checks import web
from selfheal.checks.finding import Finding, Problem, findings, unknown
from selfheal.checks.kind import Check, CheckKind, Field, named


def _wrong(fields: Mapping[str, Any]) -> str:
    if web.origin_of(fields["url"]) is None:
        return f"url must be https://host/path without a user, got {fields['url']!r:.60}"
    if not 1 <= fields["timeout"] <= 5:
        return f"timeout must be from 1 to 5 seconds, got {fields['timeout']}"
    if not 100 <= fields["status"] <= 599:
        return f"status must be one of HTTP, got {fields['status']}"
    if fields["value"] is not None and fields["field"] is None:
        return "value needs the field that has it"
    return ""


KIND = CheckKind(
    "url",
    "a URL answers with the expected status, and with the expected value in its JSON",
    {
        "url": named("https://host/path; the stack's HealthHosts must list the host"),
        "status": Field(int, 200, help="HTTP status"),
        "field": Field(str, help="field of the JSON answer, with dots: checks.database.status"),
        "value": Field(str, help="what that field must say, as text: ok, true, 3; unset: it is there"),
        "timeout": Field(int, 4, help="seconds for each of two tries, at most 5"),
    },
    main="url",
    named_by=("url",),
    wrong=_wrong,
)
SERVICES = ()
PERMISSIONS = ()


def look(check: Check) -> list[Finding]:
    """One GET, tried twice, of a host that the stack allows; a redirect to another one is not followed."""
    try:
        answer = web.get(check["url"], check["timeout"])
    except web.NotAllowed as error:
        return [unknown(check, f"not asked: {error}; add its host to the parameter HealthHosts")]
    except web.NoAnswer as error:
        advice = "see the load balancer's targets, the certificate and the name (checks: targets, service)"
        return findings(check, [Problem(f"no answer in two tries: {error}", str(check["status"]), advice)], "")
    return findings(check, _problems(check, answer), _told(check, answer))


def _told(check: Check, answer: web.Answer) -> str:
    value = f", {check['field']} is {check['value'] or 'there'}" if check["field"] else ""
    return f"status {answer.status}{value}"


def _problems(check: Check, answer: web.Answer) -> list[Problem]:
    wanted = check["status"]
    if answer.status != wanted:
        if answer.location:
            advice = "it is not followed to another host: check the URL that it leads to, or expect this status"
            where = web.origin_of(answer.location)
            told = f"it redirects ({answer.status}) to {where.host if where else 'elsewhere'}"
            return [Problem(told, str(wanted), advice)]
        return [Problem(f"it answers {answer.status}", str(wanted), "see the log of what serves it")]
    if check["field"] is None:
        return []
    return _field(check, answer.body)


def _field(check: Check, body: bytes) -> list[Problem]:
    """The body itself is not shown: nobody knows what is in it."""
    field, wanted = check["field"], check["value"]
    expected = f"{field} is {wanted}" if wanted is not None else f"it has {field}"
    try:
        found: Any = json.loads(body)
        for name in field.split("."):
            found = found[name]
    except ValueError:
        return [Problem("its answer is no JSON", expected, "correct the URL, or drop `field`")]
    except (KeyError, TypeError):
        return [Problem(f"its answer has no {field}", expected, "correct `field`, or see what serves it")]
    told = found if isinstance(found, str) else json.dumps(found)
    if wanted is None or told == wanted:
        return []
    return [Problem(f"{field} is {told[:80]}", expected, "see what the service says about its parts")]
