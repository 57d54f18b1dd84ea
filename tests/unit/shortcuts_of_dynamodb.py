"""The shortcuts of DynamoDB: every action asks the ledger some ten times, and every test looks at it."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cache, partial
from threading import local
from types import SimpleNamespace
from typing import Any

import moto.core.models
from botocore import handlers
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.exceptions import HTTPException, ServiceException
from moto.core.utils import camelcase_to_underscores
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.exceptions import DynamodbException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser, Node
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.dynamodb.responses import DynamoHandler

DIRECT = (
    "BatchGetItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "TransactWriteItems",
    "UpdateItem",
)
"""The calls that the ledger makes, and the one with which a test looks at all of it."""
_MOTOS_TRANSACTION = DynamoDBBackend.transact_write_items
_MOTOS_QUERY = Table.query
_MOTOS_ITEMS = Table.all_items
_asked = local()
_MOTOS_VALUE = DynamoType.cast_value.fget
_underscored = cache(camelcase_to_underscores)


def take() -> None:
    """Once for each process, before the first client is made."""
    Table.__deepcopy__ = lambda table, memo: table  # see _transact
    Table.query = _query
    Table.all_items = _all_items
    DynamoDBBackend.transact_write_items = _transact
    DynamoType.cast_value = property(lambda typed: typed.value if typed.type == "S" else _MOTOS_VALUE(typed))
    word = cache(partial(ConditionExpressionParser._lex_one_node, ConditionExpressionParser))
    ConditionExpressionParser._lex_one_node = lambda parser, rest: word(rest)
    UpdateExpressionParser.make = cache(UpdateExpressionParser.make)  # whoever changes a tree copies it before
    Node.__deepcopy__ = _copied
    DepthFirstTraverser.traverse_node_recursively = _traversed
    handlers.BUILTIN_HANDLERS += [(f"before-call.dynamodb.{call}", _answer, handlers.REGISTER_LAST) for call in DIRECT]


def _query(table: Any, hash_key: Any, *more: Any, **named: Any) -> Any:
    """moto sorts the whole table for each query; one by the table's own key needs its own partition."""
    index_name = named.get("index_name", more[6] if len(more) > 6 else None)
    if index_name is not None or table.range_key_attr is None:
        return _MOTOS_QUERY(table, hash_key, *more, **named)
    _asked.partition = list(table.items.get(hash_key, {}).values())
    try:
        return _MOTOS_QUERY(table, hash_key, *more, **named)
    finally:
        _asked.partition = None


def _all_items(table: Any) -> Any:
    """During a query of this thread its partition: checks ask side by side."""
    partition = getattr(_asked, "partition", None)
    return _MOTOS_ITEMS(table) if partition is None else partition


def _copied(node: Any, memo: dict[int, Any]) -> Any:
    """A tree of an expression; Python's own way takes ten times as long."""
    new = object.__new__(type(node))
    vars(new).update(vars(node))
    if node.children is not None:
        new.children = [copy.deepcopy(child, memo) for child in node.children]
        for child in new.children:
            if isinstance(child, Node):
                child.parent = new
    return new


def _traversed(traverser: Any, node: Any, child_id: int = -1) -> Any:
    """As in moto, which asks Python's slow question (is it of an abstract class?) several times at each node."""
    kind: Any = type(node)
    if not _is_a(kind, Node):
        return node
    parent = node.parent
    for at, child in enumerate(node.children or ()):
        traverser.pre_processing_of_child(node, at)
        _traversed(traverser, child, at)
    if _is_a(kind, traverser.nodes_to_be_processed()):
        node = traverser.process(node)
        node.parent = parent
        if parent:
            parent.children[child_id] = node
    return node


@cache
def _is_a(kind: Any, kinds: Any) -> Any:
    return issubclass(kind, kinds)


def _transact(backend: Any, transact_items: list[dict[str, Any]]) -> None:
    """All or nothing, by the items that are written; moto copies the whole table before each transaction."""
    before = [_found(backend, operation) for item in transact_items for operation in item.values()]
    try:
        _MOTOS_TRANSACTION(backend, transact_items)
    except DynamodbException:
        for table, key, item in before:
            table.items[key[0]].pop(key[1], None)
            if item is not None:
                table.items[key[0]][key[1]] = item
        raise


def _found(backend: Any, operation: Mapping[str, Any]) -> tuple[Any, tuple[Any, Any], Any]:
    table = backend.get_table(operation["TableName"])
    named = operation.get("Key") or operation["Item"]
    key = DynamoType(named[table.hash_key_attr]), DynamoType(named[table.range_key_attr])
    return table, key, copy.deepcopy(table.get_item(*key))


def _answer(model: Any, params: Mapping[str, Any], context: Mapping[str, Any], **_: Any) -> Any:
    """moto's answer without HTTP in between; None where it is an error, so that it takes the long way."""
    if not moto.core.models.botocore_stubber.enabled:
        return None
    handler = DynamoHandler()
    handler.current_account, handler.region = DEFAULT_ACCOUNT_ID, context["client_region"]
    handler.body = handler.params = json.loads(params["body"])
    try:
        result = getattr(handler, _underscored(model.name))().result
    except (ServiceException, HTTPException):
        return None
    parsed = {name: value for name, value in result.items() if name in model.output_shape.members and value is not None}
    parsed = json.loads(json.dumps(parsed))
    parsed["ResponseMetadata"] = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
    return SimpleNamespace(status_code=200), parsed
