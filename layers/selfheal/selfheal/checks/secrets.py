"""Are the secrets there, is their rotation finished, and does the version behind an alias know the newest? No value is
read: names, dates and labels only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field
from selfheal.clients import client
from selfheal.errors import TargetNotFound


def _wrong(fields: Mapping[str, Any]) -> str:
    if bool(fields["function"]) != bool(fields["alias"]):
        return "function and alias go together: which version must know the secret"
    return ""


KIND = CheckKind(
    "secrets",
    "secrets exist, no rotation is stuck, and the version behind an alias is newer than their last change",
    {
        "names": Field(list, required=True, help="names or ARNs; no value is read"),
        "function": Field(str, help="function that got the secrets into its environment when it was deployed"),
        "alias": Field(str, help="with `function`: its alias, whose version must be newer than the secrets"),
        "minutes": Field(int, 60, help="a rotation that takes longer is stuck"),
    },
    named_by=("names",),
    wrong=_wrong,
)
SERVICES = ("secretsmanager", "lambda")
PERMISSIONS = (
    "lambda:GetFunctionConfiguration",
    "secretsmanager:DescribeSecret",
    "secretsmanager:ListSecretVersionIds",
)


def look(check: Check) -> list[Finding]:
    """DescribeSecret for each; ListSecretVersionIds where a version is pending; the version behind the alias once."""
    published = _published(check)
    return [finding for name in check["names"] for finding in _secret(check, name, published)]


def _published(check: Check) -> tuple[str, datetime] | None:
    if not check["function"]:
        return None
    try:
        seen = client("lambda").get_function_configuration(FunctionName=check["function"], Qualifier=check["alias"])
    except AwsError as error:
        translate(error, f"alias {check['function']}:{check['alias']}")
    return f"version {seen['Version']} behind {check['alias']}", datetime.fromisoformat(seen["LastModified"])


def _secret(check: Check, name: str, published: tuple[str, datetime] | None) -> list[Finding]:
    try:
        seen = client("secretsmanager").describe_secret(SecretId=name)
        pending = _pending_since(name, seen)
    except AwsError as error:
        try:
            translate(error, f"secret {name}")
        except TargetNotFound:
            advice = "correct the name, or create it before its consumers start"
            return findings(check, [Problem("there is no such secret", "it exists", advice)], "", name)
    problems = [*_labels(name, seen), *_rotation(check, name, seen, pending), *_consumer(seen, published)]
    return findings(check, problems, f"last changed {_told(seen.get('LastChangedDate'))}", name)


def _told(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat(timespec="minutes") if at else "at a time that is not told"


def _pending_since(name: str, seen: Mapping[str, Any]) -> datetime | None:
    """When the version was made that is pending and not yet current."""
    versions = seen.get("VersionIdsToStages") or {}
    waiting = {one for one, labels in versions.items() if "AWSPENDING" in labels and "AWSCURRENT" not in labels}
    if not waiting:
        return None
    listed = client("secretsmanager").list_secret_version_ids(SecretId=name, MaxResults=100)["Versions"]
    made = [one["CreatedDate"] for one in listed if one["VersionId"] in waiting]
    return min(made, default=datetime.now(UTC))


def _labels(name: str, seen: Mapping[str, Any]) -> list[Problem]:
    if deleted := seen.get("DeletedDate"):
        advice = f"`aws secretsmanager restore-secret --secret-id {name}` while there is time"
        return [Problem(f"it is to be deleted, since {_told(deleted)}: nobody can read it", "not deleted", advice)]
    if not any("AWSCURRENT" in labels for labels in (seen.get("VersionIdsToStages") or {}).values()):
        advice = f"`aws secretsmanager put-secret-value --secret-id {name} …`: it was created without a value"
        return [Problem("it has no current version", "AWSCURRENT on one version", advice)]
    return []


def _rotation(check: Check, name: str, seen: Mapping[str, Any], pending: datetime | None) -> list[Problem]:
    now = datetime.now(UTC)
    if pending is not None:
        minutes = (now - pending).total_seconds() / 60
        told = f"a version is pending for {minutes:.0f} minutes"
        if minutes <= check["minutes"]:
            return [Problem(told, "rotated", "wait: the rotation runs", Mark.UNKNOWN)]
        advice = (
            "the rotation is stuck and the next one will be refused: see the log of its function, then `aws"
            f" secretsmanager cancel-rotate-secret --secret-id {name}` and take AWSPENDING off that version"
        )
        return [Problem(told, f"rotated within {check['minutes']} minutes", advice)]
    due = seen.get("NextRotationDate")
    if seen.get("RotationEnabled") and due is not None and due < now:
        return [Problem(f"its rotation was due {_told(due)}", "rotated", "see the log of its rotation function")]
    return []


def _consumer(seen: Mapping[str, Any], published: tuple[str, datetime] | None) -> list[Problem]:
    """A version keeps the environment that it was published with, whatever the secret becomes."""
    changed = seen.get("LastChangedDate")
    if published is None or changed is None or changed <= published[1]:
        return []
    version, at = published
    told = f"it changed {_told(changed)}; {version} is of {_told(at)} and still has what it was before"
    advice = "reload_function publishes a version that has it; keep the old key valid until then"
    return [Problem(told, "a version published after the change", advice)]
