"""Plays of functions/refresh_secrets: a secret of two versions, and a function of its own with a secret in it."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

from selfheal.clients import client

if TYPE_CHECKING:
    from tests.unit.stage import Play, Stage

MARKER = "SELFHEAL_RELOADED"
SECRET = "hunter2-do-not-tell"


def roll_back_secret(stage: Stage, number: int) -> Play:
    """From the second version to the first."""
    from tests.unit.stage import Play  # noqa: PLC0415 - the stage imports the plays

    aws, name = client("secretsmanager"), f"shop/{number}/key"
    first = aws.create_secret(Name=name, SecretString="one")["VersionId"]
    aws.put_secret_value(SecretId=name, SecretString=SECRET)

    def look() -> str:
        labels = aws.describe_secret(SecretId=name)["VersionIdsToStages"]
        return next(str(version) for version, own in labels.items() if "AWSCURRENT" in own)

    effects = ("secretsmanager.update_secret_version_stage",)
    more = {**stage.by_an_alarm, "origin": "ladder"}
    return Play(number, "roll_back_secret", {"secret": name}, look, first, effects, more=more)


def reload_function(stage: Stage, number: int) -> Play:
    """The alias is to serve a version with the marker."""
    from selfheal.function_reload import marker_of  # noqa: PLC0415 - as below

    from tests.unit.stage import CODE_DEPLOY, Play  # noqa: PLC0415 - the stage imports the plays

    name = f"shop-{number}"
    make_function(name, {"KEY": SECRET})

    def look() -> str | None:
        return served(name).get(MARKER)

    return Play(
        number, "reload_function", {"function": name, "alias": "live", "code_deploy": CODE_DEPLOY}, look,
        marker_of(f"reload_function-{number}"), ("lambda.update_alias",),
        more={**stage.by_an_alarm, "origin": "ladder"},
    )  # fmt: skip


def make_function(name: str, environment: dict[str, str]) -> None:
    """One version, and the alias `live` on it."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", name)
    role = client("iam").get_role(RoleName="demo")["Role"]["Arn"]
    client("lambda").create_function(
        FunctionName=name, Role=role, Runtime="python3.13", Handler="app.handler", Code={"ZipFile": code.getvalue()},
        Environment={"Variables": environment}, Publish=True,
    )  # fmt: skip
    client("lambda").create_alias(FunctionName=name, Name="live", FunctionVersion="1")


def served(name: str) -> dict[str, Any]:
    """The environment behind the alias."""
    version = client("lambda").get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    found = client("lambda").get_function_configuration(FunctionName=name, Qualifier=version)
    return dict(found.get("Environment", {}).get("Variables", {}))


PLAYS = (roll_back_secret, reload_function)
