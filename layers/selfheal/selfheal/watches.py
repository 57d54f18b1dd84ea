"""Watches: after a deployment a sweep is run again and again, until it was clean for long enough or found something.

Each look is a request under an id of its own; the next one comes only after a clean one. How a watch ended, what it
proves of versions, and the notice of it are written together, once; the notice is sent from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from selfheal import by_clock, outcome, versions
from selfheal import ledger as table
from selfheal.by_clock import Answer, Start
from selfheal.errors import SelfhealError
from selfheal.frozen import dataclass
from selfheal.ledger import Item, Ledger, Lost, Write
from selfheal.observability import logger
from selfheal.rounds import Done
from selfheal.runbook import Runbook, Runbooks, Watch, fits
from selfheal.target import read_target
from selfheal.words import Mode, Outcome

WATCH = "WATCH"
NEWS = ".news|"
"""No system's name begins with a dot: what is only to be told stands beside the watches."""
ANSWER_WITHIN_S = 900
MAX_READ = 5
"""Aliases whose versions are read for one watch: each costs two of the 15 control-plane calls a second."""
ALIAS = ("alias",)

AskForPlan = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Tools:
    """What a round of the watches needs. `plan` asks an action for its plan, and waits for it."""

    ledger: Ledger
    runbooks: Runbooks
    start: Start
    plan: AskForPlan


def begun(runbook: Runbook, targets: tuple[str, ...]) -> list[Watch]:
    """The watches that begin when these targets were deployed."""
    return [
        watch
        for watch in runbook.watches
        if not watch.on or any(fits(pattern, name) for pattern in watch.on for name in targets)
    ]


def beginning(system: str, watch: Watch, deployment: Mapping[str, Any], name: str, now: float) -> Write:
    """The write that begins one; it belongs to the one that records the deployment."""
    key = f"{system}|{watch.name}|{name}"
    doc = {
        "system": system,
        "name": watch.name,
        "sweep": watch.sweep,
        "every_s": watch.every_s,
        "for_s": watch.for_s,
        "deployment": dict(deployment),
    }
    return table.put_new(WATCH, key, doc, began_at=now, looks=0)


def news(key: str, notice: Mapping[str, Any], now: float) -> Write:
    """The write that keeps a notice until the bus has it."""
    return table.put(WATCH, f"{NEWS}{notice['what']}|{key}", notice, at=now, expires=int(now + table.DELIVERY_KEEP_S))


def go_on(tools: Tools, now: float) -> Done:
    """Take every watch one look further, then tell what is to be told. Raises LedgerUnavailable."""
    items = list(tools.ledger.query(WATCH))
    open_ones = [item for item in items if not item["sk"].startswith(NEWS)]
    ended = [item["sk"] for item in open_ones if _look(tools, item, now)]
    told = _tell(tools.ledger) if ended or len(open_ones) < len(items) else 0
    return Done({"open": len(open_ones), "ended": ended, "told": told} if open_ones or told else None)


def _tell(ledger: Ledger) -> int:
    """Sent first and crossed off afterwards: a crash in between tells twice rather than not at all."""
    told = 0
    for item in list(ledger.query(WATCH, NEWS)):
        if outcome.send(outcome.NOTICE, item["doc"]):
            ledger.write(table.delete(WATCH, item["sk"]))
            told += 1
    return told


def _look(tools: Tools, item: Item, now: float) -> bool:
    """True: it has ended."""
    doc, clean = item["doc"], int(item["looks"])
    due = float(item["began_at"]) + (clean + 1) * doc["every_s"]
    runbook = tools.runbooks.system(doc["system"])
    if runbook is None or all(sweep.name != doc["sweep"] for sweep in runbook.sweeps):
        return _end(tools, item, "unknown", f"the runbook has no sweep {doc['sweep']!r} any more", now)
    if clean == 0 and "serving" not in doc:
        doc = _with_serving(tools, runbook, item)
    if now < due:
        return False
    answer = by_clock.go_on(tools.ledger, _request(item, clean + 1), tools.start, now)
    if answer is None:
        late = now >= due + ANSWER_WITHIN_S
        return late and _end(tools, item, "unknown", f"look {clean + 1} was not answered", now)
    if answer.outcome is not Outcome.ACTED:
        return _end(tools, item, "red" if answer.outcome is Outcome.FAILED else "unknown", _in_words(answer), now)
    if (clean + 1) * doc["every_s"] >= doc["for_s"]:
        return _end(tools, {**item, "doc": doc}, "clean", answer.detail, now)
    _advance(tools.ledger, item["sk"], {"looks": clean + 1}, clean)
    return False


