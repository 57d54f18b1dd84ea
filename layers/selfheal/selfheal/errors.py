"""The errors that selfheal expects. Anything else that is raised is a defect and fails the invocation.

SelfhealError
├── Refused                 a named refusal: recorded and answered, never retried
├── TargetNotFound          the resource that an action should touch is not there
├── TargetForbidden         IAM does not let this function touch the resource
├── ChangedMeanwhile        compare-and-set lost: plan again from a fresh observation
├── NotApplied              AWS refused the change and nothing was changed
├── Unreadable              a dependency of a guard or of the ledger did not answer
│   ├── Throttled           AWS said "not so fast": it was not carried out, and will be later
│   └── LedgerUnavailable   the ledger itself did not answer
├── Raced                   others were faster too often: to be delivered again
└── Misconfigured           the stack was deployed wrongly (an environment variable is missing, …)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selfheal.refusal import Refusal


class SelfhealError(Exception):
    """Base of every expected failure."""


class Refused(SelfhealError):
    """A named refusal, raised where a return value would have to travel far.

    `detail` says what was found and what would be right, in words for a person on call.
    """

    def __init__(self, refusal: Refusal, detail: str = "") -> None:
        self.refusal = refusal
        self.detail = detail
        super().__init__(f"{refusal.value}: {detail or refusal.sentence}")


class TargetNotFound(SelfhealError):
    """The resource does not exist (any more)."""


class TargetForbidden(SelfhealError):
    """AWS answered AccessDenied: the resource is outside the ARN patterns given to the stack."""


class ChangedMeanwhile(SelfhealError):
    """Somebody wrote between our read and our write; nothing of ours took effect."""


class NotApplied(SelfhealError):
    """AWS refused the change; the message carries its reason."""


class Unreadable(SelfhealError):
    """A dependency did not answer; `what` names it (`cloudwatch`, `tags`, …)."""

    def __init__(self, what: str, why: str) -> None:
        self.what = what
        super().__init__(f"{what} cannot be read: {why}")


class Throttled(Unreadable):
    """AWS took no more calls for the moment; what waits in line for its turn tries again later."""


class LedgerUnavailable(Unreadable):
    """DynamoDB did not answer."""

    def __init__(self, why: str) -> None:
        super().__init__("ledger", why)


class Raced(SelfhealError):
    """Somebody else advanced the same incident first, again and again."""


class Misconfigured(SelfhealError):
    """An environment variable or a file that the stack must provide is missing or wrong."""
