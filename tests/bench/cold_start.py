"""How much CPU a function needs from nothing to the end of its first event, beside the same work done as usual."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulator import environments
from tests.bench import cold_start_trees as trees
from tests.bench.cold_start_peers import CUSTODIAN_EVENT, EVENT, answers
from tests.bench.cold_start_record import Answer, Recording, record
from tests.bench.cold_start_runtime import Function, RuntimeFailed, Started, start
from tests.bench.cold_start_stub import Stub, stub
from tests.bench.cold_start_trees import Tree
from tests.bench.figure import REPOSITORY, Bar, Chart, Figure, Goal, Row, Table

COMPARED = "roll_back_alias"
"""The action that is measured in both forms: it makes the calls that the peers make, and the engine's."""
BUDGET_S = 75.0
"""Rounds are begun until so much is spent; at least LEAST of them."""
LEAST, MOST = 3, 9
LISTED = 2
"""Rounds of the functions that are compared with nothing."""
SHARE = 1769 / 128
"""Lambda gives a function of 1,769 MB one processor, and one of 128 MB so much less; INIT runs at full speed."""
COLUMNS = (
    "INIT, CPU ms",
    "first event, CPU ms",
    "both, CPU ms",
    "next event, CPU ms",
    "at 128 MB, ms",
    "AWS calls of the event",
)


@dataclass(frozen=True)
class Measured:
    """One function to start: what it runs as, its events with what AWS answers to each, and what it must answer."""

    function: Function
    events: tuple[Mapping[str, Any], ...]
    answers: tuple[Mapping[str, list[Answer]], ...]
    calls: int
    ours: bool = False
    warm: bool = True


