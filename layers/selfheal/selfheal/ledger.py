"""The memory: one DynamoDB table, conditional writes, consistent reads.

    pk                     sk            what
    DELIVERY#<digest>      DELIVERY      a state change of an alarm that was taken in (a duplicate ends here), with the
                                         incident that got it
    OPEN                   <key>         the one open incident of (system, response, target); `version` counts advances
    INCIDENT#<id>          INCIDENT      a closed incident
    CLOSED                 <time>#<id>   a few lines of an incident that was closed then, for those who look
    ACTION#<action_id>     ACTION        a request, its lease and its result: the idempotency of every action;
                                         `run_id` fences late runs, `undone_by` names the one undo
    ACTION#<action_id>     ATTEMPT#<nn>  before-image, plan and wanted after-image, written before the call
    TARGET#<key>           LEASE         who works on the target right now
    TARGET#<key>           OWNER         the open incident that owns the target
    TARGET#<key>           COOLDOWN      until when other incidents leave it alone
    CHANGE                 <key>#<id>    what an action changed and nobody has undone yet
    APPROVAL               <id>          a step that waits for a person
    PAUSE                  *|<system>|<incident>   who paused what until when
    PAUSE                  <system>|<response>     a response that selfheal stopped, because it does not help
    RATE                   <system>|<response>     incidents for which it acted, and since when; `revision`
    RADIUS                 <system>      targets that were changed, and since when; `revision`
    USELESS                <system>|<response>     when incidents were closed that it did not heal; `revision`
    FLAP                   <system>-<digest>       the series that the incident closed last continues; `flaps_until`
    STORM                  <incident>    a system went red, and when
    SWEEP                  <system>|<name>  until when its moments have been swept
    SWEEPRESULT            <system>|<name>  what its last run found, and what of it people have been told
    SCORE                  <system>|<response>     counters of its closed incidents
    ROLLOUT                <system>/<name>  how it ended last, and when
    RED                    <system>      when something of it was red last
    MAINTENANCE            <system>|<start>|<what>  what was told or started before a window
    DEPLOYMENT#<system>    <id>, <id>|<watch>  what was deployed, and how the watch after it ended
    WATCH                  <system>|<name>|<deployment>  a watch that is under way: its clean looks; `looks`
    WATCH                  .news|<what>|<id>  a notice that the bus has not got yet
    VERSION#<key>          <version>     a target's version that is known as good, or as bad
    VERSION#<key>          facts|<version>  what it is: its date, the hashes of code and configuration, its state
    DRILL                  LAST, RUN     how the last drill went, and whether one is running
    CLOCK                  <name>        when a round of the clock was last done
    RECORD#<day>           <time>#<id>   refusals and unmatched alarms that belong to no incident
    LETTERS#<queue>        CHUNK#<action>#<run>#<n>  what became of a chunk of dead letters; claimed before a send
    LETTERS#<queue>        RUN           which run drains the queue now
    DRAIN#<action_id>      DRAIN         how far a drain got: its phase, how many it took, its last evidence

Documents are JSON text in `doc`; only what a condition needs is an attribute of its own. `expires` (epoch seconds) is
the TTL; an item whose change is in force has none.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from selfheal.aws_errors import AwsError, code_of
from selfheal.errors import LedgerUnavailable
from selfheal.frozen import dataclass

PERMISSIONS = (
    "dynamodb:BatchGetItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
"""IAM actions of everybody who uses the ledger; a transaction is authorised as the writes that it consists of."""

DAY_S = 86_400
KEEP_S = 400 * DAY_S
"""How long finished records stay: longer than a year, so that last year's incident can be read."""
DELIVERY_KEEP_S = 14 * DAY_S
CONFLICT_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.4)
"""DynamoDB refuses a write while a transaction holds the item, and SDKs don't repeat it. Without a repetition a race
would look like a ledger that is down."""

Item = Mapping[str, Any]


class Lost(Exception):
    """A conditional write found something else. `reasons`: per write, None or the item that stood there."""

    def __init__(self, reasons: list[Item | None]) -> None:
        self.reasons = reasons
        super().__init__(
            f"conditional write lost: {[index for index, reason in enumerate(reasons) if reason is not None]}"
        )


