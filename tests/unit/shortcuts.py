"""Shortcuts past what botocore and moto do anew for every test and every call, though it comes out the same each time.

What AWS answers stays moto's own: expressions, conditions, errors. Only the way there and back is shorter. Without this
the unit tests take three times as long.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import botocore.session
import moto.core.models
import moto.core.responses
from botocore import handlers, useragent
from botocore.hooks import EventAliaser, HierarchicalEmitter
from botocore.loaders import create_loader
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.base_backend import BaseBackend
from moto.core.exceptions import HTTPException, ServiceException
from moto.core.utils import camelcase_to_underscores
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.exceptions import DynamodbException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
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


def take() -> None:
    """Once for each process, before the first client is made."""
    _read_descriptions_once()
    _build_urls_once()
    moto.core.models.RESPONSES_METHODS = []  # nothing here calls AWS through `requests`
    Table.__deepcopy__ = lambda table, memo: table  # see _transact
    DynamoDBBackend.transact_write_items = _transact
    _remember_what_depends_on_text_only()
    handlers.BUILTIN_HANDLERS += [(f"before-call.dynamodb.{call}", _answer, handlers.REGISTER_LAST) for call in DIRECT]


def _read_descriptions_once() -> None:
    """Every session reads AWS's descriptions of its services from disk: all of them share one reader."""
    loader = create_loader()
    botocore.session.create_loader = lambda search_path_string=None: loader


def _build_urls_once() -> None:
    """moto builds the table of a backend's URLs for each request."""
    build = BaseBackend.urls.fget
    built: dict[type, Any] = {}

    def urls(backend: Any) -> Any:
        kind = type(backend)
        if kind not in built:
            built[kind] = build(backend)
        return built[kind]

    BaseBackend.urls = property(urls)


def _remember_what_depends_on_text_only() -> None:
    """Names of methods, words of expressions, names of events, parts of the user agent."""
    moto.core.responses.method_names_from_class = cache(moto.core.responses.method_names_from_class)
    word = cache(partial(ConditionExpressionParser._lex_one_node, ConditionExpressionParser))
    ConditionExpressionParser._lex_one_node = lambda parser, rest: word(rest)
    aliaser: Any = EventAliaser
    alias = cache(aliaser(HierarchicalEmitter())._alias_event_name)
    aliaser._alias_event_name = lambda emitter, name: alias(name)
    useragent.sanitize_user_agent_string_component = cache(useragent.sanitize_user_agent_string_component)


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
        result = getattr(handler, camelcase_to_underscores(model.name))().result
    except (ServiceException, HTTPException):
        return None
    parsed = {name: value for name, value in result.items() if name in model.output_shape.members and value is not None}
    parsed = json.loads(json.dumps(parsed))
    parsed["ResponseMetadata"] = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
    return SimpleNamespace(status_code=200), parsed
