"""Start a rollout: a person names it, and its steps become an incident that the clock leads on.

    {"rollout": "<system>/<name>", "requested_by": "…", "mode": "act", "from": "<target>"}

Without `mode` it is only planned. What the runbook wants to hold before it begins is asked in both. `from` begins at
the step on that target: what a person does after an inconclusive gate, having looked at what came before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import incident_store, preconditions
from selfheal.errors import LedgerUnavailable, Refused
from selfheal.frozen import dataclass
from selfheal.incident import Incident, Phase, StepRun, incident_id, incident_key
from selfheal.refusal import Refusal
from selfheal.respond import Decision, Respond
from selfheal.rollout import GATE
from selfheal.runbook import Rollout, Runbook, Runbooks, Step
from selfheal.words import Mode, ResponseMode, Stage

GATED = ("enable_rules",)
"""What a gate judges; any other step is its own gate, and has nothing to be undone."""
KNOWN = ("rollout", "requested_by", "mode", "from")
SEVERITY = "P2"
COOLDOWN_S = 900


@dataclass(frozen=True)
class Wanted:
    """What a person asked for. `steps` are those that are to be done."""

    runbook: Runbook
    rollout: Rollout
    steps: tuple[Step, ...]
    who: str
    mode: Mode

    @property
    def name(self) -> str:
        """`system/name`."""
        return f"{self.runbook.system}/{self.rollout.name}"


def start(respond: Respond, event: Mapping[str, Any]) -> Decision:
    """What is done about the request, as it is answered to the person."""
    try:
        wanted = read(event, respond.runbooks)
        missing = preconditions.missing(respond.ledger, wanted.runbook, wanted.rollout, respond.now())
        if wanted.mode is Mode.PLAN:
            return _planned(wanted, missing)
        if missing is not None:
            raise missing
        return _begun(respond, wanted)
    except Refused as error:
        return {"decision": "refused", "reason": error.refusal.value, "detail": error.detail or str(error)}
    except LedgerUnavailable as error:
        return {"decision": "refused", "reason": Refusal.GUARD_UNREADABLE.value, "detail": str(error)}


def _begun(respond: Respond, wanted: Wanted) -> Decision:
    incident = opened(wanted, respond.now())
    running = incident_store.find_open(respond.ledger, incident.key)
    if running is not None or not respond.begin(incident, f"started by {wanted.who}"):
        which = running.id if running else incident.key
        raise Refused(Refusal.TARGET_OWNED, f"{wanted.name} is under way: {which}")
    return {"decision": "opened", "rollout": wanted.name, "incident": incident.id}


def read(event: Mapping[str, Any], runbooks: Runbooks) -> Wanted:
    """Raises Refused with what is wrong and what would be right."""
    if strange := sorted(str(name) for name in event if name not in KNOWN):
        raise Refused(Refusal.NOT_A_REQUEST, f"unknown {strange[:5]}; a rollout has {list(KNOWN)}")
    texts = {name: value for name in KNOWN if (value := event.get(name)) is not None}
    if wrong := [name for name, value in texts.items() if not isinstance(value, str)]:
        raise Refused(Refusal.NOT_A_REQUEST, f"{wrong} must be text")
    if texts.get("mode", "plan") not in ("plan", "act"):
        raise Refused(Refusal.NOT_A_REQUEST, f"mode is {texts['mode']!r:.40}; allowed are plan and act")
    if not texts.get("requested_by"):
        raise Refused(Refusal.PERSON_REQUIRED)
    system, _, name = texts.get("rollout", "").rpartition("/")
    runbook = runbooks.system(system)
    known = [f"{one.system}/{rollout.name}" for one in runbooks.runbooks for rollout in one.rollouts]
    rollout = next((one for one in runbook.rollouts if one.name == name), None) if runbook else None
    if runbook is None or rollout is None:
        raise Refused(Refusal.BAD_TARGET, f"there is no rollout {texts.get('rollout')!r:.100}; known are {known}")
    names = [step.target_name or step.target_for({}).key for step in rollout.steps]
    first = texts.get("from", names[0])
    if first not in names:
        raise Refused(Refusal.BAD_TARGET, f"{first!r:.100} is no step of {system}/{name}; its steps are {names}")
    mode = Mode(texts.get("mode", "plan"))
    return Wanted(runbook, rollout, rollout.steps[names.index(first) :], texts["requested_by"], mode)


def opened(wanted: Wanted, now: float) -> Incident:
    """The incident of a rollout, not advanced yet: step and gate in turn, then the undos, the last step's first."""
    name = f"rollout {wanted.rollout.name}"
    key = incident_key(wanted.runbook.system, name, "rollout")
    forth: list[StepRun] = []
    back: list[StepRun] = []
    earlier: list[str] = []
    for place, step in enumerate(wanted.steps):
        run = _run(step, 3 * place)
        if step.action not in GATED:
            forth.append(run)
            continue
        rules = _rules(run)
        forth += [run, _gate(wanted, 3 * place + 1, run, rules, earlier)]
        back.insert(0, _run(step, 3 * place + 2, undo_of=run.number))
        earlier = [*earlier, *rules]
    return Incident(
        id=incident_id(key, int(now * 1000)),
        system=wanted.runbook.system,
        response=name,
        subject="rollout",
        severity=SEVERITY,
        mode=ResponseMode.AUTO,
        opened_at=now,
        red_at_ms=int(now * 1000),
        escalate_after_s=0,
        cooldown_s=COOLDOWN_S,
        phase=Phase.REMEDIATE,
        steps=(*forth, *back),
        rollout=wanted.rollout.name,
        requested_by=wanted.who,
        quiet=not wanted.rollout.notify,
    )


def _run(step: Step, number: int, undo_of: int | None = None) -> StepRun:
    target = step.target_for({})
    return StepRun(
        number=number,
        stage=Stage.RECOVER,
        action=step.action,
        target_name=step.target_name or target.key,
        target=target.as_dict(),
        target_key=target.key,
        settle_s=step.settle_s,
        options={} if undo_of is not None else dict(step.options),
        undo_of=undo_of,
    )


def _gate(wanted: Wanted, number: int, run: StepRun, rules: list[str], earlier: list[str]) -> StepRun:
    options = {
        "rules": rules,
        "earlier": earlier,
        "failed_invocations": wanted.rollout.failed_invocations,
        "quiet_ok": wanted.rollout.quiet_ok,
        "alarms": [pattern for response in wanted.runbook.responses for pattern in response.alarms],
    }
    system = {"system": wanted.runbook.system}
    return StepRun(number, Stage.RECOVER, GATE, run.target_name, system, "", options=options)


def _rules(run: StepRun) -> list[str]:
    """`bus/name` of each rule that a step enables."""
    bus = run.target["bus"]
    names = [run.target["rule"]] if "rule" in run.target else run.options["only"]
    return [f"{bus}/{name}" for name in names]


def _planned(wanted: Wanted, missing: Refused | None) -> Decision:
    incident = opened(wanted, 0.0)
    gates = {gate.number - 1: dict(gate.options) for gate in incident.steps if gate.action == GATE}
    steps = [
        {
            "step": step.label,
            "target": dict(step.target),
            "settle_s": step.settle_s,
            "gate": gates.get(step.number, "its own success"),
        }
        for step in incident.steps
        if step.action != GATE and step.undo_of is None
    ]
    undo = [step.label for step in incident.steps if step.undo_of is not None]
    planned: Decision = {"decision": "planned", "rollout": wanted.name, "steps": steps, "undo_if_red": undo}
    if missing is not None:
        planned["would_refuse"] = {"reason": missing.refusal.value, "detail": missing.detail}
    return planned
