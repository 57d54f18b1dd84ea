"""Whether two alarm patterns have a name in common: decided, not sampled.

A pattern is a tiny automaton: `*` loops on itself, `?` takes any one character. Two of them overlap when their product
reaches the end of both, so a table of (position in one, position in the other) decides it in len * len steps.
"""

from __future__ import annotations


def common_name(one: str, other: str) -> str | None:
    """A shortest-effort name that fits both patterns, or None when there is none."""
    reaches = _table(one, other)
    if not reaches[0][0]:
        return None
    name = []
    i = j = 0
    while i < len(one) or j < len(other):
        a, b = one[i : i + 1], other[j : j + 1]
        if a == "*" and reaches[i + 1][j]:
            i += 1
        elif b == "*" and reaches[i][j + 1]:
            j += 1
        elif a == "*":  # the star takes what stands in the other pattern
            name.append(b)
            j += 1
        elif b == "*":
            name.append(a)
            i += 1
        else:
            name.append(b if a == "?" else a)
            i, j = i + 1, j + 1
    return "".join(name).replace("?", "x")


def _table(one: str, other: str) -> list[list[bool]]:
    """`[i][j]`: the rests `one[i:]` and `other[j:]` have a name in common."""
    rows, columns = len(one) + 1, len(other) + 1
    reaches = [[False] * columns for _ in range(rows)]
    reaches[-1][-1] = True
    for i in reversed(range(rows)):
        for j in reversed(range(columns)):
            a, b = one[i : i + 1], other[j : j + 1]
            if a == "*":
                reaches[i][j] = reaches[i + 1][j] or (b != "" and reaches[i][j + 1])
            elif b == "*":
                reaches[i][j] = reaches[i][j + 1] or (a != "" and reaches[i + 1][j])
            elif a and b and (a == b or "?" in (a, b)):
                reaches[i][j] = reaches[i + 1][j + 1]
    return reaches
