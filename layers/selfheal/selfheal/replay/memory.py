"""A table in memory that answers like DynamoDB, for the ledger of a replay.

It stands in for the client and not for `Ledger`: so the real ledger's own code is what writes and reads, and a method
that it gets tomorrow works here too, or fails by name. One contract test holds it against moto's DynamoDB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from selfheal.replay.expressions import Item, NotSimulated, Scope, holds, updated

MAX_TRANSACTION = 100
"""DynamoDB takes as many writes in one transaction."""

Request = Mapping[str, Any]


class MemoryTable:
    """One table with the keys `pk` and `sk`. Not for several threads."""

    def __init__(self) -> None:
        self._partitions: dict[str, dict[str, Item]] = {}

    # -- reads ----------------------------------------------------------------------------------------------------

    def get_item(self, **request: Any) -> dict[str, Any]:
        """GetItem."""
        _only(request, "TableName", "Key", "ConsistentRead")
        item = self._find(request["Key"])
        return {"Item": dict(item)} if item else {}

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        """BatchGetItem."""
        _only(request, "RequestItems")
        answers = {}
        for table, wanted in request["RequestItems"].items():
            _only(wanted, "Keys", "ConsistentRead")
            answers[table] = [dict(item) for key in wanted["Keys"] if (item := self._find(key))]
        return {"Responses": answers, "UnprocessedKeys": {}}

    def query(self, **request: Any) -> dict[str, Any]:
        """Query of one partition, all in one page. The key condition names the partition as `pk = :pk`."""
        _only(request, "TableName", "KeyConditionExpression", "ConsistentRead", "ScanIndexForward", "Limit", *_TERMS)
        condition, values = request["KeyConditionExpression"], request["ExpressionAttributeValues"]
        if not condition.startswith("pk = :pk"):
            raise NotSimulated(f"the key condition {condition!r}")
        partition = self._partitions.get(values[":pk"]["S"], {})
        every = condition == "pk = :pk"
        found = [
            partition[sk]
            for sk in sorted(partition, key=str.encode)
            if every or holds(condition, _scope(partition[sk], request))
        ]
        if not request.get("ScanIndexForward", True):
            found.reverse()
        return {"Items": [dict(item) for item in found[: request.get("Limit")]]}

    # -- writes ---------------------------------------------------------------------------------------------------

    def put_item(self, **request: Any) -> dict[str, Any]:
        """PutItem."""
        return self._single("Put", request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        """UpdateItem."""
        return self._single("Update", request)

    def delete_item(self, **request: Any) -> dict[str, Any]:
        """DeleteItem."""
        return self._single("Delete", request)

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        """TransactWriteItems: all of the writes, or none."""
        _only(request, "TransactItems")
        writes = [next(iter(item.items())) for item in request["TransactItems"]]
        keys = [_key(body) for _, body in writes]
        if len(writes) > MAX_TRANSACTION or len(set(keys)) < len(keys):
            raise _error("ValidationException", "TransactWriteItems")
        after = [self._after(kind, body) for kind, body in writes]
        if any(item is _REFUSED for item in after):
            reasons = [
                self._reason(body) if item is _REFUSED else {"Code": "None"}
                for (_, body), item in zip(writes, after, strict=True)
            ]
            raise _error("TransactionCanceledException", "TransactWriteItems", CancellationReasons=reasons)
        for key, item in zip(keys, after, strict=True):
            self._store(key, item)
        return {}

    def _single(self, kind: str, request: Request) -> dict[str, Any]:
        before, after = self._find(_key_of(request)), self._after(kind, request)
        if after is _REFUSED:
            stood = {"Item": dict(before)} if before and _tells(request) else {}
            raise _error("ConditionalCheckFailedException", f"{kind}Item", **stood)
        self._store(_key(request), after)
        return {"Attributes": dict(before)} if before and request.get("ReturnValues") == "ALL_OLD" else {}

    def _after(self, kind: str, body: Request) -> Item | None:
        """The item after this write; None: deleted. `_REFUSED` if its condition does not hold."""
        _only(body, "TableName", *_FIELDS[kind], *_CONDITIONAL)
        found = self._find(_key_of(body))
        scope = _scope(found or {}, body)
        if "ConditionExpression" in body and not holds(body["ConditionExpression"], scope):
            return _REFUSED
        if kind == "Put":
            return dict(body["Item"])
        if kind == "Update":
            return {**updated(body["UpdateExpression"], scope), **body["Key"]}
        return found if kind == "ConditionCheck" else None

    def _reason(self, body: Request) -> dict[str, Any]:
        found = self._find(_key_of(body))
        told = {"Item": dict(found)} if found and _tells(body) else {}
        return {"Code": "ConditionalCheckFailed", **told}

    # -- items ----------------------------------------------------------------------------------------------------

    def _find(self, key: Request) -> Item | None:
        return self._partitions.get(key["pk"]["S"], {}).get(key["sk"]["S"])

    def _store(self, key: tuple[str, str], item: Item | None) -> None:
        pk, sk = key
        if item is not None:
            self._partitions.setdefault(pk, {})[sk] = item
        else:
            self._partitions.get(pk, {}).pop(sk, None)


_REFUSED: Item = {}
"""Compared by identity: what a write leaves when its condition does not hold."""
_TERMS = ("ExpressionAttributeNames", "ExpressionAttributeValues")
_CONDITIONAL = ("ConditionExpression", "ReturnValuesOnConditionCheckFailure", "ReturnValues", *_TERMS)
_FIELDS = {"Put": ("Item",), "Update": ("Key", "UpdateExpression"), "Delete": ("Key",), "ConditionCheck": ("Key",)}


def _scope(item: Mapping[str, Any], request: Request) -> Scope:
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    return Scope(item, names, values)


def _key_of(body: Request) -> Request:
    key: Request = body.get("Key") or body["Item"]
    return key


def _key(body: Request) -> tuple[str, str]:
    key = _key_of(body)
    return key["pk"]["S"], key["sk"]["S"]


def _tells(body: Request) -> bool:
    return body.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"


def _only(request: Request, *known: str) -> None:
    if unknown := sorted(set(request) - set(known)):
        raise NotSimulated(f"the ledger's argument {unknown[0]}")


def _error(code: str, operation: str, **more: Any) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "as DynamoDB would"}, **more}
    return ClientError(answer, operation)
