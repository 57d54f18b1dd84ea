"""Were so many targets of the system changed within an hour that one more is too many?

A share of the system alone would say nothing where it is small: it bounds only together with a floor.
"""

from __future__ import annotations

from selfheal.guards.context import GuardContext
from selfheal.guards.places import Place
from selfheal.refusal import Refusal

HOUR_S = 3_600
FLOOR = 3
"""However small a share of the system it may be: so many targets may be changed."""


def place(context: GuardContext) -> Place:
    """The place of the request's target among the changed ones of its system."""
    system = context.request.system or "-"
    return Place(
        pk="RADIUS",
        sk=system,
        name=context.request.target.key,
        windows=((HOUR_S, most(context)),),
        refusal=Refusal.BLAST_RADIUS,
        what=f"targets of {system} were changed",
        renews=True,
    )


def most(context: GuardContext) -> int:
    """How many targets: `targets`, and no more than `targets_percent` of those that the runbook names."""
    limits = context.limits
    if limits.targets_percent is None:
        return limits.targets
    named = len(context.runbook.targets) if context.runbook else 0
    return min(limits.targets, max(FLOOR, named * limits.targets_percent // 100))
