"""All sources side by side, within one time for all of them: a log service that hangs costs its own lines only."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue

from selfheal.errors import SelfhealError
from selfheal.evidence.found import WITHIN_S, Found, Source

Answer = tuple[str, Found | BaseException]


def side_by_side(
    sources: Mapping[str, Source], within_s: float = WITHIN_S, clock: Callable[[], float] = time.monotonic
) -> tuple[dict[str, Found], dict[str, SelfhealError | str]]:
    """What each source found, and why the others did not: their error, or that time was over.

    A source that is cut off is left behind in its thread; its answer is not waited for and not used.
    """
    answers: SimpleQueue[Answer] = SimpleQueue()
    for name, source in sources.items():
        context = contextvars.copy_context()  # who reads in a replay reads the past
        threading.Thread(target=context.run, args=(_answer, name, source, answers), daemon=True).start()
    end = clock() + within_s
    found: dict[str, Found] = {}
    missing: dict[str, SelfhealError | str] = {}
    while len(found) + len(missing) < len(sources):
        try:
            name, answer = answers.get(timeout=max(0.0, end - clock()))
        except Empty:
            break
        take(name, answer, found, missing)
    late = [name for name in sources if name not in found and name not in missing]
    return found, {**missing, **dict.fromkeys(late, f"no answer within {within_s:g} s")}


def take(
    name: str, answer: Found | BaseException, found: dict[str, Found], missing: dict[str, SelfhealError | str]
) -> None:
    """Put one answer where it belongs. What nobody expects is raised: a defect fails the invocation."""
    if isinstance(answer, Found):
        found[name] = answer
    elif isinstance(answer, SelfhealError):
        missing[name] = answer
    else:
        raise answer


def answer_of(source: Source) -> Found | BaseException:
    """What a source says, its error included."""
    try:
        return source()
    except BaseException as error:  # noqa: BLE001 - it is raised again where somebody hears of it
        return error


def _answer(name: str, source: Source, answers: SimpleQueue[Answer]) -> None:
    answers.put((name, answer_of(source)))
