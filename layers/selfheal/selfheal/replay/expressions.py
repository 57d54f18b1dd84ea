"""DynamoDB's expressions, as far as the ledger writes them; anything else is refused, never guessed.

Values are typed as on the wire (`{"S": …}`, `{"N": …}`). As in DynamoDB, a comparison with an attribute that is not
there does not hold, except `<>`, and values of different types are never equal. Held against moto by a test.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from selfheal.frozen import dataclass

Value = Mapping[str, Any]
Item = dict[str, Value]


class NotSimulated(Exception):
    """The simulation does not know this; to answer anyway would be to make a decision up."""


@dataclass(frozen=True)
class Scope:
    """What an expression is evaluated on: the item as it stands (empty: there is none) and the request's names."""

    item: Mapping[str, Value]
    names: Mapping[str, str]
    values: Mapping[str, Value]

    def name(self, token: str) -> str:
        """The attribute that a token means."""
        return self.names[token] if token.startswith("#") else token

    def value(self, token: str) -> Value | None:
        """The value that a token means; None: the item has no such attribute."""
        return self.values[token] if token.startswith(":") else self.item.get(self.name(token))


Test = Callable[[Scope], bool]
Operand = Callable[[Scope], Value | None]

_TOKEN = re.compile(r"\s*(<=|>=|<>|[()=<>,+-]|[:#]?[A-Za-z_][A-Za-z0-9_]*)")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(expression: str, scope: Scope) -> bool:
    """Whether a condition holds. Raises NotSimulated."""
    return _condition(expression)(scope)


def updated(expression: str, scope: Scope) -> Item:
    """The item after an update expression. Raises NotSimulated."""
    after = dict(scope.item)
    for name, operand in _changes(expression):
        value = operand(scope)
        if value is None:
            after.pop(scope.name(name), None)
        else:
            after[scope.name(name)] = value
    return after


@cache
def _condition(expression: str) -> Test:
    parser = _Parser(expression)
    test = parser.any_of()
    parser.end()
    return test


@cache
def _changes(expression: str) -> tuple[tuple[str, Operand], ...]:
    parser = _Parser(expression)
    changes = tuple(parser.clauses())
    parser.end()
    return changes


def _plain(value: Value) -> tuple[str, Any]:
    ((kind, content),) = value.items()
    return kind, Decimal(content) if kind == "N" else content


def _compared(sign: str, left: Value | None, right: Value | None) -> bool:
    if left is None or right is None:
        return sign == "<>"
    (kind, one), (other_kind, other) = _plain(left), _plain(right)
    return _COMPARE[sign](one, other) if kind == other_kind else sign == "<>"


def _begins(value: Value | None, prefix: Value | None) -> bool:
    return value is not None and prefix is not None and str(value.get("S")).startswith(prefix["S"])


def _nothing(scope: Scope) -> None:  # noqa: ARG001 - an operand like the others
    return None


def _sum(sign: str, left: Value | None, right: Value | None) -> Value:
    if left is None or right is None:
        raise NotSimulated("arithmetic with an attribute that is not there")
    (_, one), (_, other) = _plain(left), _plain(right)
    return {"N": str(one + other if sign == "+" else one - other)}


class _Parser:
    """Recursive descent; each method reads what its name says from where the last one stopped."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = self._cut(expression)
        self._at = 0

    def _cut(self, expression: str) -> list[str]:
        tokens, at, end = [], 0, len(expression.rstrip())
        while at < end:
            found = _TOKEN.match(expression, at)
            if found is None:
                raise self._unknown()
            tokens.append(found[1])
            at = found.end()
        return tokens

    def _unknown(self) -> NotSimulated:
        return NotSimulated(f"the expression {self._expression!r}")

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, *wanted: str) -> bool:
        if self._next().upper() in wanted:
            self._at += 1
            return True
        return False

    def _must(self, wanted: str) -> None:
        if not self._take(wanted):
            raise self._unknown()

    def _word(self) -> str:
        token = self._next()
        if not re.match(r"[:#]?[A-Za-z_]", token):
            raise self._unknown()
        self._at += 1
        return token

    def end(self) -> None:
        """Nothing may be left over."""
        if self._next():
            raise self._unknown()

    # -- conditions -----------------------------------------------------------------------------------------------

    def any_of(self) -> Test:
        tests = [self._all_of()]
        while self._take("OR"):
            tests.append(self._all_of())
        return lambda scope: any(test(scope) for test in tests)

    def _all_of(self) -> Test:
        tests = [self._one()]
        while self._take("AND"):
            tests.append(self._one())
        return lambda scope: all(test(scope) for test in tests)

    def _one(self) -> Test:
        if self._take("NOT"):
            test = self._one()
            return lambda scope: not test(scope)
        if self._take("("):
            test = self.any_of()
            self._must(")")
            return test
        word = self._word()
        return self._function(word) if self._take("(") else self._comparison(word)

    def _function(self, name: str) -> Test:
        first = self._word()
        second = self._word() if self._take(",") else ""
        self._must(")")
        if name == "attribute_exists" and not second:
            return lambda scope: scope.value(first) is not None
        if name == "attribute_not_exists" and not second:
            return lambda scope: scope.value(first) is None
        if name == "begins_with" and second:
            return lambda scope: _begins(scope.value(first), scope.value(second))
        raise self._unknown()

    def _comparison(self, left: str) -> Test:
        if self._take("BETWEEN"):
            low = self._word()
            self._must("AND")
            high = self._word()
            return lambda scope: (
                _compared(">=", scope.value(left), scope.value(low))
                and _compared("<=", scope.value(left), scope.value(high))
            )
        sign = self._next()
        if sign not in _COMPARE:
            raise self._unknown()
        self._at += 1
        right = self._word()
        return lambda scope: _compared(sign, scope.value(left), scope.value(right))

    # -- updates --------------------------------------------------------------------------------------------------

    def clauses(self) -> list[tuple[str, Operand]]:
        """Attribute and new value of each change of an update expression; no value removes it."""
        changes: list[tuple[str, Operand]] = []
        while self._next():
            kind = self._word().upper()
            reads = {"SET": self._set, "REMOVE": self._remove, "ADD": self._add}.get(kind)
            if reads is None:
                raise self._unknown()
            changes.append(reads())
            while self._take(","):
                changes.append(reads())
        return changes

    def _set(self) -> tuple[str, Operand]:
        name = self._word()
        self._must("=")
        left = self._operand()
        sign = self._next()
        if not self._take("+", "-"):
            return name, left
        right = self._operand()
        return name, lambda scope: _sum(sign, left(scope), right(scope))

    def _remove(self) -> tuple[str, Operand]:
        return self._word(), _nothing

    def _add(self) -> tuple[str, Operand]:
        name, amount = self._word(), self._word()
        return name, lambda scope: _sum("+", scope.value(name) or {"N": "0"}, scope.value(amount))

    def _operand(self) -> Operand:
        word = self._word()
        if not self._take("("):
            return lambda scope: scope.value(word)
        if word != "if_not_exists":
            raise self._unknown()
        name = self._word()
        self._must(",")
        other = self._word()
        self._must(")")
        return lambda scope: scope.value(name) or scope.value(other)
