"""How fast a dead-letter queue is emptied without losing a letter, beside SQS's own move and tools that people use."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from tests.bench.drain_stage import LATENCY_MS, SIZE, Drained, Stage, stage
from tests.bench.figure import Bar, Chart, Figure, Goal, Row, Table
from tests.bench.peers import environment, npm_package, python
from tests.bench.processes import Spent

FEW, MANY = 5_000, 100_000
PEERS = 300
"""Letters for those that move some 30 a second; their rate is what counts."""
SHORT_S = 6.0
"""Of one run of the drain that is resumed; half of it is kept in reserve."""
REDRIVE, REDRIVE_MANY = f"redrive_dlq, {FEW:,}", f"redrive_dlq, {MANY:,}"
ARCHIVE, REPLAY = f"archive_dlq, {FEW:,}", "replay_dlq to a function, 2,000"
RESUMED, BY_SQS = f"redrive_dlq, {FEW:,}, runs of {SHORT_S:.0f} s", "redrive_dlq without an archive: SQS's own move"
BATCH10, LETTER, AWS_DLQ = "batch of 10, boto3, 1 thread", "phoenix-letter 0.3.7", "replay-aws-dlq 1.0.1"
NATIVE_PER_S = 500
COLUMNS = (
    "letters", "letters/s", "CPU ms per 1,000", "queue calls/letter", "archive calls/letter", "ledger calls/letter",
    "lost", "doubled", "peak MB over empty",
)  # fmt: skip

Say = Callable[[str], None]


def measure(say: Say) -> Figure:
    """Each on a fresh cloud, ours and theirs in turn."""
    with stage() as here:
        idle = here.ours("redrive_dlq", 0).spent
        found = _ours(here, say) | _peers(here, say)
        idle_peers = {BATCH10: _batch10(here, 0).spent, LETTER: _phoenix(here, 0).spent}
    rows = [
        Row(name, _values(one, idle if name in _OURS else idle_peers.get(name)), ours=name in _OURS)
        for name, one in found.items()
    ]
    return Figure(
        name="drain",
        title="Drain a dead-letter queue",
        question="How many letters a second leave a dead-letter queue, at what cost, and is any lost or sent twice?",
        tables=(Table(COLUMNS, rows),),
        goals=_goals(found, idle),
        chart=Chart(
            f"Letters a second at {LATENCY_MS} ms a call",
            "letters/s",
            [Bar(name, round(one.per_second, 1), ours=name in _OURS) for name, one in found.items()],
            logarithmic=True,
        ),
        how=(
            f"SQS, S3, Lambda and DynamoDB are one process in memory that holds back each answer for {LATENCY_MS} ms; "
            f"it took {max(one.cloud_cpu for one in found.values()):.0%} of one core at the most.",
            f"A letter has a body of {SIZE} bytes and an attribute. Ours go through the function's handler: request, "
            "guards, lease, evidence, record and archive included; the canary is left out, as it only waits.",
            "Letters a second are counted in the cloud, from the first receive to the last delete. CPU and memory are "
            "those of the whole process, less those of the same one on an empty queue.",
            f"Peers that move some 30 a second got {PEERS} letters.",
        ),
        notes=(
            "A default is slower on purpose: `per_second` is 100 for a redrive, 10 for a replay; here it is no limit.",
            f"SQS's own move is modelled at the {NATIVE_PER_S} a second that AWS allows.",
            "batch of 10, phoenix-letter, replay-aws-dlq and SQS's own move keep no archive and no record: killed "
            "between send and delete, they send again.",
        ),
        versions={"boto3": version("boto3"), "phoenix-letter": "0.3.7", "replay-aws-dlq": "1.0.1"},
        facts={
            "redrive_letters_per_s": round(found[REDRIVE_MANY].per_second, 1),
            "redrive_queue_calls_per_letter": round(found[REDRIVE_MANY].per_letter("sqs"), 4),
        },
    )


_OURS = (REDRIVE, REDRIVE_MANY, ARCHIVE, REPLAY, RESUMED, BY_SQS)


def _ours(here: Stage, say: Say) -> dict[str, Drained]:
    measures: dict[str, Callable[[], Drained]] = {
        REDRIVE: lambda: here.ours("redrive_dlq", FEW),
        REDRIVE_MANY: lambda: here.ours("redrive_dlq", MANY),
        RESUMED: lambda: here.ours("redrive_dlq", FEW, seconds=SHORT_S),
        ARCHIVE: lambda: here.ours("archive_dlq", FEW),
        REPLAY: lambda: here.ours("replay_dlq", 2_000, by_lambda=True),
        BY_SQS: lambda: here.ours("redrive_dlq", 2_000, archive=False),
    }
    found = {}
    for name, run in measures.items():
        say(name)
        found[name] = _checked(name, run())
    return found


def _checked(name: str, one: Drained) -> Drained:
    if one.spent.status or one.result.get("outcome") != "acted":
        raise RuntimeError(f"{name} ended with {one.result or one.spent.output[-2000:]}")
    return one


def _peers(here: Stage, say: Say) -> dict[str, Drained]:
    say(BATCH10)
    found = {BATCH10: _batch10(here, 2_000)}
    say(LETTER)
    found[LETTER] = _phoenix(here, PEERS)
    node = npm_package("replay-aws-dlq", "1.0.1")
    if node is not None:
        say(AWS_DLQ)
        cli = str(node / "node_modules" / "replay-aws-dlq" / "cli.js")
        found[AWS_DLQ] = here.drain(PEERS, ["node", cli, here.url("dead"), here.url("orders")])
    return found


def _batch10(here: Stage, letters: int) -> Drained:
    return here.drain(letters, [python(), "tests/bench/drain_batch10.py", here.url("dead"), here.url("orders")])


def _phoenix(here: Stage, letters: int) -> Drained:
    tool = str(environment("peer-phoenix-letter") / "bin" / "phoenix_letter")
    asked = ["--src", "dead", "--dst", "orders", "--region", "us-east-1", "--empty-receive", "1"]
    return here.drain(letters, [tool, *asked])


def _values(one: Drained, idle: Spent | None) -> dict[str, float | int | str | None]:
    cpu = one.spent.cpu_ms - (idle.cpu_ms if idle else 0.0)
    values: dict[str, float | int | str | None] = {
        "letters": one.letters,
        "letters/s": round(one.per_second),
        "CPU ms per 1,000": round(cpu / one.letters * 1000),
        "queue calls/letter": round(one.per_letter("sqs"), 3),
        "archive calls/letter": round(one.per_letter("s3"), 3),
        "ledger calls/letter": round(one.per_letter("dynamodb"), 3),
        "lost": one.lost,
        "doubled": one.doubled,
    }
    if idle:
        values["peak MB over empty"] = round(one.spent.peak_mb - idle.peak_mb, 1)
    return values


def _goals(found: dict[str, Drained], idle: Spent) -> list[Goal]:
    redrive, many, archive = found[REDRIVE], found[REDRIVE_MANY], found[ARCHIVE]
    slower = min(redrive.per_second, many.per_second)
    of_python = "botocore takes the interpreter's whole time: signing, headers and JSON of 3 calls for 10 letters"
    goals = [
        _at_least(f"beside {name}", slower / found[name].per_second, 30, of_python)
        for name in (AWS_DLQ, LETTER)
        if name in found
    ]
    goals.append(_at_least(f"beside SQS's own {NATIVE_PER_S} a second", slower / NATIVE_PER_S, 3, of_python))
    for name, one in ((REDRIVE, redrive), (REDRIVE_MANY, many)):
        calls = one.per_letter("sqs")
        goals.append(Goal(f"queue calls a letter, {name}", "≤ 0.31", f"{calls:.3f}", calls <= 0.31))
    objects = max(one.per_letter("s3") for one in (redrive, many, archive))
    goals.append(Goal("archive calls a letter", "≤ 0.1", f"{objects:.3f}", objects <= 0.1))
    invokes = found[REPLAY].calls["lambda"] - 3  # its configuration, its retries, the evidence
    goals.append(Goal("invokes of 2,000 letters to a function", "2,000", f"{invokes:,}", invokes == 2_000))
    memory = max(found[name].spent.peak_mb for name in _OURS) - idle.peak_mb
    goals.append(Goal("memory over the empty handler", "< 128 MB", f"{memory:.0f} MB", memory < 128))
    runs = found[RESUMED].result["runs"]
    bad = sum(found[name].lost + found[name].doubled for name in _OURS)
    goals.append(Goal(f"lost or doubled, {runs} runs of {SHORT_S:.0f} s among them", "0", str(bad), bad == 0))
    kept = sum(found[name].gone_unarchived for name in _OURS if name != BY_SQS)
    goals.append(Goal("deleted and not archived", "0", str(kept), kept == 0))
    return goals


def _at_least(what: str, measured: float, wanted: float, why: str) -> Goal:
    met = measured >= wanted
    return Goal(f"letters a second {what}", f"≥ {wanted:g} x", f"{measured:.1f} x", met, "" if met else why)
