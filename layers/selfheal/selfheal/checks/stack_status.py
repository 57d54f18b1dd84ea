"""What each status of a CloudFormation stack means, and what to do about it. One table, for the check and its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from selfheal.checks.finding import Mark


class Status(NamedTuple):
    """How a check judges it, what it means, what to do; `{stack}` stands for the name."""

    verdict: Mark
    means: str
    to_do: str = ""


LOST = (
    "Deleting it loses what only it holds: messages in its queues, its log groups, the history of its alarms, tables"
    " without DeletionPolicy Retain. Save them first. selfheal never deletes a stack"
)
EVENTS = "`aws cloudformation describe-stack-events --stack-name {stack}` shows the first failure"
WAIT = "wait for its end: nothing else should touch its resources meanwhile"
DELETE = (
    "it can only be deleted, and then created anew: `aws cloudformation delete-stack --stack-name {stack}`. " + LOST
)
DELETE_ANYWAY = (
    "see which resources are in the way: " + EVENTS + ". Keep them: `aws cloudformation delete-stack --stack-name"
    " {stack} --retain-resources LOGICAL_ID`; or, after a look at what is left behind, `--deletion-mode"
    " FORCE_DELETE_STACK`. " + LOST
)
GO_ON = (
    "mend what the rollback failed on, then `aws cloudformation continue-update-rollback --stack-name {stack}` on the"
    " parent stack; `--resources-to-skip LOGICAL_ID` leaves one as it is, and its template then says otherwise"
)
DEPLOY_AGAIN = EVENTS + "; mend it and deploy again"

STATUSES: Mapping[str, Status] = {
    "CREATE_COMPLETE": Status(Mark.PASS, "created"),
    "UPDATE_COMPLETE": Status(Mark.PASS, "updated"),
    "IMPORT_COMPLETE": Status(Mark.PASS, "resources were imported"),
    "UPDATE_ROLLBACK_COMPLETE": Status(
        Mark.PASS, "usable, as it was before: the last update failed and was rolled back", DEPLOY_AGAIN
    ),
    "IMPORT_ROLLBACK_COMPLETE": Status(
        Mark.PASS, "usable, as it was before: the last import failed and was rolled back", DEPLOY_AGAIN
    ),
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": Status(Mark.PASS, "updated; old resources are being removed", WAIT),
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": Status(
        Mark.UNKNOWN, "rolled back; new resources are being removed", WAIT
    ),
    "CREATE_IN_PROGRESS": Status(Mark.UNKNOWN, "it is being created", WAIT),
    "UPDATE_IN_PROGRESS": Status(Mark.UNKNOWN, "it is being updated", WAIT),
    "IMPORT_IN_PROGRESS": Status(Mark.UNKNOWN, "resources are being imported", WAIT),
    "ROLLBACK_IN_PROGRESS": Status(Mark.FAIL, "its creation failed and is being rolled back", WAIT + ". " + EVENTS),
    "UPDATE_ROLLBACK_IN_PROGRESS": Status(
        Mark.FAIL, "its update failed and is being rolled back", WAIT + ". " + EVENTS
    ),
    "IMPORT_ROLLBACK_IN_PROGRESS": Status(Mark.FAIL, "its import failed and is being rolled back", WAIT),
    "DELETE_IN_PROGRESS": Status(Mark.FAIL, "somebody deletes it", "it can't be stopped; save what is left. " + LOST),
    "REVIEW_IN_PROGRESS": Status(
        Mark.FAIL,
        "a change set was made and never executed: nothing was created",
        "`aws cloudformation list-change-sets --stack-name {stack}`, then execute one, or delete the empty stack",
    ),
    "CREATE_FAILED": Status(
        Mark.FAIL, "its creation failed and was not rolled back", EVENTS + "; mend it and deploy again, or delete it"
    ),
    "ROLLBACK_COMPLETE": Status(Mark.FAIL, "its creation failed; nothing of it is left, no update is possible", DELETE),
    "ROLLBACK_FAILED": Status(Mark.FAIL, "its creation failed, and so did its rollback", DELETE_ANYWAY),
    "DELETE_FAILED": Status(Mark.FAIL, "it is half deleted", DELETE_ANYWAY),
    "DELETE_COMPLETE": Status(Mark.FAIL, "it is deleted", "deploy it again"),
    "UPDATE_FAILED": Status(
        Mark.FAIL,
        "its update failed and was not rolled back",
        EVENTS + "; mend it and deploy again, or go back: `aws cloudformation rollback-stack --stack-name {stack}`",
    ),
    "UPDATE_ROLLBACK_FAILED": Status(Mark.FAIL, "its update failed, and so did its rollback", GO_ON),
    "IMPORT_ROLLBACK_FAILED": Status(
        Mark.FAIL, "its import failed, and so did its rollback", EVENTS + "; `continue-update-rollback` does not help"
    ),
}
"""Every status that CloudFormation knows (API reference of Stack)."""


def status_of(name: str) -> Status:
    """A status that AWS has invented since is unknown."""
    return STATUSES.get(name, Status(Mark.UNKNOWN, "a status that selfheal does not know", EVENTS))
