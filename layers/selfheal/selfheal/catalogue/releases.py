"""Actions on what runs: aliases, deployments, workflows, and calls to a target."""

from __future__ import annotations

from selfheal.catalogue.entry import Entry, Option

ENTRIES = (
    Entry(
        "roll_back_alias",
        "roll_back_alias",
        ("alias",),
        "point a Lambda alias to the last good version",
        {"to_version": Option(str, None, "a version to go to instead of the last good one")},
        paced=True,
        undo="roll_back_alias",
    ),
    Entry(
        "stop_deployment",
        "stop_deployment",
        ("alias",),
        "stop the CodeDeploy shift of an alias, with rollback",
    ),
    Entry(
        "smoke_test",
        "invoke_target",
        ("alias",),
        "invoke an alias and compare its answer",
        {
            "payload": Option(dict, None, "the event to send"),
            "expect": Option(dict, None, "fields that the answer must have, with their values"),
            "timeout_s": Option(int, 60, "give up after this many seconds (at most 600)"),
        },
    ),
    Entry(
        "run_hook",
        "invoke_target",
        ("alias",),
        "run a hook of the user's own: a function that closes positions, logs users out, sets the status page",
        {
            "payload": Option(dict, None, "what the hook gets besides the incident"),
            "expect": Option(dict, None, "fields that the answer must have, with their values; default {ok: true}"),
            "timeout_s": Option(int, 60, "give up after this many seconds (at most 600)"),
            "repeatable": Option(bool, False, "the hook itself keeps the same `action_id` from working twice"),
        },
    ),
    Entry(
        "dispatch_workflow",
        "dispatch_workflow",
        ("workflow",),
        "start a GitHub workflow with workflow_dispatch",
        {
            "ref": Option(str, None, "branch or tag (never a commit); needed"),
            "inputs": Option(dict, None, "inputs of the workflow, texts"),
        },
    ),
)
