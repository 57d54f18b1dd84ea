"""Several threads that take chunks side by side, as many as pay: each waits for AWS most of its time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context

MOST = 10
"""More than this gains nothing: Python's interpreter lock is busy then, with botocore for nine parts in ten."""


def side_by_side(lane: Callable[[], None], count: int) -> None:
    """Run `lane` in `count` threads to its end; the first error is raised once all of them have ended. One lane runs
    in this thread."""
    if count <= 1:
        lane()
        return
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            lane()
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that waits
            errors.append(error)

    threads = [
        threading.Thread(target=copy_context().run, args=(guarded,), name=f"lane-{number}") for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