def measure(say: Callable[[str], None]) -> Figure:
    """Build, record, and start everything in turn."""
    scratch = Path(tempfile.mkdtemp(prefix="selfheal-bench-"))
    try:
        return _measure(say, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _measure(say: Callable[[str], None], scratch: Path) -> Figure:
    say("building what is measured")
    built = trees.ours()
    python = environments.ensure("runtime")
    say("recording what AWS answers")
    recordings = record(scratch)
    with stub(scratch) as aws:
        subjects = _subjects(python, built, recordings, aws, scratch)
        trees.trust([tree for tree in _TREES if tree.packages], aws.authority)
        found, left_out = _rounds(subjects, aws, scratch, say)
    for name, why in left_out.items():
        say(f"left out: {name}: {why[:2000]}")
    return _figure(found, subjects, {**UNMEASURED, **dict.fromkeys(left_out, "it did not do what was recorded of it")})


_TREES: list[Tree] = []


def _subjects(
    python: Path, built: Mapping[str, Tree], recordings: Mapping[str, list[Recording]], aws: Stub, scratch: Path
) -> dict[str, Measured]:
    """By the name of its row; those that are compared come first."""
    common = {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "NO_PROXY": "*",
    }
    own = {
        **common,
        "LEDGER_TABLE": "ledger",
        "EVENT_BUS": "selfheal",
        "MAX_MODE": "auto",
        "RUNBOOKS_PATH": str(trees.runbooks()),
        "POWERTOOLS_SERVICE_NAME": "selfheal",
        "ARCHIVE_BUCKET": "selfheal-archive",
        "EVIDENCE_FUNCTION": "selfheal-PreserveEvidence",
        "ACTION_FUNCTIONS": json.dumps(dict.fromkeys(recordings, "the-alchemiser-v2-lambda-dev")),
    }

    def peer(tree: Tree, event: Mapping[str, Any], calls: int, handler: str = "app.lambda_handler") -> Measured:
        _TREES.append(tree)
        function = Function(python, tree.folder, tree.packages, common, handler)
        # a second event of the same id is a duplicate to the idempotency of Powertools, and says nothing
        return Measured(function, (event,), (answers(),), calls, warm=False)

    def mine(folder: str, tree: Tree, more: Mapping[str, str]) -> Measured:
        _TREES.append(tree)
        none = {"RUNBOOKS_PATH": str(scratch / "runbooks.json")} if folder == "respond" else {}
        function = Function(python, tree.folder, tree.packages, {**own, **more, **none})
        two = recordings[folder]
        return Measured(
            function, tuple(one.event for one in two), tuple(one.answers for one in two), len(two[0].calls), bool(more)
        )

    def same(recording: Recording) -> Measured:
        tree = trees.boto3(same_calls=True)
        _TREES.append(tree)
        more = {"SERVICES": ",".join(sorted({service for service, _, _ in recording.calls}))}
        function = Function(python, tree.folder, tree.packages, {**common, **more})
        return Measured(function, ({"calls": recording.calls},), (recording.answers,), len(recording.calls), warm=False)

    prepared = {"PREPARE_IN_INIT": "1"}
    first = {
        COMPARED: mine(COMPARED, built[COMPARED], prepared),
        AS_SAM: mine(COMPARED, trees.as_sam_builds(COMPARED), {}),
        USUAL_PLAIN: peer(trees.usual(compiled=False), EVENT, 6),
        USUAL_COMPILED: peer(trees.usual(compiled=True), EVENT, 6),
        C7N: peer(trees.custodian(runtimes_boto3=False), CUSTODIAN_EVENT, 2, "custodian_policy.run"),
        C7N_RUNTIME: peer(trees.custodian(runtimes_boto3=True), CUSTODIAN_EVENT, 2, "custodian_policy.run"),
        BOTO3: peer(trees.boto3(), EVENT, 3),
        BOTO3_SAME: same(recordings[COMPARED][0]),
        NULL: peer(trees.null(), EVENT, 0),
    }
    rest = {folder: mine(folder, built[folder], prepared) for folder in recordings if folder != COMPARED}
    return first | {folder: one for folder, one in rest.items() if folder not in UNMEASURED}


AS_SAM = "the same roll_back_alias, as `sam build` ships it"
USUAL_PLAIN = "Powertools and boto3, as `sam build` ships them"
USUAL_COMPILED = "Powertools and boto3, with bytecode"
C7N = "Cloud Custodian, all in its own zip"
C7N_RUNTIME = "Cloud Custodian, beside the runtime's boto3"
BOTO3 = "boto3 alone, with bytecode: three calls"
BOTO3_SAME = "boto3 alone, with bytecode: the calls that ours makes"
NULL = "a handler that does nothing"
PEERS = (AS_SAM, USUAL_PLAIN, USUAL_COMPILED, C7N, C7N_RUNTIME, BOTO3, BOTO3_SAME, NULL)
UNMEASURED = {"dispatch_workflow": "it asks GitHub, for which the stub does not stand"}


def _rounds(
    subjects: Mapping[str, Measured], aws: Stub, scratch: Path, say: Callable[[str], None]
) -> tuple[dict[str, list[Started]], dict[str, str]]:
    """In turn; the functions that are only listed take part in the first rounds alone. Beside it, why one was left
    out."""
    found: dict[str, list[Started]] = {name: [] for name in subjects}
    left_out: dict[str, str] = {}
    ends, number = time.monotonic() + BUDGET_S, 0
    while number < LEAST or (number < MOST and time.monotonic() < ends):
        for name, one in subjects.items():
            if name in left_out or (name != COMPARED and name not in PEERS and number >= LISTED):
                continue
            say(f"round {number + 1}: {name}")
            before = [_expecting(aws, expected) for expected in one.answers]
            try:
                started = start(one.function, one.events, before, scratch)
                _must_have_done(name, one, started, aws)
            except (RuntimeFailed, WentAnotherWay) as error:
                if name == COMPARED or name in PEERS:
                    raise
                left_out[name] = str(error)
                continue
            found[name].append(started)
        number += 1
    return {name: runs for name, runs in found.items() if name not in left_out}, left_out


def _expecting(aws: Stub, expected: Mapping[str, list[Answer]]) -> Callable[[], None]:
    return lambda: aws.expect(expected)


class WentAnotherWay(Exception):
    """A function did not do what it was recorded to do: its numbers would mean nothing."""


def _must_have_done(name: str, one: Measured, started: Started, aws: Stub) -> None:
    if aws.unknown or aws.served != one.calls:
        raise WentAnotherWay(
            f"{name} made {aws.served} calls where {one.calls} were expected (unknown: {aws.unknown}): "
            f"{started.answers}\n{started.log[-3000:]}"
        )


@dataclass(frozen=True)
class Middle:
    """Medians, in ms."""

    init: float
    first: float
    warm: float | None
    share: float

    @property
    def cold(self) -> float:
        """INIT and the first event."""
        return self.init + self.first


def _middle(runs: list[Started], *, warm: bool) -> Middle:
    init = statistics.median(one.init_cpu for one in runs)
    first = statistics.median(one.events_cpu[0] for one in runs)
    later = statistics.median(one.events_cpu[1] for one in runs) if warm else None
    return Middle(init, first, later, statistics.median(one.init_cpu + one.events_cpu[0] * SHARE for one in runs))


def _figure(
    found: Mapping[str, list[Started]], subjects: Mapping[str, Measured], left_out: Mapping[str, str]
) -> Figure:
    middles = {name: _middle(runs, warm=subjects[name].warm) for name, runs in found.items()}

    def row(name: str) -> Row:
        one = middles[name]
        values = (one.init, one.first, one.cold, one.warm, one.share, subjects[name].calls)
        told = [None if value is None else round(value, 1) for value in values]
        return Row(name, dict(zip(COLUMNS, told, strict=True)), subjects[name].ours)

    compared = [name for name in (COMPARED, *PEERS) if name in middles]
    others = sorted(name for name in middles if name not in compared)
    return Figure(
        name="cold_start",
        title="Cold start",
        question="How much CPU does a function need from nothing to the end of its first event?",
        tables=[
            Table(COLUMNS, [row(name) for name in compared], "Beside the same work, done as usual"),
            Table(
                COLUMNS,
                [row(name) for name in others],
                "The other functions: one event that changes something; of respond, a tick of its clock",
            ),
        ],
        goals=_goals(middles, others),
        chart=Chart(
            "INIT and the first event of a fresh function",
            "CPU ms",
            [Bar(name, round(middles[name].cold, 1), name == COMPARED) for name in compared],
        ),
        how=HOW,
        notes=[*NOTES, *(f"Not measured: {name}, because {why}." for name, why in left_out.items())],
        versions=_versions(),
        facts=_facts(middles, found),
    )


def _goals(middles: Mapping[str, Middle], others: list[str]) -> list[Goal]:
    ours = middles[COMPARED]

    why = (
        "Ours makes the calls of the ledger, the guards and the record, each behind its own client: even a warm event "
        f"takes {ours.warm or 0:.0f} ms of CPU, {(ours.warm or 0) * SHARE:,.0f} ms at this share."
    )

    def under(what: str, wanted: float, theirs: float, mine: float, why: str = IMPORTS) -> Goal:
        ratio = theirs / mine
        measured = f"{ratio:.1f} x ({theirs:,.0f} : {mine:,.0f} ms)"
        return Goal(what, f"≥ {wanted} x", measured, ratio >= wanted, "" if ratio >= wanted else why)

    most = max(others, key=lambda name: middles[name].cold)
    return [
        under("under the same handler as `sam build` ships it", 2.5, middles[AS_SAM].cold, ours.cold),
        under("under the usual set without bytecode", 3.5, middles[USUAL_PLAIN].cold, ours.cold),
        under("under Cloud Custodian as its own zip", 3.0, middles[C7N].cold, ours.cold),
        under("under plain boto3 with the same calls at a 128 MB share", 2.5, middles[BOTO3_SAME].share, ours.share),
        under("under plain boto3 with three calls at a 128 MB share", 2.5, middles[BOTO3].share, ours.share, why),
        under(
            f"the dearest of the other functions ({most}) under {COMPARED} as `sam build` ships it",
            2.5,
            middles[AS_SAM].cold,
            middles[most].cold,
        ),
    ]


def _facts(middles: Mapping[str, Middle], found: Mapping[str, list[Started]]) -> dict[str, float]:
    facts: dict[str, float] = {}
    for name, one in middles.items():
        if name not in PEERS:
            walls = statistics.median(run.init_wall for run in found[name])
            facts |= {f"{name}_init_ms": one.init, f"{name}_first_ms": one.first, f"{name}_init_wall_ms": walls}
            facts |= {} if one.warm is None else {f"{name}_warm_ms": one.warm}
    return {name: round(value, 1) for name, value in facts.items()}


def _versions() -> dict[str, str]:
    pins = {}
    for name in ("peer-usual", "peer-c7n", "runtime"):
        for line in (REPOSITORY / "requirements" / f"{name}.txt").read_text().splitlines():
            package, found, version = line.partition("==")
            if found and package.partition("[")[0] in NAMED:
                pins[package.partition("[")[0]] = version.split()[0]
    return pins


IMPORTS = (
    "By -X importtime and with parts left out: half of INIT is the import of botocore (urllib3 in it), which ours has "
    "in common with all of them; a fifth are the clients of six services, a sixth is selfheal's own code."
    " The event makes 17 calls where a peer makes two to six."
)
NAMED = ("aws-lambda-powertools", "boto3", "c7n", "awslambdaric")
HOW = (
    "Each start is a fresh process under AWS's Runtime Interface Emulator (of the aws-sam-cli wheel) and awslambdaric; "
    "all with the same Python, in turn, medians.",
    "CPU is user and system time of the runtime process, noted when it asks for its first and its second event. The "
    "interpreter's start and awslambdaric's are in it, as in Lambda's INIT.",
    "AWS is a stub on loopback behind TLS; it gives ours what moto answered to the same event, so that every action "
    "runs to its end with all its guards, and the peers what they ask for.",
    "Ours is the artefact of `make build` with bytecode for this Python; the authority of the stub is added to its "
    "small bundle of certificates, and to the whole bundles of the others.",
    "At 128 MB: INIT at full speed and the CPU of the event times 1,769/128. This is arithmetic, not a measurement.",
)
NOTES = (
    "Ours makes all calls of the ledger, the guards and the record; the peers' rollback three (Powertools': six).",
    "Cloud Custodian's action is set-concurrency, since it has none for aliases: two calls.",
    "Nothing was measured in AWS; published figures of Lambda on arm64 are some 1.8 times as high.",
)
