"""What a drain tells: the letters that stay and why, as evidence, and what the evidence says about the action."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from selfheal.action import Verification
from selfheal.dead_letter import DeadLetter, Stay, preview
from selfheal.drain.way import Plan
from selfheal.letter_ids import Ids
from selfheal.replay_record import Phase, Progress
from selfheal.words import Verdict

MAX_SHOWN = 20


class Report:
    """Grows during one run, by counts and by the first few of each kind: its size does not depend on the queue's."""

    def __init__(self) -> None:
        self.stays = Ids()
        """The ids of the letters that stay."""
        self._left: Counter[str] = Counter()
        self._shown: list[dict[str, str]] = []
        self._not_deleted: list[str] = []
        self._returned: DeadLetter | None = None
        self._lock = threading.Lock()

    def leave(self, letter: DeadLetter, stay: Stay, detail: str = "") -> None:
        """This letter stays in place."""
        with self._lock:
            if letter.message_id in self.stays:
                return
            self.stays.add(letter.message_id)
            self._left[stay.value] += 1
            if len(self._shown) < MAX_SHOWN:
                seen = {"message_id": letter.message_id, "writer": letter.writer.value, "why": stay.value}
                self._shown.append({**seen, "detail": preview(detail or stay.sentence)})

    def came_back(self, letter: DeadLetter) -> None:
        """The first re-failure: the cause is not mended, and every further message would only come back as well."""
        self.leave(letter, Stay.CAME_BACK)
        with self._lock:
            self._returned = self._returned or letter

    def not_deleted(self, ids: Sequence[str]) -> None:
        """They were sent or archived, and SQS did not delete them."""
        with self._lock:
            self._not_deleted += ids[: MAX_SHOWN - len(self._not_deleted)]

    def evidence(self, progress: Progress, plan: Plan, **more: Any) -> dict[str, Any]:
        """JSON types, for the record."""
        evidence: dict[str, Any] = {
            "counted": plan["counts"],
            "taken": progress.taken,
            "unclear": progress.unclear,
            "left": dict(self._left),
            "left_total": self._left.total(),
            "shown": self._shown,
            **more,
        }
        if self._not_deleted:
            evidence["not_deleted"] = self._not_deleted
        if self._returned is not None:
            why = f"a message that was sent came back with {self._returned.error_code or 'no error code'}"
            evidence["stopped"] = f"{why}: {preview(self._returned.error_message)}".rstrip(": ")
        return evidence


def verification(progress: Progress | None, limit: int) -> Verification:
    """What the record says; the queue's own counts are approximate and others write into it as well."""
    if progress is None or not progress.is_over:
        return Verification(Verdict.NOT_YET, detail=f"{progress.taken if progress else 0} of {limit} taken; going on")
    evidence = progress.evidence
    left, taken, moved = evidence.get("left", {}), progress.taken, evidence.get("moved", 0)
    told = f"{taken} taken, {sum(left.values())} left in place {left or ''}".rstrip()
    if "moved" in evidence:
        told = f"{moved} moved by SQS without an archive, {told}"
    if progress.phase is Phase.STOPPED:
        return Verification(Verdict.DOES_NOT_HOLD, detail=f"stopped, {evidence['stopped']} ({told})", evidence=evidence)
    if progress.unclear or left.get(Stay.SENT_OR_NOT):
        return Verification(Verdict.UNKNOWN, detail=f"{Stay.SENT_OR_NOT.sentence} ({told})", evidence=evidence)
    if not taken and not moved:
        return Verification(Verdict.DOES_NOT_HOLD, detail=f"no message could be taken ({told})", evidence=evidence)
    return Verification(Verdict.HOLDS, {"messages": evidence["left_total"]}, told, evidence)