def _request(item: Item, number: int) -> dict[str, Any]:
    doc = item["doc"]
    digest = sha256(item["sk"].encode()).hexdigest()[:16]
    return by_clock.sweep_request(
        doc["system"],
        doc["sweep"],
        f"watch.{doc['system']}.{digest}.{number}",
        f"watch after a deployment: {doc['name']}",
        must_pass=True,
    )


def _with_serving(tools: Tools, runbook: Runbook, item: Item) -> dict[str, Any]:
    """Note which versions are watched, before the first look."""
    doc = {**item["doc"], "serving": _serving(tools, runbook, item["doc"]["deployment"]["targets"])}
    _advance(tools.ledger, item["sk"], {"doc": doc}, 0)
    return doc


def _advance(ledger: Ledger, key: str, changes: Mapping[str, Any], clean: int) -> None:
    try:
        ledger.write(table.update(WATCH, key, changes, "looks = :clean", {"clean": clean}))
    except Lost:
        logger.info("watch advanced by another tick", watch=key)


def _end(tools: Tools, item: Item, verdict: str, detail: str, now: float) -> bool:
    """Once, whoever comes first: the watch is gone, the deployment knows, versions are proven, the news are kept."""
    doc = item["doc"]
    good, not_good = _proven(tools, doc) if verdict == "clean" else ([], "")
    looks = int(item["looks"]) + (verdict == "clean")
    deployment = doc["deployment"]
    notice = {
        "what": "watched",
        "at": now,
        "system": doc["system"],
        "name": doc["name"],
        "version": deployment["version"],
        "for_s": doc["for_s"],
        "verdict": verdict,
        "looks": looks,
        "detail": detail[:500],
        "good": [{"target": one["name"], "version": one["version"]} for one in good],
        "not_good": not_good,
    }
    _, _, which = item["sk"].split("|", 2)
    ended = table.put(f"DEPLOYMENT#{doc['system']}", f"{which}|{doc['name']}", notice, expires=int(now + table.KEEP_S))
    proofs = {
        one["key"]: versions.proven(one["key"], one["version"], "good", now, f"watch {doc['name']}") for one in good
    }
    try:
        tools.ledger.write(
            table.delete(WATCH, item["sk"], "looks = :clean", {"clean": int(item["looks"])}),
            ended,
            news(item["sk"], notice, now),
            *proofs.values(),
        )
    except Lost:
        logger.info("watch ended by another tick", watch=item["sk"])
    return True


def _proven(tools: Tools, doc: Mapping[str, Any]) -> tuple[list[dict[str, str]], str]:
    """The versions that served from the first look to the last, and why others are not recorded."""
    runbook = tools.runbooks.system(doc["system"])
    before = doc.get("serving") or {}
    after = _serving(tools, runbook, list(before)) if runbook and before else {}
    good = [{"name": name, **now} for name, now in after.items() if now["version"] and now == before.get(name)]
    others = sorted(set(before) - {one["name"] for one in good})
    why = f"{', '.join(others)}: its version was not read, or changed meanwhile" if others else ""
    return good, why


def _serving(tools: Tools, runbook: Runbook, names: list[str]) -> dict[str, dict[str, str]]:
    """The version of each alias among these targets, empty where it can't be told."""
    found: dict[str, dict[str, str]] = {}
    down = False
    for name in names:
        fields = runbook.targets.get(name, {})
        if not {"function", "alias"} <= set(fields) or len(found) == MAX_READ:
            continue
        version = None if down else _version(tools, fields, runbook.system)
        down = version is None  # each that does not answer would be waited for
        found[name] = {"key": read_target(fields, ALIAS).key, "version": version or ""}
    return found


def _version(tools: Tools, fields: Mapping[str, Any], system: str) -> str | None:
    """What the rollback would start from: asked of the one function that may read aliases. None: it did not answer."""
    event = {"action": versions.ROLLS_BACK, "target": dict(fields), "system": system, "mode": Mode.PLAN.value}
    try:
        plan = tools.plan(event)
    except SelfhealError as error:
        logger.warning("version not read", target=dict(fields), cause=str(error))
        return None
    evidence = plan.get("evidence") or {}
    _learn(tools.ledger, read_target(fields, ALIAS).key, evidence.get(versions.LEARNT) or {})
    return versions.serving(plan.get("before") or evidence.get("serving"))


def _learn(ledger: Ledger, target_key: str, facts: Mapping[str, Any]) -> None:
    """What the plan has seen of versions spares a rollback the list of them; without it that costs one call more."""
    try:
        if facts:
            ledger.write(*versions.learnt(target_key, facts, time.time()))
    except SelfhealError as error:
        logger.warning("facts of versions not kept", target=target_key, cause=str(error))


def _in_words(answer: Answer) -> str:
    return answer.detail or answer.reason
