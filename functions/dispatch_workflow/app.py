"""Start a GitHub workflow: a rollback or a deployment that lives in a repository.

Alarm: what no action on AWS can roll back, because the truth is in a repository (an image, a stack, a site).
Action: `dispatch_workflow` (risky) sends one workflow_dispatch for a branch or a tag.
Precondition: the workflow is active and has `on: workflow_dispatch`; the token has the permission Actions: write.

`ref` is a branch or a tag: GitHub takes no commit, and a branch deploys what is newest on it, which is no rollback. A
rollback is a workflow of its own that knows how, or a tag as `ref`. The workflow's file is taken from that `ref`.

GitHub has no token against repetition, so the request is sent once. What became of one without an answer is looked up:
`{action_id}` in an input is replaced by the request's id, and a workflow that puts that input into its `run-name` can
be found again (docs/workflows.md). What can't be found ends inconclusive.
Dispatched is not deployed: the run may wait in a queue or for somebody's approval. Its URL is in the evidence.

Never: sends twice, follows a redirect with the token, waits for the run, cancels or repeats one; the token is in no
record, log or message.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from selfheal.action import Action, Change, Decision, Decline, State, Verification
from selfheal.dead_letter import preview
from selfheal.errors import ChangedMeanwhile, NotApplied, Refused, TargetForbidden, TargetNotFound, Unreadable
from selfheal.github import Answer, Api
from selfheal.handler import handler_for
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

MARK = "{action_id}"
MAX_INPUTS = 25
MAX_INPUTS_CHARACTERS = 65_535
"""Both as GitHub has it for workflow_dispatch (events that trigger workflows)."""
CLOCKS_APART_S = 120
DETAILS = "return_run_details"
NOT_DEPLOYED = "dispatched is not deployed: follow the run"
_REPOSITORY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*/[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_WORKFLOW = re.compile(r"[0-9]{1,20}|[A-Za-z0-9_-][A-Za-z0-9_.-]*\.ya?ml")
_REF = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]{1,255}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}|(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,39}")
"""A short hash has digits and letters; digits alone are more likely the tag of a day."""


class DispatchWorkflow(Action):
    """Calls: 1 of AWS and 1 of GitHub to observe, 1 and 1 to apply (2 with an old GitHub), 1 and 1 to verify."""

    name = "dispatch_workflow"
    permissions = ("secretsmanager:GetSecretValue",)
    reversible = False
    repeatable = False
    verify_for_s = 20.0

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._accepted: Mapping[str, Any] | None = None
        self._unclear = False

    def observe(self, request: Request) -> State:
        """The workflow as GitHub has it: whether the token sees it, and whether it is active."""
        ref, inputs = _ref(request.options.get("ref")), _inputs(request)
        found = Api(request.target["token"]).get(_path(request))
        return {
            "now": time.time(),
            "workflow": preview(str(found.get("name", "")), 100),
            "state": preview(str(found.get("state", "unknown")), 40),
            "ref": ref,
            "inputs": inputs,
            "marked": any(MARK in value for value in (request.options.get("inputs") or {}).values()),
        }

    def decide(self, state: State, request: Request) -> Decision:
        """Start it, if it is active."""
        repository, workflow = request.target["repository"], request.target["workflow"]
        if state["state"] != "active":
            return Decline(
                Refusal.WORKFLOW_DISABLED, f"{workflow} of {repository} is {state['state']}; enable it there"
            )
        told = ", ".join(f"{name}={preview(value, 80)}" for name, value in state["inputs"].items())
        return Change(
            direction=Direction.RISKY,
            summary=f"start workflow {workflow} of {repository} at {state['ref']}" + (f" with {told}" if told else ""),
            plan={
                "ref": state["ref"],
                "inputs": state["inputs"],
                "marked": state["marked"],
                "since": state["now"] - CLOCKS_APART_S,
            },
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One POST. An older GitHub refuses the wish for the run's id with 400 or 422, and is asked without it."""
        api, path = Api(request.target["token"]), f"{_path(request)}/dispatches"
        wanted = {"ref": change.plan["ref"], "inputs": change.plan["inputs"]}
        try:
            answer = api.post(path, {**wanted, DETAILS: True})
            if answer.status == 400 or (answer.status == 422 and DETAILS.encode() in answer.body):
                answer = api.post(path, wanted)
            if not 200 <= answer.status < 300:
                api.refuse(answer, path)
        except Unreadable:
            self._unclear = True
            raise
        self._accepted = _details(answer)
        return {"accepted": answer.status, **self._accepted}

    def verify(self, request: Request, change: Change) -> Verification:
        """The run, if it can be found. What GitHub accepted holds, whether or not it shows the run already."""
        run: dict[str, Any] = {}
        why = ""
        try:
            run = self._run(request, change)
        except (Unreadable, NotApplied, TargetForbidden, TargetNotFound, ChangedMeanwhile) as error:
            why = f"; {error}"
        if run:
            detail = f"{change.summary}: run {run['run']} is {run['status']}; {NOT_DEPLOYED}"
            return Verification(Verdict.HOLDS, detail=detail, evidence=run)
        if self._accepted is not None:
            detail = f"{change.summary}: GitHub accepted it and does not show the run yet{why}; {NOT_DEPLOYED}"
            return Verification(Verdict.HOLDS, detail=detail, evidence={"run": None, **self._accepted})
        looked = (
            f"no run of it is found{why}" if change.plan["marked"] else f"no input carries {MARK} to find its run by"
        )
        detail = f"{change.summary}: it may have been started; {looked}. Look before repeating it."
        waits = self._unclear and change.plan["marked"]  # GitHub may show the run later: the clock looks once more
        return Verification(Verdict.NOT_YET if waits else Verdict.UNKNOWN, detail=detail)

    def _run(self, request: Request, change: Change) -> dict[str, Any]:
        """The run that GitHub named, or the one with our id in its name; empty if there is none."""
        repository, accepted = request.target["repository"], self._accepted or {}
        if "run" in accepted:
            api = Api(request.target["token"])
            return _seen(api.get(f"/repos/{repository}/actions/runs/{accepted['run']}"), api)
        if not change.plan["marked"]:
            return {}
        since = datetime.fromtimestamp(change.plan["since"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"event": "workflow_dispatch", "created": f">={since}", "per_page": "100"}
        api = Api(request.target["token"])
        runs = api.get(f"{_path(request)}/runs", query).get("workflow_runs")
        for run in runs if isinstance(runs, list) else ():
            if isinstance(run, dict) and _is_named(run, request.action_id) and (seen := _seen(run, api)):
                return seen
        return {}


def _path(request: Request) -> str:
    repository, workflow = request.target["repository"], request.target["workflow"]
    if not _REPOSITORY.fullmatch(repository) or not _WORKFLOW.fullmatch(workflow):
        expected = "repository must be owner/name, and workflow the name of a file such as rollback.yml, or an id"
        raise Refused(Refusal.BAD_TARGET, expected)
    return f"/repos/{repository}/actions/workflows/{workflow}"


def _ref(ref: str | None) -> str:
    if not ref or not _REF.fullmatch(ref) or not ref.isprintable():
        raise Refused(Refusal.BAD_OPTIONS, f"ref must name a branch or a tag, got {ref!r:.80}")
    if _COMMIT.fullmatch(ref.lower()):
        raise Refused(Refusal.REF_IS_A_COMMIT, f"{ref:.64} is a commit; tag it, or dispatch a workflow that rolls back")
    return ref


def _inputs(request: Request) -> dict[str, str]:
    """The inputs with the request's id in its place. GitHub takes texts and no other type."""
    given = request.options.get("inputs") or {}
    if len(given) > MAX_INPUTS or not all(isinstance(one, str) for one in (*given, *given.values())):
        raise Refused(Refusal.BAD_OPTIONS, f"inputs must be at most {MAX_INPUTS}, each a text")
    if sum(map(len, (*given, *given.values()))) > MAX_INPUTS_CHARACTERS:
        raise Refused(Refusal.BAD_OPTIONS, f"inputs are longer than {MAX_INPUTS_CHARACTERS} characters")
    return {name: value.replace(MARK, request.action_id) for name, value in given.items()}


def _details(answer: Answer) -> dict[str, Any]:
    """What a new GitHub tells of the run; nothing from one that answers 204."""
    run, url = answer.document.get("workflow_run_id"), answer.document.get("html_url")
    if isinstance(run, bool) or not isinstance(run, int) or not 0 < run < 2**63:
        return {}
    return {"run": run, **({"url": url} if _is_url(url) else {})}


def _seen(run: Mapping[str, Any], api: Api) -> dict[str, Any]:
    """Of an answer only what is of the right type goes on: it ends up in records and messages."""
    number, url = run.get("id"), run.get("html_url")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**63:
        return {}
    texts = {name: api.clean(run[name]) for name in ("status", "conclusion") if isinstance(run.get(name), str)}
    return {"run": number, "status": "unknown", **texts, **({"url": url} if _is_url(url) else {})}


def _is_url(url: object) -> bool:
    return isinstance(url, str) and re.fullmatch(r"https?://[\x21-\x7e]{1,500}", url) is not None


def _is_named(run: Mapping[str, Any], action_id: str) -> bool:
    """Our id and no longer one: `…1` is not found in the name of `…10`."""
    named = re.compile(rf"(?<![\w.-]){re.escape(action_id)}(?![\w-])(?!\.\w)")
    return any(isinstance(run.get(field), str) and named.search(run[field]) for field in ("display_title", "name"))


lambda_handler = handler_for(DispatchWorkflow)
