"""A call that AWS refuses while another one on the same resource is under way: again after a pause, a few times."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from selfheal.aws_errors import AwsError, translate

T = TypeVar("T")

PAUSES_S = (0.5, 1.0, 2.0)


def patiently(call: Callable[[], T], what: str, busy: type[Exception], pauses: tuple[float, ...] = PAUSES_S) -> T:
    """What `call` answers. While it raises `busy` it is made again after each of `pauses`, in seconds.

    Every other error, and the last `busy`, is translated; `what` names the resource in words.
    """
    for pause in pauses:
        try:
            return call()
        except busy:
            time.sleep(pause)
        except AwsError as error:
            translate(error, what)
    try:
        return call()
    except AwsError as error:
        translate(error, what)
