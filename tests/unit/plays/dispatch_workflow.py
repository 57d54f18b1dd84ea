"""Play of functions/dispatch_workflow: a repository whose workflow puts the id into the name of its runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from selfheal.clients import client

if TYPE_CHECKING:
    from tests.unit.stage import Play, Stage

REPOSITORY = "shop/web"
SECRET = "shop/github"
TOKEN = "ghp_" + "stage" * 8
CANNOT_BE_DEDUPLICATED = ("dispatch_workflow",)


@dataclass
class Hub:
    """GitHub with one repository. `old`: it answers 204 and knows nothing of the run's details."""

    old: bool = False
    runs: list[dict[str, Any]] = field(default_factory=list)

    def get(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """A workflow, its runs, or one run."""
        path = urlsplit(asked["url"]).path.removeprefix(f"/repos/{REPOSITORY}/actions/")
        if path.startswith("runs/"):
            return {"status": 200, "body": self.runs[int(path.removeprefix("runs/")) - 1]}
        if path.endswith("/runs"):
            workflow = path.split("/")[1]
            return {"status": 200, "body": {"workflow_runs": [run for run in self.runs if run["path"] == workflow]}}
        return {"status": 200, "body": {"id": 7, "name": "Roll back", "state": "active"}}

    def post(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """A dispatch."""
        body, number = asked["body"], len(self.runs) + 1
        if self.old and "return_run_details" in body:
            return {"status": 400, "body": {"message": "Invalid request."}}
        self.runs.append({
            "id": number,
            "name": "Roll back",
            "display_title": f"Roll back ({body['inputs'].get('selfheal_id', '')})",
            "status": "queued",
            "html_url": f"https://github.example.com/{REPOSITORY}/actions/runs/{number}",
            "path": urlsplit(asked["url"]).path.split("/")[-2],
        })  # fmt: skip
        if self.old:
            return {"status": 204}
        told = {"workflow_run_id": number, "html_url": self.runs[-1]["html_url"]}
        return {"status": 200, "body": told}


def hub(stage: Stage) -> Hub:
    """The one of this stage."""
    found: Hub | None = getattr(stage, "hub", None)
    if found is None:
        found = Hub()
        stage.hub = found  # type: ignore[attr-defined]
    return found


def answers(stage: Stage) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
    """GitHub."""
    return {"github.get": hub(stage).get, "github.post": hub(stage).post}


def dispatch_workflow(stage: Stage, number: int) -> Play:
    """A workflow of its own for each play."""
    from tests.unit.stage import Play  # noqa: PLC0415 - the stage imports the plays

    secrets, known = client("secretsmanager"), hub(stage).runs
    if not secrets.list_secrets()["SecretList"]:
        secrets.create_secret(Name=SECRET, SecretString=TOKEN)
    workflow = f"rollback-{number}.yml"
    return Play(
        number, "dispatch_workflow", {"repository": REPOSITORY, "workflow": workflow, "token": SECRET},
        lambda: sum(run["path"] == workflow for run in known), 1, ("github.post",),
        more={"options": {"ref": "v1.4.2", "inputs": {"selfheal_id": "{action_id}"}}},
    )  # fmt: skip


PLAYS = (dispatch_workflow,)