@dataclass(frozen=True)
class Write:
    """One conditional write of a transaction. Exactly one of put, update, delete, check is set by its maker below."""

    kind: str
    body: Mapping[str, Any]


class Ledger:
    """Typed access to the table. Every method raises LedgerUnavailable when DynamoDB does not answer."""

    def __init__(self, table: str, client: Any) -> None:
        self._table = table
        self._client = client

    # -- single items -------------------------------------------------------------------------------------------

    def get(self, pk: str, sk: str) -> dict[str, Any] | None:
        """The item, read consistently, or None."""
        answer = self._call("get_item", Key=_key(pk, sk), ConsistentRead=True)
        return _read(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """Those of up to 100 items that exist, read consistently in one call."""
        if not keys:
            return []
        wanted = [_key(*key) for key in dict.fromkeys(keys)]
        answer = self._call("batch_get_item", RequestItems={self._table: {"Keys": wanted, "ConsistentRead": True}})
        if answer.get("UnprocessedKeys"):
            raise LedgerUnavailable("DynamoDB left keys unprocessed")
        return [_read(item) for item in answer["Responses"].get(self._table, [])]

    def query(self, pk: str, prefix: str = "") -> Iterator[dict[str, Any]]:
        """Every item of a partition in the order of its sort key, read consistently, page by page."""
        condition, values = "pk = :pk", {":pk": {"S": pk}}
        if prefix:
            condition, values = condition + " AND begins_with(sk, :sk)", {**values, ":sk": {"S": prefix}}
        more: dict[str, Any] = {}
        while True:
            page = self._call(
                "query",
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ConsistentRead=True,
                **more,
            )
            yield from map(_read, page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def write(self, *writes: Write) -> None:
        """All of the conditional writes or none of them. Raises Lost with what stood in the way."""
        if len(writes) == 1:
            self._write_one(writes[0])
            return
        items = [{write.kind: {"TableName": self._table, **write.body}} for write in writes]
        try:
            self._past_conflicts("transact_write_items", {"TransactItems": items})
        except ClientError as error:
            reasons = _cancelled_for(error)
            if not any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons):
                raise LedgerUnavailable(f"{code_of(error)}: {error}") from error
            raise Lost([_reason(reason) for reason in reasons]) from error
        except AwsError as error:
            raise LedgerUnavailable(f"{code_of(error)}: {error}") from error

    def put_returning_old(self, write: Write) -> dict[str, Any] | None:
        """One put; the item that it replaced, or None. Raises Lost with the item that stood in the way."""
        old = self._write_one(Write(write.kind, {**write.body, "ReturnValues": "ALL_OLD"})).get("Attributes")
        return _read(old) if old else None

    def _write_one(self, write: Write) -> dict[str, Any]:
        method = {"Put": "put_item", "Update": "update_item", "Delete": "delete_item"}[write.kind]
        try:
            return self._past_conflicts(method, {"TableName": self._table, **write.body})
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise LedgerUnavailable(f"{code_of(error)}: {error}") from error
            raise Lost([_read(dict(error.response).get("Item") or {})]) from error
        except AwsError as error:
            raise LedgerUnavailable(f"{code_of(error)}: {error}") from error

    def _past_conflicts(self, method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The call, repeated while another transaction holds one of its items."""
        for pause in (*CONFLICT_PAUSES_S, None):
            try:
                answer: dict[str, Any] = getattr(self._client, method)(**arguments)
            except ClientError as error:
                if pause is None or not _is_conflict(error):
                    raise
                time.sleep(pause * (1 + secrets.randbelow(100) / 100))
            else:
                return answer
        raise AssertionError("the last round returns or raises")

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        if method != "batch_get_item":
            arguments["TableName"] = self._table
        try:
            answer: dict[str, Any] = getattr(self._client, method)(**arguments)
        except AwsError as error:
            raise LedgerUnavailable(f"{code_of(error)}: {error}") from error
        return answer


def put(
    pk: str, sk: str, doc: Mapping[str, Any], condition: str = "", values: Item | None = None, **attributes: Any
) -> Write:
    """A put. `condition` is a DynamoDB condition over attributes; `:names` in it are given in `values`."""
    item = {**_key(pk, sk), "doc": {"S": json.dumps(doc, default=str)}, **_typed(attributes)}
    return Write("Put", {"Item": item, **_condition(condition, values)})


def put_new(pk: str, sk: str, doc: Mapping[str, Any], **attributes: Any) -> Write:
    """A put that never overwrites."""
    return put(pk, sk, doc, "attribute_not_exists(pk)", **attributes)


def update(pk: str, sk: str, changes: Mapping[str, Any], condition: str, values: Item | None = None) -> Write:
    """Set attributes (`doc` as a document) if `condition` holds; None removes an attribute."""
    sets = {name: value for name, value in changes.items() if value is not None}
    removes = [name for name, value in changes.items() if value is None]
    setting = "SET " + ", ".join(f"#{name} = :set_{name}" for name in sets) if sets else ""
    removing = "REMOVE " + ", ".join(f"#{name}" for name in removes) if removes else ""
    encoded = {name: json.dumps(value, default=str) if name == "doc" else value for name, value in sets.items()}
    body = {
        "Key": _key(pk, sk),
        "UpdateExpression": f"{setting} {removing}".strip(),
        "ExpressionAttributeNames": {f"#{name}": name for name in changes},
        **_condition(condition, {**{f"set_{name}": value for name, value in encoded.items()}, **(values or {})}),
    }
    return Write("Update", body)


def add(pk: str, sk: str, numbers: Mapping[str, int]) -> Write:
    """Add to counters, whatever they are; those that are not there yet begin with 0."""
    names = [name for name, number in numbers.items() if number]
    body = {
        "Key": _key(pk, sk),
        "UpdateExpression": "ADD " + ", ".join(f"#{name} :{name}" for name in names),
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": {f":{name}": _type(numbers[name]) for name in names},
    }
    return Write("Update", body)


def delete(pk: str, sk: str, condition: str = "", values: Item | None = None) -> Write:
    """Delete if `condition` holds."""
    return Write("Delete", {"Key": _key(pk, sk), **_condition(condition, values)})


def check(pk: str, sk: str, condition: str, values: Item | None = None) -> Write:
    """Change nothing, but let the transaction fail unless `condition` holds."""
    return Write("ConditionCheck", {"Key": _key(pk, sk), **_condition(condition, values)})


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _condition(condition: str, values: Item | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if condition:
        body["ConditionExpression"] = condition
        body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    if values:
        body["ExpressionAttributeValues"] = {f":{name}": _type(value) for name, value in values.items()}
    return body


def _typed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _type(value) for name, value in attributes.items() if value is not None}


def _type(value: Any) -> dict[str, str]:
    return {"S": str(value)} if isinstance(value, str) else {"N": repr(value)}


def _read(item: Any) -> dict[str, Any]:
    """DynamoDB's typed item as plain values; numbers as float or int, `doc` parsed."""
    plain: dict[str, Any] = {}
    for name, typed in item.items():
        ((kind, value),) = typed.items()
        plain[name] = _number(value) if kind == "N" else value
    if "doc" in plain:
        plain["doc"] = json.loads(plain["doc"])
    return plain


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _cancelled_for(error: ClientError) -> list[dict[str, Any]]:
    response: Mapping[str, Any] = error.response
    reasons: list[dict[str, Any]] = response.get("CancellationReasons", [])
    return reasons


def _is_conflict(error: ClientError) -> bool:
    """Nothing but another transaction was in the way; a failed condition would fail again."""
    codes = {reason.get("Code", "None") for reason in _cancelled_for(error)} - {"None"}
    return code_of(error) == "TransactionConflictException" or codes == {"TransactionConflict"}


def _reason(reason: Mapping[str, Any]) -> Item | None:
    return _read(reason.get("Item", {})) if reason.get("Code") == "ConditionalCheckFailed" else None
