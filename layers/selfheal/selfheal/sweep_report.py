"""The report of one sweep: a document for machines, a page for people, and its place in the archive bucket."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from selfheal import settings
from selfheal.aws_errors import AwsError, code_of, translate
from selfheal.checks.finding import Finding, Mark
from selfheal.clients import client
from selfheal.errors import SelfhealError
from selfheal.target import KINDS, read_target

WORST_FIRST = (Mark.FAIL, Mark.UNKNOWN, Mark.PASS)
RED = (
    "selfheal looks every 5 minutes for alarms that are red without an incident, and answers those that a runbook names"
)

Document = Mapping[str, Any]


def document(
    *,
    system: str,
    sweep: str,
    action_id: str,
    at: float,
    took_s: float,
    findings: Sequence[Finding],
    left_over: Mapping[str, Any],
) -> dict[str, Any]:
    """The whole report, JSON types only; every finding, the worst first. `at` in epoch seconds: when it began."""
    counts = {mark: sum(one.verdict is mark for one in findings) for mark in Mark}
    changed = left_over.get("open_changes") or ()
    red = sum(one.check == "alarms" and one.verdict is Mark.FAIL and one.seen.startswith("ALARM") for one in findings)
    return {
        "system": system,
        "sweep": sweep,
        "action_id": action_id,
        "at": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
        "took_s": round(took_s, 1),
        "verdict": verdict_of(findings).value,
        "passed": counts[Mark.PASS],
        "failed": counts[Mark.FAIL],
        "unknown": counts[Mark.UNKNOWN],
        "findings": [told(one, changed) for one in worst_first(findings)],
        "red_alarms": {"count": red, "next": RED} if red else {"count": 0},
        **left_over,
    }


def verdict_of(findings: Sequence[Finding]) -> Mark:
    """Of the whole sweep: fail if anything fails, unknown if anything could not be told; nothing found is no pass."""
    marks = {one.verdict for one in findings}
    if Mark.FAIL in marks or not marks:
        return Mark.FAIL
    return Mark.UNKNOWN if Mark.UNKNOWN in marks else Mark.PASS


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """Failing ones, unknown ones, the rest; each in the order of the checks."""
    return sorted(findings, key=lambda one: WORST_FIRST.index(one.verdict))


def told(finding: Finding, open_changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The finding with what selfheal did to its resource (`did`), if that is still in force."""
    said = finding.as_dict()
    if finding.verdict is Mark.PASS:
        return said
    did = [one for one in open_changes if _is_of(one, finding.resource)]
    if did:
        said["did"] = "; ".join(f"{one['summary']} ({one['incident'] or one['action_id']})" for one in did)[:512]
    return said


def _is_of(change: Mapping[str, Any], resource: str) -> bool:
    """The change is one of this resource: a key is `kind:name`, a group's or a prefix's ends in `*`."""
    target = change["target"] if isinstance(change["target"], Mapping) else {}
    try:
        key = read_target(target, tuple(KINDS)).key
    except SelfhealError:  # a record of an older version
        return False
    name = key.partition(":")[2].replace(":", "/")
    return resource.startswith(name[:-1]) if name.endswith("*") else resource == name


# -- for people -----------------------------------------------------------------------------------------------------


def markdown(report: Document) -> str:
    """The page: what is wrong first, then what selfheal changed, then what is fine."""
    lines = [
        f"# {_cell(report['system'])}: {_cell(report['sweep'])}: {report['verdict']}",
        "",
        f"{report['passed']} passed, {report['failed']} failed, {report['unknown']} unknown;"
        f" begun {report['at']}, took {report['took_s']} s; action `{_cell(report['action_id'])}`",
    ]
    if report["red_alarms"]["count"]:
        lines += ["", f"{report['red_alarms']['count']} alarms are red: {report['red_alarms']['next']}."]
    wrong = [one for one in report["findings"] if one["verdict"] != "pass"]
    if wrong:
        lines += [
            "",
            "| | check | resource | seen | expected | selfheal did or suggests |",
            "|---|---|---|---|---|---|",
        ]
        for one in wrong:
            help_ = f"did: {one['did']}. {one['advice']}" if one.get("did") else one["advice"]
            parts = (one["verdict"], one["check"], one["resource"], one["seen"], one["expected"], help_)
            lines.append(f"| {' | '.join(map(_cell, parts))} |")
    lines += _left(report)
    fine = [one for one in report["findings"] if one["verdict"] == "pass"]
    if fine:
        lines += ["", "## As expected", ""]
        lines += [f"- {_cell(one['check'])} {_cell(one['resource'])}: {_cell(one['seen'])}" for one in fine]
    return "\n".join(lines) + "\n"


def _left(report: Document) -> list[str]:
    lines: list[str] = []
    for change in report.get("open_changes") or ():
        lines.append(f"- {_cell(change['summary'])}, {change['age_h']} h ago ({_cell(change['action_id'])})")
    for pause in report.get("pauses") or ():
        lines.append(f"- paused: {_cell(pause['name'])}, by {_cell(pause['who'])}, until {_cell(pause['until'])}")
    if report.get("left_over_not_read"):
        lines.append(f"- not known: {_cell(report['left_over_not_read'])}")
    return ["", "## Changed by selfheal and not undone, and pauses", "", *lines] if lines else []


def _cell(text: object) -> str:
    """Text from anywhere, as one cell of a table: no line break, no column, no HTML, no link."""
    shown = "".join(character if character.isprintable() else " " for character in str(text))
    return re.sub(r"([|\\`<>\[\]])", r"\\\1", shown)


# -- its place ------------------------------------------------------------------------------------------------------


def key_of(report: Document) -> str:
    """`sweeps/<system>/<sweep>/<YYYY>/<MM>/<DD>/<HHMMSS>-<hash>` in UTC, without an ending."""
    at = datetime.fromisoformat(report["at"])
    digest = hashlib.sha256(report["action_id"].encode()).hexdigest()[:12]
    return f"sweeps/{_folder(report['system'])}/{_folder(report['sweep'])}/{at:%Y/%m/%d/%H%M%S}-{digest}"


def store(report: Document) -> str:
    """Write page and document; answers the page's URI. What is there already is left as it is.

    Raises Misconfigured without a bucket; TargetForbidden, TargetNotFound, Unreadable, NotApplied as S3 answers.
    """
    bucket, key = settings.text("ARCHIVE_BUCKET"), key_of(report)
    _put(bucket, f"{key}.json", json.dumps(report, indent=1, default=str), "application/json")
    _put(bucket, f"{key}.md", markdown(report), "text/markdown; charset=utf-8")
    return f"s3://{bucket}/{key}.md"


def _put(bucket: str, key: str, text: str, content_type: str) -> None:
    body = text.encode("utf-8", "replace")
    try:
        client("s3").put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*")
    except AwsError as error:
        if not (isinstance(error, ClientError) and code_of(error) == "PreconditionFailed"):
            translate(error, f"report {key}")


def _folder(name: str) -> str:
    """A name as part of a key, in characters that need no quoting."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "-"
