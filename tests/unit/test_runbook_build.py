"""Every mistake in a runbook is found, at its line and column, with what would be right."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from selfheal.runbook import fits
from selfheal_build.runbooks import RunbooksInvalid, compile_folder, write
from selfheal_build.runbooks.__main__ import main
from selfheal_build.runbooks.cron import moments, wrong_with
from selfheal_build.runbooks.document import MAX_BYTES, read
from selfheal_build.runbooks.patterns import common_name

HEAD = """\
system: shop
owner: shop-oncall
targets:
  flag: {parameter: /shop/enabled}
  live: {function: shop-web, alias: live}
  moving: {function: shop-api, alias: live, code_deploy: {application: shop, deployment_group: api}}
  cron: {schedule: shop-nightly}
  dlq: {queue: shop-dlq, replay_to: {function: shop-web, alias: live}}
  quiet: {queue: shop-quiet}
  group: {schedule_group: shop}
"""
RESPONSE = """\
responses:
  - name: shop failing
    alarms: [shop-errors]
    severity: P1
"""
CHECKED = """\
sweeps:
  - {name: daily, checks: [{flag: flag}]}
"""

HERE = "⟦"
"""Stands in a text where the problem must be reported."""


def problems_of(folder: Path, **texts: str | bytes) -> list[str]:
    """What the build says about a folder with these files (the key is the file's name)."""
    for name, text in texts.items():
        raw = text if isinstance(text, bytes) else text.encode()
        (folder / f"{name}.yaml").write_bytes(raw)
    try:
        compile_folder(folder, "runbooks")
    except RunbooksInvalid as invalid:
        return [str(problem) for problem in invalid.problems]
    return []


def compiled(folder: Path, text: str) -> dict[str, Any]:
    (folder / "shop.yaml").write_text(text)
    systems: list[dict[str, Any]] = compile_folder(folder)["systems"]
    (system,) = systems
    return system


def marked(text: str) -> tuple[str, str]:
    """The text without its marker, and the place of the marker as `file:line:column`."""
    before = text.index(HERE)
    line = text.count("\n", 0, before) + 1
    column = before - text.rfind("\n", 0, before)
    return text.replace(HERE, ""), f"runbooks/shop.yaml:{line}:{column}: "


MISTAKES = {
    # YAML
    "empty file": (HERE, "the file is empty; a runbook begins with `system:`"),
    "only a comment": (HERE + "# later\n", "the file is empty; a runbook begins with `system:`"),
    "null": (HERE + "~\n", "the file holds nothing; a runbook begins with `system:`"),
    "a list": (HERE + "- system: shop\n", "a runbook must be a mapping (`key: …`), got a list"),
    "a text": (HERE + "shop\n", "a runbook must be a mapping (`key: …`), got `shop`"),
    "tab": ("system: shop\nlimits:\n" + HERE + "\tper_day: 3\n", "indent with spaces, never with tabs"),
    "open bracket": (
        "system: shop\nstages: [dev\nowner" + HERE + ": x\n",
        "check indentation, quotes and brackets here",
    ),
    "two documents": ("system: shop\n" + HERE + "---\nsystem: x\n", "expected a single document"),
    "duplicate key": (
        "system: shop\nowner: a\n" + HERE + "owner: b\n",
        "key `owner` stands here twice (first in line 2); keep one of them",
    ),
    "key that is no text": ("system: shop\nowner: a\n" + HERE + "1: b\n", "key `1` is not text; put it in quotes"),
    "anchor": (
        "system: shop\nowner: " + HERE + "&me a\n",
        "anchor `&me` is refused; write the value out, or name it under `targets`",
    ),
    "tag": ("system: shop\nowner: " + HERE + "!!python/name:os.system x\n", "write the plain value"),
    "directive": (HERE + "%YAML 1.1\n---\nsystem: shop\n", "a `%` directive is refused; a runbook is plain YAML 1.2"),
    "control character": ("system: shop\nowner: a" + HERE + "\x07\n", "a control character; remove it"),
    "half a character": ("system: shop\nowner: " + HERE + '"\\ud800"\n', "an escape that is no character"),
    "number that JSON lacks": (HEAD + "x: " + HERE + ".nan\n", "a number that JSON cannot carry; put it in quotes"),
    "number without end": (HEAD + "x: " + HERE + "9" * 5000 + "\n", "a number that JSON cannot carry"),
    "deep": ("system: " + "[" * 31 + HERE + "[" * 500 + "\n", "nested deeper than 32 levels; a runbook is flat"),
    # keys and types
    "unknown key": (HEAD + HERE + "maintenence: []\n", "unknown key `maintenence`; did you mean `maintenance`?"),
    "unknown key of a response": (HEAD + RESPONSE + "    " + HERE + "remedy: []\n", "did you mean `remediate`?"),
    "unknown key of a target": (
        HEAD + "  q: {queue: a, " + HERE + "replay: {}}\n",
        "unknown key `replay`; did you mean `replay_to`?",
    ),
    "missing system": (HERE + "owner: a\n", "`system` is missing; add it: name of the protected system"),
    "missing alarms": (HEAD + "responses:\n  - " + HERE + "{name: a, severity: P1}\n", "`alarms` is missing; add it"),
    "number for text": ("system: shop\nowner: " + HERE + "42\n", "this must be text, got `42`; quote it"),
    "nothing for text": ("system: shop\n" + HERE + "owner:\n", "this must be text, got nothing"),
    "text for a number": (
        HEAD + RESPONSE + "    limits: {per_hour: " + HERE + "'3'}\n",
        "`per_hour` must be a whole number, got the text `3`",
    ),
    "text for a list": (
        HEAD + RESPONSE.replace("[shop-errors]", HERE + "shop-errors"),
        "`alarms` must be a list (`- …` or `[…]`), got `shop-errors`",
    ),
    "text for a mapping": (HEAD + RESPONSE + "    limits: " + HERE + "3\n", "`limits` must be a mapping"),
    "list for a mapping": (HEAD + "exempt: [" + HERE + "[flag]]\n", "a list is no target; write the name of one of"),
    "no alarms": (HEAD + RESPONSE.replace("[shop-errors]", HERE + "[]"), "`alarms` is empty; give at least one"),
    "severity": (
        HEAD + RESPONSE.replace("P1", HERE + "critical"),
        "`critical` is no value of `severity`; known: `P0`, `P1`, `P2`, `P3`, `P4`",
    ),
    "mode": (HEAD + RESPONSE + "    mode: " + HERE + "sugest\n", "did you mean `suggest`?"),
    "limit of zero": (
        HEAD + RESPONSE + "    limits: {per_hour: " + HERE + "0}\n",
        "`per_hour` must be at least 1, got `0`",
    ),
    "limits the wrong way round": (
        HEAD + RESPONSE + "    limits: " + HERE + "{per_hour: 9}\n",
        "per_day (7) is less than per_hour (9); it would never be reached",
    ),
    # values
    "system name": ("system: " + HERE + "my shop\nowner: a\n", "`my shop` is no system name; use letters, digits"),
    "stage name": ("system: shop-{stage}\nowner: a\nstages: [" + HERE + "Dev]\n", "`Dev` is no short name"),
    "stage twice": ("system: s-{stage}\nowner: a\nstages: [dev, " + HERE + "dev]\n", "`dev` stands here twice"),
    "owner of two lines": ("system: shop\nowner: " + HERE + '"a\\nb"\n', "write one line of 1 to 120 characters"),
    "duration": (
        HEAD + RESPONSE + "    cooldown: " + HERE + "15\n",
        "`15` is no duration; write a whole number and s, m, h or d, such as `5m`",
    ),
    "long duration": (HEAD + RESPONSE + "    cooldown: " + HERE + "8d\n", "`8d` is longer than 7d"),
    "time zone": (HEAD + "timezone: " + HERE + "America/NewYork\n", "did you mean `America/New_York`?"),
    "time zone out of thin air": (HEAD + "timezone: " + HERE + "EDT\n", "write an IANA name such as `Europe/Berlin`"),
    "time of day": (
        HEAD + "maintenance: [{days: [sat], from: " + HERE + '"6:00", to: "08:00"}]\n',
        "`6:00` is no time of day; write `HH:MM` from `00:00` to `23:59`",
    ),
    "window without length": (
        HEAD + 'maintenance: [{days: [sat], from: "06:00", ' + HERE + 'to: "06:00"}]\n',
        "the window has no length; let `to` differ from `from`",
    ),
    "day": (
        HEAD + "maintenance: [{days: [" + HERE + 'saturday], from: "06:00", to: "08:00"}]\n',
        "`saturday` is no value of `days`; did you mean `sat`?",
    ),
    "date that does not exist": (
        HEAD + "holidays: [" + HERE + "2026-02-30]\n",
        "write `YYYY-MM-DD`, a day that exists",
    ),
    "date of another form": (HEAD + "holidays: [" + HERE + "26.1.2026]\n", "`26.1.2026` is no date"),
    "sweep time": (
        HEAD + "checks: [{queue: dlq}]\nsweeps: [{name: a, at: " + HERE + '"45 8 * * MON-FRI *"}]\n',
        "exactly one of day of month (third) and day of week (fifth) must be `?`",
    ),
    "pattern for everything": (
        HEAD + RESPONSE.replace("[shop-errors]", "[" + HERE + "'*']"),
        "`*` fits every alarm of the account; begin it with the system's own prefix",
    ),
    "pattern with a class": (
        HEAD + RESPONSE.replace("[shop-errors]", "[" + HERE + "'shop-[ab]']"),
        "only `*` and `?` are wild; write one pattern per case",
    ),
    "pattern with an unknown placeholder": (
        HEAD + RESPONSE.replace("[shop-errors]", "[" + HERE + "'shop-{env}']"),
        "`{env}` is not filled in here; allowed: `{stage}`",
    ),
    "pattern twice": (
        HEAD + RESPONSE.replace("[shop-errors]", "[shop-a, " + HERE + "shop-a]"),
        "`shop-a` stands here twice; keep one",
    ),
    # targets
    "target of no kind": (HEAD + "  x: " + HERE + "{lambda: a}\n", "no kind of target has ['lambda']; write one of"),
    "target with a misspelt field": (HEAD + "  x: " + HERE + "{paramter: a}\n", "did you mean `parameter`?"),
    "half a target": (
        HEAD + "  x: " + HERE + "{cluster: a}\n",
        "`service` is missing; add it: name of an ECS service",
    ),
    "half a target with more": (
        HEAD + "  x: " + HERE + "{function: a, code_deploy: {application: a, deployment_group: b}}\n",
        "`alias` is missing; add it: alias name, such as live",
    ),
    "target with a second field misspelt": (
        HEAD + "  x: {function: a, " + HERE + "alis: live}\n",
        "unknown key `alis`; did you mean `alias`?",
    ),
    "function where its alias is meant": (
        HEAD + RESPONSE + "    remediate: [{roll_back_alias: " + HERE + "{function: a}}]\n",
        "`roll_back_alias` cannot work on a function; it needs {function, alias}",
    ),
    "system as a named target": (
        HEAD + "  x: " + HERE + "{system: shop}\n",
        "no kind of target has ['system']",
    ),
    "target that is a text": (HEAD + "  x: " + HERE + "a\n", "`a` is no target; write one of {parameter: …}"),
    "target name": (HEAD + "  " + HERE + "X: {queue: a}\n", "`X` is no short name; use lower-case letters"),
    "wildcard in a target": (
        HEAD + "  x: {queue: " + HERE + '"shop-*"}\n',
        "'shop-*' is no name of one resource; a target names exactly one, without `*` and `?`",
    ),
    "invisible letter in a target": (HEAD + "  x: {queue: " + HERE + "'shop\u200b'}\n", "is no name of one resource"),
    "long name in a target": (HEAD + "  x: {queue: " + HERE + "é" * 257 + "}\n", "in at most 512 bytes"),
    "unknown placeholder in a target": (
        HEAD + "  x: {queue: " + HERE + '"{alarms.QueueName}"}\n',
        "`{alarms.QueueName}` is not filled in here; allowed: `{stage}` and `{alarm.DimensionName}`",
    ),
    "single brace in a target": (HEAD + "  x: {queue: " + HERE + '"{stage"}\n', "a single brace in `{stage`"),
    # steps
    "unknown action": (
        HEAD + RESPONSE + "    contain: [{" + HERE + "halt_tradin: flag}]\n",
        "unknown action `halt_tradin`; did you mean `halt_trading`?",
    ),
    "step without an action": (
        HEAD + RESPONSE + "    contain: [" + HERE + "{approval: required}]\n",
        "a step names its action; known: `cancel_replay`, `capture_evidence`, `check_health`, `disable_rules`",
    ),
    "step that is a text": (
        HEAD + RESPONSE + "    contain: [" + HERE + "halt_trading]\n",
        "`halt_trading` is no step; write `{action: target}`",
    ),
    "two actions in a step": (
        HEAD + RESPONSE + "    contain: [{halt_trading: flag, " + HERE + "disable_schedule: cron}]\n",
        "a step is one action, here are `halt_trading` and `disable_schedule`; write two steps",
    ),
    "action for a person": (
        HEAD + RESPONSE + "    recover: [{" + HERE + "undo: flag}]\n",
        "`undo` is for a person, not for a runbook",
    ),
    "risky action in contain": (
        HEAD + RESPONSE + "    contain: [{" + HERE + "roll_back_alias: live}]\n",
        "`roll_back_alias` cannot stand in contain: contain steps only stop something or look",
    ),
    "probe of another kind": (
        HEAD + RESPONSE + "    probe: {" + HERE + "roll_back_alias: live}\n",
        "`roll_back_alias` cannot stand in probe: a probe proves that it works; known: `check_health`, `smoke_test`",
    ),
    "probe of an address": (
        HEAD + RESPONSE + "    probe: {" + HERE + "url: https://shop.example.com}\n",
        "unknown action `url`; known: `check_health`, `smoke_test`",
    ),
    "look at another system": (
        HEAD + CHECKED + RESPONSE + "    contain: [{check_health: {system: " + HERE + "shop-2}}]\n",
        "`shop-2` is not this runbook's system; write `shop`",
    ),
    "look by a sweep that is none": (
        HEAD + CHECKED + RESPONSE + "    recover: [{check_health: {system: shop}, sweep: " + HERE + "evening}]\n",
        "unknown sweep `evening`; known: `daily`",
    ),
    "resuming after a sweep that is none": (
        HEAD
        + CHECKED
        + RESPONSE
        + "    recover: [{resume_trading: flag, approval: required, after_sweep: "
        + HERE
        + "evening}]\n",
        "unknown sweep `evening`; known: `daily`",
    ),
    "look with checks of its own": (
        HEAD + CHECKED + RESPONSE + "    recover: [{check_health: {system: shop}, " + HERE + "checks: []}]\n",
        "unknown key `checks`",
    ),
    "look at nothing": (
        HEAD + RESPONSE + "    recover: [" + HERE + "{check_health: {system: shop}}]\n",
        "this looks at nothing; name a `sweep`, or give the runbook `checks`",
    ),
    "probe that may fail": (
        HEAD + CHECKED + RESPONSE + "    probe: {check_health: {system: shop}, must_pass: " + HERE + "false}\n",
        "`must_pass` is always true here; leave it away",
    ),
    "evidence of another system": (
        HEAD + RESPONSE + "    contain: [{capture_evidence: {system: " + HERE + "other}}]\n",
        "`other` is not this runbook's system",
    ),
    "a stage without end": (
        HEAD + RESPONSE + "    contain: " + HERE + "[" + "{halt_trading: flag}, " * 20 + "{halt_trading: flag}]\n",
        "`contain` has 21 entries; at most 20 are right",
    ),
    # procedures
    "procedure with a target that is none": (
        HEAD + "procedures: [{name: p, when: x, steps: [{run: " + HERE + "'kill {engine.cluster}'}]}]\n",
        "`{engine.cluster}`: unknown target `engine`",
    ),
    "procedure with a field that is none": (
        HEAD + "procedures: [{name: p, when: x, steps: [{say: " + HERE + "'look at {live.alis}'}]}]\n",
        "`{live.alis}`: `live` has no `alis`; did you mean `alias`?",
    ),
    "procedure with a field of the alarm": (
        HEAD
        + "  f: {function: '{alarm.FunctionName}', alias: live}\nprocedures: [{name: p, when: x, steps: [{say: "
        + HERE
        + "'{f.function}'}]}]\n",
        "`{f.function}` is known only when its alarm comes",
    ),
    "procedure with a step of no kind": (
        HEAD + "procedures: [{name: p, when: x, steps: [" + HERE + "{says: y}]}]\n",
        "a step of a procedure is one of `say`, `run` and `ask`; did you mean `say`?",
    ),
    "procedure that asks for what is none": (
        HEAD + "procedures: [{name: p, when: x, steps: [{ask: {halt_trading: " + HERE + "live}}]}]\n",
        "`halt_trading` cannot work on a alias",
    ),
    "response with a procedure that is none": (
        HEAD + RESPONSE + "    procedures: [" + HERE + "fix]\n",
        "unknown procedure `fix`",
    ),
    "response with a book of procedures": (
        HEAD
        + "procedures: [{name: p, when: x, steps: ["
        + ", ".join(["{say: '" + "x" * 1999 + "'}"] * 11)
        + "]}]\n"
        + RESPONSE
        + "    procedures: "
        + HERE
        + "[p]\n",
        "more than 20000 characters in all",
    ),
    # severities
    "severity that is none": (
        HEAD + "severities: {" + HERE + "P9: {respond_within: 5m}}\n",
        "`P9` is no value of `severities`; known: `P0`",
    ),
    "ladder longer than the severity's time": (
        HEAD
        + "severities: {P1: {respond_within: 5m}}\n"
        + RESPONSE
        + "    remediate: [{roll_back_alias: live}, "
        + HERE
        + "{roll_back_alias: live}]\n",
        "escalate_after is 300 s",
    ),
    # what comes before
    "window with a step that changes": (
        HEAD + "maintenance: [{days: [sat], from: '06:00', to: '08:00', before: [{" + HERE + "halt_trading: flag}]}]\n",
        "`halt_trading` cannot stand in maintenance",
    ),
    "rollout that changes nothing": (
        HEAD + CHECKED + "rollouts: [{name: r, steps: " + HERE + "[{check_health: {system: shop}}]}]\n",
        "this rollout changes nothing",
    ),
    "rollout after one that is none": (
        HEAD
        + "rollouts: [{name: r, requires: {rollout: "
        + HERE
        + "shop/s, clean_for: 1d}, steps: [{enable_rules: {bus: b, rule: r}}]}]\n",
        "there is no rollout `shop/s`; did you mean `shop/r`?",
    ),
    "rollout after itself": (
        HEAD
        + "rollouts: [{name: r, requires: {rollout: "
        + HERE
        + "shop/r, clean_for: 1d}, steps: [{enable_rules: {bus: b, rule: r}}]}]\n",
        "`shop/r` would wait for itself",
    ),
    # watches
    "watch by a sweep that is none": (
        HEAD + CHECKED + "watches: [{name: w, sweep: " + HERE + "d}]\n",
        "unknown sweep `d`",
    ),
    "watch of no target": (
        HEAD + CHECKED + "watches: [{name: w, sweep: daily, on: [" + HERE + "cart*]}]\n",
        "no target fits `cart*`",
    ),
    "watch that is shorter than its step": (
        HEAD + CHECKED + "watches: [{name: w, sweep: daily, " + HERE + "for: 1m}]\n",
        "a watch looks 1 to 100 times",
    ),
    "watch without a breath": (
        HEAD + CHECKED + "watches: [{name: w, sweep: daily, " + HERE + "every: 30s}]\n",
        "let `every` be at least 1m",
    ),
    "unknown target": (
        HEAD + RESPONSE + "    contain: [{halt_trading: " + HERE + "flags}]\n",
        "unknown target `flags`; did you mean `flag`?",
    ),
    "target of the wrong kind": (
        HEAD + RESPONSE + "    contain: [{halt_trading: " + HERE + "cron}]\n",
        "`halt_trading` cannot work on a schedule; it needs {parameter}",
    ),
    "inline target of the wrong kind": (
        HEAD + RESPONSE + "    contain: [{halt_trading: " + HERE + "{queue: a}}]\n",
        "`halt_trading` cannot work on a queue; it needs {parameter}",
    ),
    "unknown option": (
        HEAD + RESPONSE + "    recover: [{replay_dlq: dlq, " + HERE + "canari: 2}]\n",
        "unknown key `canari`; did you mean `canary`?",
    ),
    "type of an option": (
        HEAD + RESPONSE + "    recover: [{replay_dlq: dlq, canary: " + HERE + "one}]\n",
        "`canary` must be a whole number, got the text `one`",
    ),
    "truth for a number": (
        HEAD + RESPONSE + "    recover: [{replay_dlq: dlq, canary: " + HERE + "true}]\n",
        "`canary` must be a whole number, got true",
    ),
    "negative option": (
        HEAD + RESPONSE + "    recover: [{replay_dlq: dlq, limit: " + HERE + "-1}]\n",
        "`limit` must be at least 0, got `-1`",
    ),
    "payload that is a text": (
        HEAD + RESPONSE + "    probe: {smoke_test: live, payload: " + HERE + "test}\n",
        "`payload` must be a mapping (`key: …`), got `test`",
    ),
    "person without approval": (
        HEAD + RESPONSE + "    recover: [" + HERE + "{resume_trading: flag}]\n",
        "`resume_trading` never runs without a person; add `approval: required`",
    ),
    "approval of another value": (
        HEAD + RESPONSE + "    recover: [{resume_trading: flag, approval: " + HERE + "yes}]\n",
        "`yes` is no value of `approval`; known: `required`",
    ),
    "settle outside remediate": (
        HEAD + RESPONSE + "    contain: [{halt_trading: flag, " + HERE + "settle: 5m}]\n",
        "`settle` belongs to remediate: only the ladder waits between its steps",
    ),
    "rollback under a running deployment": (
        HEAD + RESPONSE + "    remediate: [" + HERE + "{roll_back_alias: moving}]\n",
        "CodeDeploy shifts this alias and would undo the rollback; put `stop_deployment` before it",
    ),
    "deployment stopped too late": (
        HEAD + RESPONSE + "    remediate: [" + HERE + "{roll_back_alias: moving}, {stop_deployment: moving}]\n",
        "put `stop_deployment` before it",
    ),
    "deployment that is not known": (
        HEAD + RESPONSE + "    remediate: [" + HERE + "{stop_deployment: live}]\n",
        "`stop_deployment` needs to know the deployment; add `code_deploy` to the target",
    ),
    "limit without a number": (
        HEAD + RESPONSE + "    contain: [" + HERE + "{limit_api: {rest_api: a, stage: prod}, burst: 5}]\n",
        "`limit_api` needs `rate`",
    ),
    "replay to nowhere": (
        HEAD + RESPONSE + "    recover: [" + HERE + "{replay_dlq: quiet}]\n",
        "`replay_dlq` needs to know where to; add `replay_to: {function: …, alias: …}` to the target",
    ),
    "group that would be woken": (
        HEAD + RESPONSE + "    recover: [" + HERE + "{enable_schedule: group}]\n",
        "`enable_schedule` on a group would wake what was off for a reason; list names in `only`",
    ),
    "only for one schedule": (
        HEAD + RESPONSE + "    recover: [" + HERE + "{enable_schedule: cron, only: [a]}]\n",
        "`only` is for a group; this target is one schedule",
    ),
    "rules that would be woken": (
        HEAD + RESPONSE + "    recover: [" + HERE + "{enable_rules: {bus: b, rule_prefix: r}}]\n",
        "`enable_rules` on a prefix would wake what was off for a reason; list names in `only`",
    ),
    "only for one rule": (
        HEAD + RESPONSE + "    recover: [" + HERE + "{enable_rules: {bus: b, rule: r}, only: [r]}]\n",
        "`only` is for a prefix; this target is one rule",
    ),
    "rollout of another action": (
        HEAD + "rollouts: [{name: r, steps: [{" + HERE + "halt_trading: flag}]}]\n",
        "`halt_trading` cannot stand in rollout: a rollout enables rules, and looks and keeps before that; known:",
    ),
    "rollout that enables a rule twice": (
        HEAD
        + "rollouts: [{name: r, steps: [{enable_rules: {bus: b, rule: r}}, "
        + HERE
        + "{enable_rules: {bus: b, rule: r}}]}]\n",
        "an earlier step enables the same; keep one",
    ),
    "rollout of an alarm": (
        HEAD + "rollouts: [{name: r, steps: [" + HERE + "{enable_rules: {bus: b, rule: '{alarm.RuleName}'}}]}]\n",
        "a rollout has no alarm to take names from",
    ),
    "rollout in a stage that is none": (
        HEAD + "rollouts: [{name: r, stages: [" + HERE + "moon], steps: [{enable_rules: {bus: b, rule: r}}]}]\n",
        "unknown stage `moon`",
    ),
    "rollouts of one name": (
        HEAD
        + "rollouts:\n  - {name: r, steps: [{enable_rules: {bus: b, rule: r}}]}\n  - {name: "
        + HERE
        + "r, steps: [{enable_rules: {bus: b, rule: s}}]}\n",
        "another of the rollouts is called `r`",
    ),
    "rung that is never reached": (
        HEAD
        + RESPONSE
        + "    remediate: [{roll_back_alias: live, settle: 15m}, "
        + HERE
        + "{roll_back_alias: live}]\n",
        "this rung begins after 900 s at the earliest, but escalate_after is 900 s; shorten `settle`",
    ),
    # the whole runbook
    "two responses of one name": (
        HEAD + RESPONSE + "  - {name: " + HERE + "shop failing, alarms: [b], severity: P1}\n",
        "another of the responses is called `shop failing`; rename one",
    ),
    "two sweeps of one name": (
        HEAD
        + "checks: [{queue: dlq}]\nsweeps:\n  - {name: a, at: 1 1 ? * * *}\n  - {name: "
        + HERE
        + "a, at: 1 2 ? * * *}\n",
        "another of the sweeps is called `a`; rename one",
    ),
    "sweep that checks nothing": (
        HEAD + "sweeps: [" + HERE + "{name: a, at: 1 1 ? * * *}]\n",
        "this sweep checks nothing",
    ),
    "exempt target": (HEAD + "exempt: [" + HERE + "fag]\n", "unknown target `fag`; did you mean `flag`?"),
    "exempt target of an alarm": (
        HEAD + "  any: {function: '{alarm.FunctionName}', alias: live}\nexempt: [" + HERE + "any]\n",
        "this target is known only when its alarm comes; name the resource itself",
    ),
    "stage without stages": (
        "system: " + HERE + "shop-{stage}\nowner: a\n",
        "`{stage}` is replaced only where there are stages; add `stages: [dev, prod]`",
    ),
    "stages without stage": ("system: " + HERE + "shop\nowner: a\nstages: [dev]\n", "put `{stage}` into `system`"),
    # checks
    "unknown check": (HEAD + "checks: [{" + HERE + "queu: dlq}]\n", "unknown check `queu`; did you mean `queue`?"),
    "check that is a text": (HEAD + "checks: [" + HERE + "dlq]\n", "`dlq` is no check; write one of them per item"),
    "check of a number": (HEAD + "checks: [{queue: " + HERE + "3}]\n", "`3` is no check; write the name of one of"),
    "unknown target of a check": (HEAD + "checks: [{queue: " + HERE + "dlqq}]\n", "did you mean `dlq`?"),
    "unknown field of a check": (HEAD + "checks: [{queue: {" + HERE + "most: 3}}]\n", "did you mean `at_most`?"),
    "check of the wrong target": (HEAD + "checks: [{queue: " + HERE + "flag}]\n", "check queue: missing ['queue']"),
    "value of a check": (
        HEAD + "checks: [{flag: {target: flag, value: " + HERE + "yes}}]\n",
        "`yes` is no value of `value`; known: `any`, `false`, `true`",
    ),
    "check without its either": (HEAD + "checks: [{alarms: " + HERE + "{at_least: 1}}]\n", "give exactly one of"),
    "check of an alarm's target": (
        HEAD + "checks: [{queue: " + HERE + "{queue: '{alarm.QueueName}'}}]\n",
        "a sweep has no alarm to take names from",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_at_its_place(mistake: str, tmp_path: Path) -> None:
    text, message = MISTAKES[mistake]
    text, place = marked(text)

    problems = problems_of(tmp_path, shop=text)

    assert any(problem.startswith(place) and message in problem for problem in problems), (place, problems)


@pytest.mark.parametrize(
    "mistake", sorted(set(MISTAKES) - {"deep", "open bracket", "number that JSON lacks", "number without end"})
)
def test_a_mistake_is_reported_once(mistake: str, tmp_path: Path) -> None:
    text, _ = marked(MISTAKES[mistake][0])

    problems = problems_of(tmp_path, shop=text)

    places = [problem.split(": ")[0] for problem in problems if "is missing; add it" not in problem]
    assert len(places) == len(set(places)), problems


def test_a_good_runbook_has_no_problem(tmp_path: Path) -> None:
    assert problems_of(tmp_path, shop=HEAD + RESPONSE) == []


def test_all_problems_of_all_files_are_listed(tmp_path: Path) -> None:
    one = "system: my shop\nowner: 3\ntimezone: Nowhere\n"
    other = "system: b\nowner: b\nresponses: [{name: a}]\nsweep: []\n"

    problems = problems_of(tmp_path, one=one, other=other)

    assert [problem.split(": ")[0] for problem in problems] == [
        "runbooks/one.yaml:1:9",
        "runbooks/one.yaml:2:8",
        "runbooks/one.yaml:3:11",
        "runbooks/other.yaml:3:13",  # alarms
        "runbooks/other.yaml:3:13",  # severity
        "runbooks/other.yaml:4:1",
    ]


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, shop=b"system: shop\nowner: caf\xe9\n")

    assert problems == ["runbooks/shop.yaml:2:11: not UTF-8; save the file as UTF-8"]


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, shop=HEAD + "#" * MAX_BYTES)

    assert len(problems) == 1
    assert "runbooks/shop.yaml:1:1: the file has" in problems[0]
    assert f"at most {MAX_BYTES} are read" in problems[0]


def test_an_alias_bomb_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 30))

    problems = problems_of(tmp_path, shop="l0: &l0 x\n" + levels)

    assert problems[0].startswith("runbooks/shop.yaml:1:5: anchor `&l0` is refused")
    assert any("alias `*l0` is refused" in problem for problem in problems)


