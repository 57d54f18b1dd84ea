"""Releases of a demo system's function, as a deployment without a canary makes them: published, and live at once."""

from __future__ import annotations

import io
import zipfile

from local.account import Account


def zipped(file: str, source: str) -> bytes:
    """A function's code whose only file has this source."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr(file, source)
    return archive.getvalue()


def publish(account: Account, function: str, file: str, source: str) -> str:
    """Publish a version whose only file has this source; answers its number."""
    published = account.client("lambda").update_function_code(
        FunctionName=function, ZipFile=zipped(file, source), Publish=True
    )
    return str(published["Version"])


def point(account: Account, function: str, alias: str, version: str) -> None:
    """Let the alias serve this version."""
    account.client("lambda").update_alias(FunctionName=function, Name=alias, FunctionVersion=version)


def changed(source: str, *changes: tuple[str, str]) -> str:
    """The source with each `old` replaced by its `new`. Raises ValueError where there is no `old`."""
    for old, new in changes:
        if old not in source:
            raise ValueError(f"the demo's function has no {old} to change")
        source = source.replace(old, new)
    return source
