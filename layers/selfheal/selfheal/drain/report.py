"""What a drain tells: the letters that stay and why, as evidence, and what the evidence says about the action."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from selfheal.action import Verification
from selfheal.dead_letter import DeadLetter, Stay, preview
from selfheal.drain.way import Plan
from selfheal.replay_record import Phase, Progress
from selfheal.words import Verdict

MAX_SHOWN = 20


class Report:
    """Grows during one run."""

    def __init__(self) -> None:
        self.stays: dict[str, Stay] = {}
        """Message id → why it stays."""
        self._shown: list[dict[str, str]] = []
        self._not_deleted: list[str] = []

    def leave(self, letter: DeadLetter, stay: Stay, detail: str = "") -> None:
        """This letter stays in place."""
        self.stays[letter.message_id] = stay
        if len(self._shown) < MAX_SHOWN:
            seen = {"message_id": letter.message_id, "writer": letter.writer.value, "why": stay.value}
            self._shown.append({**seen, "detail": preview(detail or stay.sentence)})

    def not_deleted(self, ids: Sequence[str]) -> None:
        """They were sent or archived, and SQS did not delete them."""
        self._not_deleted += ids

    def evidence(self, progress: Progress, plan: Plan) -> dict[str, Any]:
        """JSON types, for the record."""
        left = Counter(stay.value for stay in self.stays.values())
        evidence: dict[str, Any] = {
            "counted": plan["counts"],
            "taken": progress.taken,
            "unclear": progress.unclear,
            "left": dict(left),
            "left_total": sum(left.values()),
            "shown": self._shown,
        }
        if self._not_deleted:
            evidence["not_deleted"] = self._not_deleted[:MAX_SHOWN]
        return evidence

    def evidence_of_return(self, letter: DeadLetter, progress: Progress, plan: Plan) -> dict[str, Any]:
        """The first re-failure: the cause is not mended, and every further message would only come back as well."""
        self.leave(letter, Stay.CAME_BACK)
        why = f"a message that was sent came back with {letter.error_code or 'no error code'}"
        return {**self.evidence(progress, plan), "stopped": f"{why}: {preview(letter.error_message)}".rstrip(": ")}


def verification(progress: Progress | None, limit: int) -> Verification:
    """What the record says; the queue's own counts are approximate and others write into it as well."""
    if progress is None or not progress.is_over:
        return Verification(Verdict.NOT_YET, detail=f"{progress.taken if progress else 0} of {limit} taken; going on")
    evidence = progress.evidence
    left, taken = evidence.get("left", {}), progress.taken
    told = f"{taken} taken, {sum(left.values())} left in place {left or ''}".rstrip()
    if progress.phase is Phase.STOPPED:
        return Verification(Verdict.DOES_NOT_HOLD, detail=f"stopped, {evidence['stopped']} ({told})", evidence=evidence)
    if progress.unclear or left.get(Stay.SENT_OR_NOT):
        return Verification(Verdict.UNKNOWN, detail=f"{Stay.SENT_OR_NOT.sentence} ({told})", evidence=evidence)
    if not taken:
        return Verification(Verdict.DOES_NOT_HOLD, detail=f"no message could be taken ({told})", evidence=evidence)
    return Verification(Verdict.HOLDS, {"messages": evidence["left_total"]}, told, evidence)