def test_names_in_any_script_count_in_characters(tmp_path: Path) -> None:
    text = HEAD + RESPONSE.replace("shop failing", "магазин 落ちた") + "    contain: [{halt_trading: флаг}]\n"

    assert [problem.split(": ")[0] for problem in problems_of(tmp_path, shop=text)] == ["runbooks/shop.yaml:15:30"]


def test_a_name_in_any_script_survives_the_compiled_file(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(HEAD + RESPONSE.replace("shop failing", "магазин 落ちた"))

    write(compile_folder(tmp_path), tmp_path / "out.json")

    assert json.loads((tmp_path / "out.json").read_bytes())["systems"][0]["responses"][0]["name"] == "магазин 落ちた"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    assert problems_of(tmp_path, shop=b"\xef\xbb\xbf" + HEAD.encode()) == []


def test_a_runbook_with_another_ending_is_not_forgotten(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text(HEAD)

    assert "runbooks/shop.yml:1:1: this file would be ignored; rename it to end in `.yaml`" in problems_of(tmp_path)


def test_a_folder_without_runbooks(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == ["runbooks:1:1: there is no runbook here; add one that ends in `.yaml`"]


def test_one_system_has_one_runbook(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, a="owner: a\nsystem: shop\n", b="system: shop\nowner: b\n")

    assert problems == [
        "runbooks/b.yaml:1:9: system `shop` has a runbook already (runbooks/a.yaml:2); merge them",
    ]


def test_a_stage_may_not_make_a_system_that_exists(tmp_path: Path) -> None:
    staged = "system: shop-{stage}\nowner: a\nstages: [dev, prod]\n"

    problems = problems_of(tmp_path, a=staged, b="system: shop-prod\nowner: b\n")

    assert problems == [
        "runbooks/b.yaml:1:9: system `shop-prod` has a runbook already (runbooks/a.yaml:1); merge them",
    ]


def test_patterns_may_not_overlap_across_runbooks(tmp_path: Path) -> None:
    one = "system: a\nowner: a\nresponses: [{name: one, alarms: ['shop-*-errors'], severity: P1}]\n"
    other = "system: b\nowner: b\nresponses: [{name: two, alarms: ['shop-web-*'], severity: P1}]\n"

    problems = problems_of(tmp_path, a=one, b=other)

    assert problems == [
        "runbooks/b.yaml:3:34: `shop-web-*` overlaps with `shop-*-errors` of response `one` (runbooks/a.yaml:3):"
        " alarm `shop-web-errors` would fit both; narrow one of them"
    ]


def test_patterns_may_not_overlap_across_responses_of_one_runbook(tmp_path: Path) -> None:
    text = HEAD + RESPONSE + "  - {name: other, alarms: ['shop-error?'], severity: P1}\n"

    (problem,) = problems_of(tmp_path, shop=text)

    assert "runbooks/shop.yaml:15:28: `shop-error?` overlaps with `shop-errors` of response `shop failing`" in problem


def test_patterns_may_not_overlap_across_stages(tmp_path: Path) -> None:
    text = "system: s-{stage}\nowner: a\nstages: [dev, prod]\nresponses: [{name: r, alarms: ['s-*'], severity: P1}]\n"

    (problem,) = problems_of(tmp_path, shop=text)

    assert "`s-*` overlaps with `s-*`" in problem


def test_patterns_of_one_response_may_overlap(tmp_path: Path) -> None:
    assert problems_of(tmp_path, shop=HEAD + RESPONSE.replace("[shop-errors]", "['shop-e*', 'shop-*s']")) == []


def test_every_default_is_written_out(tmp_path: Path) -> None:
    system = compiled(tmp_path, HEAD + RESPONSE + "    remediate: [{roll_back_alias: live}]\n")

    assert system["timezone"] == "UTC"
    (response,) = system["responses"]
    assert response == {
        "name": "shop failing",
        "line": 12,
        "alarms": ["shop-errors"],
        "severity": "P1",
        "mode": "auto",
        "contain": [],
        "remediate": [
            {
                "action": "roll_back_alias",
                "target_name": "live",
                "target": {"function": "shop-web", "alias": "live"},
                "settle_s": 300,
                "approval": False,
                "options": {},
            }
        ],
        "probe": None,
        "recover": [],
        "escalate_after_s": 900,
        "cooldown_s": 900,
        "limits": {"per_hour": 3, "per_day": 7, "useless": 3, "targets": 10, "targets_percent": None},
        "respond_within_s": 900,
        "procedures": [],
    }
    assert (system["watches"], system["procedures"], system["rollouts"]) == ([], [], [])


@pytest.mark.parametrize(("severity", "seconds"), [("P0", 300), ("P1", 900), ("P2", 1800), ("P3", 7200), ("P4", 86400)])
def test_a_severity_says_when_people_are_told(tmp_path: Path, severity: str, seconds: int) -> None:
    system = compiled(tmp_path, HEAD + RESPONSE.replace("P1", severity))

    (response,) = system["responses"]
    assert (response["escalate_after_s"], response["respond_within_s"]) == (seconds, seconds)


def test_a_runbook_has_times_of_its_own(tmp_path: Path) -> None:
    text = HEAD + RESPONSE + "    escalate_after: 7m\nseverities: {P1: {respond_within: 4h}}\n"

    (response,) = compiled(tmp_path, text)["responses"]

    assert (response["escalate_after_s"], response["respond_within_s"]) == (420, 14_400)


def test_a_look_at_the_system_may_stand_in_every_stage(tmp_path: Path) -> None:
    look = "{check_health: {system: shop}, sweep: daily}"
    more = f"    contain: [{look}]\n    remediate: [{look}]\n    recover: [{look}]\n    probe: {look}\n"

    (response,) = compiled(tmp_path, HEAD + CHECKED + RESPONSE + more)["responses"]

    steps = [response["contain"][0], response["remediate"][0], response["recover"][0], response["probe"]]
    assert [step["target"] for step in steps] == [{"system": "shop"}] * 4
    assert [step["options"] for step in steps] == [{"sweep": "daily"}] * 3 + [{"sweep": "daily", "must_pass": True}]


def test_a_sweep_without_a_time_is_compiled(tmp_path: Path) -> None:
    (sweep,) = compiled(tmp_path, HEAD + CHECKED)["sweeps"]

    assert (sweep["at"], sweep["when"], sweep["checks"]) == ("", None, [{"flag": {"parameter": "/shop/enabled"}}])


def test_a_rollout_looks_and_keeps_before_it_changes(tmp_path: Path) -> None:
    more = """\
  db: {database: shop-db}
sweeps: [{name: daily, checks: [{flag: flag}]}]
rollouts:
  - name: first
    steps: [{enable_rules: {bus: b, rule: r}}]
  - name: second
    requires: {rollout: shop/first, clean_for: 24h}
    only: [{days: [sat, sun], from: "00:00", to: "23:59"}]
    notify: false
    steps: [{check_health: {system: shop}, sweep: daily}, {snapshot_database: db}, {enable_rules: {bus: b, rule: s}}]
"""
    first, second = compiled(tmp_path, HEAD + more)["rollouts"]

    assert (first["requires"], first["only"], first["notify"]) == (None, [], True)
    assert second["requires"] == {"rollout": "shop/first", "clean_for_s": 86_400}
    assert second["only"] == [{"days": ["sat", "sun"], "from": "00:00", "to": "23:59"}]
    assert second["notify"] is False
    assert [step["settle_s"] for step in second["steps"]] == [0, 0, 300]
    assert second["steps"][0]["options"] == {"sweep": "daily", "must_pass": True}


def test_a_rollout_of_another_runbook_must_be_there(tmp_path: Path) -> None:
    rollout = (
        "rollouts: [{name: r, requires: {rollout: cart/r, clean_for: 1d}, steps: [{enable_rules: {bus: b, rule: r}}]}]"
    )
    cart = "system: cart\nowner: x\nrollouts: [{name: NAME, steps: [{enable_rules: {bus: b, rule: c}}]}]\n"

    assert problems_of(tmp_path, shop=HEAD + rollout, cart=cart.replace("NAME", "r")) == []
    (problem,) = problems_of(tmp_path, shop=HEAD + rollout, cart=cart.replace("NAME", "s"))
    assert "there is no rollout `cart/r`" in problem


def test_a_procedure_is_filled_in(tmp_path: Path) -> None:
    more = """\
stages: [dev]
procedures:
  - name: by-hand
    when: selfheal could not
    severity: P0
    steps:
      - {say: "{moving.code_deploy.application} is stuck in ${HOME}, {{x.y}} and {print}"}
      - run: |
          aws sqs purge-queue --queue-url {dlq.queue} \\
            --attributes '{"a": {"b": 1}}' --group {cron.group}
      - {ask: {replay_dlq: dlq, canary: 2}}
      - {ask: {resume_trading: flag}}
"""
    text = HEAD.replace("system: shop", "system: shop-{stage}").replace("queue: shop-dlq", "queue: '{stage}-dlq'")

    (procedure,) = compiled(tmp_path, text + more)["procedures"]

    say, run, ask, resume = procedure["steps"]
    assert (procedure["name"], procedure["when"], procedure["severity"]) == ("by-hand", "selfheal could not", "P0")
    assert say == {"say": "shop is stuck in ${HOME}, {{x.y}} and {print}"}
    assert run["run"].splitlines() == [
        "aws sqs purge-queue --queue-url dev-dlq \\",
        '  --attributes \'{"a": {"b": 1}}\' --group default',
    ]
    assert ask["ask"]["function"] == "DrainDlq"
    assert ask["ask"]["event"] == {
        "action": "replay_dlq",
        "target": {"queue": "dev-dlq", "replay_to": {"function": "shop-web", "alias": "live"}},
        "system": "shop-dev",
        "options": {"canary": 2},
    }
    assert resume["ask"]["event"]["action"] == "resume_trading"


def test_a_window_says_what_comes_before_it(tmp_path: Path) -> None:
    more = """\
  db: {database: shop-db}
maintenance:
  - {days: [sat], from: "06:00", to: "08:00", notice: 24h, before: [{snapshot_database: db}], before_at: 45m}
watches: [{name: after a deployment, sweep: daily, on: ["l*"]}]
"""
    system = compiled(tmp_path, HEAD + more + CHECKED)

    (window,) = system["maintenance"]
    assert (window["notice_s"], window["before_s"], window["before"][0]["action"]) == (
        86_400,
        2700,
        "snapshot_database",
    )
    assert system["watches"] == [
        {"name": "after a deployment", "sweep": "daily", "every_s": 300, "for_s": 1800, "on": ["l*"]}
    ]


def test_what_is_written_is_compiled(tmp_path: Path) -> None:
    more = """\
    mode: suggest
    contain: [{halt_trading: {parameter: /other/flag}}]
    remediate:
      - {stop_deployment: moving, settle: 30s}
      - {roll_back_alias: moving, settle: 1h, to_version: "7", approval: required}
    probe: {smoke_test: live, payload: {day: 2026-01-26, n: [1, 2.5, null, off]}, expect: {ok: true}}
    escalate_after: 2h
    cooldown: 1d
    limits: {per_hour: 1, per_day: 1, useless: 2, targets: 4, targets_percent: 50}
timezone: Asia/Kolkata
maintenance: [{days: [sat, sun], from: 22:00, to: 02:30}]
holidays: [2026-01-26]
exempt: [cron, {function: shop-old, alias: live}]
checks: [{queue: dlq}, {queue: {target: dlq, at_most: 3}}, {queue: {queue: other}}]
sweeps:
  - {name: all, at: "45  8 ? * MON-FRI *"}
  - {name: some, at: 0 16 28 * ? 2026-2030, checks: [{flag: {target: flag, value: any}}]}
"""
    system = compiled(tmp_path, HEAD + RESPONSE + more)

    (response,) = system["responses"]
    assert response["mode"] == "suggest"
    assert response["contain"][0]["target"] == {"parameter": "/other/flag"}
    assert response["contain"][0]["target_name"] == ""
    assert [step["settle_s"] for step in response["remediate"]] == [30, 3600]
    assert [step["approval"] for step in response["remediate"]] == [False, True]
    assert response["remediate"][1]["options"] == {"to_version": "7"}
    assert response["remediate"][1]["target"]["code_deploy"] == {"application": "shop", "deployment_group": "api"}
    assert response["probe"]["options"] == {
        "payload": {"day": "2026-01-26", "n": [1, 2.5, None, "off"]},
        "expect": {"ok": True},
    }
    assert (response["escalate_after_s"], response["cooldown_s"]) == (7200, 86400)
    assert response["limits"] == {
        "per_hour": 1,
        "per_day": 1,
        "useless": 2,
        "targets": 4,
        "targets_percent": 50,
    }
    assert system["maintenance"] == [
        {"days": ["sat", "sun"], "from": "22:00", "to": "02:30", "notice_s": 0, "before": [], "before_s": 0}
    ]
    assert system["holidays"] == ["2026-01-26"]
    assert system["exempt"] == ["schedule:default/shop-nightly", "function:shop-old:live"]
    assert system["checks"] == [
        {"queue": {"queue": "shop-dlq"}},
        {"queue": {"queue": "shop-dlq", "at_most": 3}},
        {"queue": {"queue": "other"}},
    ]
    assert system["sweeps"] == [
        {
            "name": "all",
            "at": "45 8 ? * MON-FRI *",
            "when": moments("45 8 ? * MON-FRI *"),
            "timezone": "Asia/Kolkata",
            "checks": system["checks"],
        },
        {
            "name": "some",
            "at": "0 16 28 * ? 2026-2030",
            "when": moments("0 16 28 * ? 2026-2030"),
            "timezone": "Asia/Kolkata",
            "checks": [{"flag": {"parameter": "/shop/enabled", "value": "any"}}],
        },
    ]


def test_a_stage_is_filled_in_everywhere(tmp_path: Path) -> None:
    text = """\
system: shop-{stage}
stages: [dev, prod]
owner: a
targets: {live: {function: "shop-{stage}", alias: live}}
exempt: [live]
responses:
  - name: r
    alarms: ["shop-{stage}-*"]
    severity: P1
    probe: {smoke_test: live, payload: {table: "orders-{stage}"}}
checks: [{alias: live}]
"""
    (tmp_path / "shop.yaml").write_text(text)

    document = compile_folder(tmp_path)

    assert [system["system"] for system in document["systems"]] == ["shop-dev", "shop-prod"]
    assert "{stage}" not in json.dumps(document)
    prod = document["systems"][1]
    assert prod["responses"][0]["probe"]["options"] == {"payload": {"table": "orders-prod"}}
    assert prod["exempt"] == ["function:shop-prod:live"]
    assert prod["checks"] == [{"alias": {"function": "shop-prod", "alias": "live"}}]


def test_the_same_runbooks_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(HEAD + RESPONSE)

    for name in ("one.json", "two.json"):
        write(compile_folder(tmp_path), tmp_path / "out" / name)

    one, two = ((tmp_path / "out" / name).read_bytes() for name in ("one.json", "two.json"))
    assert one == two
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one.json", "two.json"]


WHOLE = (
    HEAD
    + RESPONSE
    + """\
    contain: [{halt_trading: flag}, {inspect_dlq: dlq, sample: 5}]
    remediate: [{stop_deployment: moving}, {roll_back_alias: moving, settle: 2m}]
    probe: {smoke_test: live, payload: {mode: test}, expect: {ok: true}}
    recover: [{resume_trading: flag, approval: required}]
    limits: {per_hour: 3, per_day: 7}
timezone: Asia/Kolkata
maintenance: [{days: [sat], from: "06:00", to: "08:00"}]
holidays: [2026-01-26]
exempt: [cron, {queue: "shop-old"}]
checks: [{queue: dlq}, {flag: {target: flag, value: any}}]
sweeps: [{name: morning, at: "45 8 ? * MON-FRI *", checks: [{alarms: {prefix: shop}}]}]
"""
)
_SCRAPS = "~ 3 -1 1.5 [] {} [{}] [[1]] x true { } ] &a *a !!set % ' # {stage} {alarm.X} <<: ? | é ..."
SCRAPS = st.sampled_from([*_SCRAPS.split(), "", '""', '"', "\n", "  ", "- ", ": ", "{a: b}", "\t", "\x00"])


class TestNothingElseIsRaised:
    """Whatever the file holds, the build says where it is wrong; it never breaks."""

    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.integers(0, len(WHOLE)), st.integers(0, 12), SCRAPS)
    def test_a_scrap_anywhere(self, tmp_path: Path, start: int, length: int, scrap: str) -> None:
        problems_of(tmp_path, shop=WHOLE[:start] + scrap + WHOLE[start + length :])

    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    def test_another_value_anywhere(self, tmp_path: Path, data: st.DataObject) -> None:
        (tmp_path / "good.yaml").write_text(WHOLE)
        document = read(tmp_path / "good.yaml", "good.yaml").data
        (tmp_path / "good.yaml").unlink()
        inside = data.draw(st.sampled_from(list(containers(document))))
        key = data.draw(st.sampled_from(list(inside) if isinstance(inside, dict) else list(range(len(inside)))))
        inside[key] = data.draw(
            st.sampled_from([None, 3, -1, 1.5, True, "", "x", [], {}, [[]], {"a": 1}, [None], "{stage}"])
        )

        problems_of(tmp_path, shop=json.dumps(document))


def containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list) and value:
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


class TestCommand:
    def test_compile(self, tmp_path: Path) -> None:
        (tmp_path / "shop.yaml").write_text(HEAD + RESPONSE)
        out = tmp_path / "layer" / "runbooks.json"

        assert main(["compile", "--source", str(tmp_path), "--out", str(out)]) == 0

        assert json.loads(out.read_text())["version"] == 1

    def test_compile_writes_nothing_when_a_runbook_is_wrong(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "shop.yaml").write_text("owner: a\n")

        assert main(["compile", "--source", str(tmp_path), "--out", str(tmp_path / "out.json")]) == 1

        assert "shop.yaml:1:1: `system` is missing" in capsys.readouterr().err
        assert not (tmp_path / "out.json").exists()

    def test_validate_single_files(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
        good.write_text(HEAD)
        bad.write_text("owner: a\n")

        assert main(["validate", str(good)]) == 0
        assert main(["validate", str(good), str(bad)]) == 1
        assert capsys.readouterr().err.endswith("1 problem(s)\n")

    def test_validate_a_file_that_is_not_there(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["validate", str(tmp_path / "none.yaml")]) == 1
        assert "No such file" in capsys.readouterr().err

    def test_schema_check(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "schema.json"

        assert main(["schema", "--check", "--out", str(out)]) == 1
        assert main(["schema", "--out", str(out)]) == 0
        assert main(["schema", "--check", "--out", str(out)]) == 0
        out.write_text(out.read_text() + " ")
        assert main(["schema", "--check", "--out", str(out)]) == 1
        assert "is not current" in capsys.readouterr().err


class TestCron:
    @pytest.mark.parametrize(
        "text",
        [
            "45 8 ? * MON-FRI *",
            "0/15 * * * ? *",
            "*/5 0-6,12 1,15 JAN,jul ? 2026",
            "0 0 ? * 2-6 2026-2030",
        ],
    )
    def test_right(self, text: str) -> None:
        assert wrong_with(text) == ""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "cron has six fields"),
            ("45 8 * * *", "got 5"),
            ("cron(45 8 ? * MON-FRI *)", "write the six fields alone"),
            ("rate(5 minutes)", "write the six fields alone"),
            ("60 8 ? * * *", "the minutes goes from 0 to 59"),
            ("0 24 ? * * *", "the hours goes from 0 to 23"),
            ("0 8 32 * ? *", "the day of month goes from 1 to 31"),
            ("0 8 L * ? *", "the day of month goes from"),
            ("0 8 15W * ? *", "the day of month goes from"),
            ("0 8 ? * 6L *", "the day of week goes from"),
            ("0 8 ? 13 * *", "the month goes from 1 to 12 or JAN to DEC"),
            ("0 8 ? * 0 *", "the day of week goes from 1 to 7 or SUN to SAT"),
            ("0 8 ? * MON/2 *", "the day of week takes no `/`"),
            ("0 8 ? * MON#2 *", "the day of week goes from"),
            ("0 8 ? * * 1969", "the year goes from 1970 to 2199"),
            ("0 8 ? * FRI-MON *", "`FRI-MON` runs backwards; write it as a list with commas"),
            ("0/0 8 ? * * *", "after `/` stands a number from 1 to 59"),
            ("0 8 * * * *", "exactly one of day of month"),
            ("0 8 ? * ? *", "exactly one of day of month"),
            ("0, 8 ? * * *", "``: the minutes goes from"),
            ("٣ 8 ? * * *", "the minutes goes from"),
            ("? 8 ? * * *", "the minutes goes from"),
        ],
    )
    def test_wrong(self, text: str, message: str) -> None:
        assert message in wrong_with(text)

    @pytest.mark.parametrize(
        ("text", "field", "numbers"),
        [
            ("45 8 ? * MON-FRI *", "weekdays", [2, 3, 4, 5, 6]),
            ("45 8 ? * MON-FRI *", "days", None),
            ("45 8 ? * MON-FRI *", "minutes", [45]),
            ("*/20 * * * ? *", "minutes", [0, 20, 40]),
            ("*/20 * * * ? *", "hours", list(range(24))),
            ("5/20 8 * * ? *", "minutes", [5, 25, 45]),
            ("10-14/2,1 8 * * ? *", "minutes", [1, 10, 12, 14]),
            ("0 8 1,15 JAN,jul ? 2026-2027", "months", [1, 7]),
            ("0 8 1,15 JAN,jul ? 2026-2027", "years", [2026, 2027]),
            ("0 8 ? * 1,SAT *", "weekdays", [1, 7]),
        ],
    )
    def test_moments(self, text: str, field: str, numbers: list[int] | None) -> None:
        assert moments(text)[field] == numbers


