"""Reports in the archive: `reports/<system>/<incident>.md` and `.html`; a newer one takes the place of the older."""

from __future__ import annotations

from selfheal import settings
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.report import markdown, page
from selfheal.report.facts import Facts

_KINDS = {"md": "text/markdown; charset=utf-8", "html": "text/html; charset=utf-8"}


def keep(facts: Facts) -> dict[str, str]:
    """Write both; answers their places as `s3://…` by `markdown` and `html`.

    Raises TargetForbidden, TargetNotFound, Unreadable, NotApplied.
    """
    incident, bucket = facts.incident, settings.text("ARCHIVE_BUCKET")
    bodies = {"md": markdown.write(facts), "html": page.write(facts)}
    places = {}
    for suffix, body in bodies.items():
        key = f"reports/{incident.system}/{incident.id}.{suffix}"
        try:
            client("s3").put_object(
                Bucket=bucket, Key=key, Body=body.encode("utf-8", "replace"), ContentType=_KINDS[suffix]
            )
        except AwsError as error:
            translate(error, f"report of {incident.id}")
        places["markdown" if suffix == "md" else suffix] = f"s3://{bucket}/{key}"
    return places