PATTERN = st.text(alphabet="ab*?", max_size=5)
NAMES = ["".join(letters) for length in range(9) for letters in itertools.product("ab", repeat=length)]


class TestPatterns:
    @settings(max_examples=300, deadline=None)
    @example("a*b", "*ab*b")
    @example("*", "")
    @example("?*", "*a")
    @given(PATTERN, PATTERN)
    def test_overlap_is_what_brute_force_finds(self, one: str, other: str) -> None:
        # A star may stand for nothing, so a shortest shared name needs no more letters than both patterns have beside
        # their stars; if neither has one, both are as long as the name. Up to 5 characters each: 8 at most.
        shared = common_name(one, other)

        found = any(fits(one, name) and fits(other, name) for name in NAMES)
        assert found == (shared is not None)
        if shared is not None:
            assert fits(one, shared)
            assert fits(other, shared)

    @settings(max_examples=300, deadline=None)
    @given(PATTERN, PATTERN)
    def test_overlap_does_not_depend_on_the_order(self, one: str, other: str) -> None:
        assert (common_name(one, other) is None) == (common_name(other, one) is None)

    def test_long_patterns_are_decided_at_once(self) -> None:
        assert common_name("a*" * 127, "*b" * 127) is not None
        assert common_name("a*" * 127 + "c", "*b" * 127) is None
