"""`python -m selfheal_build.pages {write,check}`: the parts of the documentation that the code itself can tell.

docs/actions.md, docs/checks.md and docs/systems.md are generated whole; in other pages the text between
`<!-- generated: NAME -->` and `<!-- /generated -->` is. Run at the root of the repository; exit 1 when `check` finds a
page that is not current.
"""

import argparse
import ast
import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from samcli.yamlhelper import yaml_parse
from selfheal import directions
from selfheal.action import Action
from selfheal.catalogue import ACTIONS, Entry, Option, functions
from selfheal.directions import Dependency
from selfheal.guards import chain, claim
from selfheal.refusal import Refusal
from selfheal.target import KINDS, Kind
from selfheal.words import Direction, Origin

from selfheal_build.checks_page import checks_page
from selfheal_build.markdown import table
from selfheal_build.systems_page import systems_page, systems_table

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = Path("layers/selfheal/selfheal")
EVERY_ACTION = {
    "input": ("request.py", "target.py", "record.py"),
    "engine": ("engine.py", "hold.py", "calls.py", "capture.py"),
    "guards": ("guards",),
    "undo": ("restore.py",),
}
"""Whose refusals any action can give: the files (or folders of files) of the package that name them."""
NOBODY = "nothing at present"
RESPOND = (
    "respond.py",
    "alarm.py",
    "alarm_shapes.py",
    "runbook.py",
    "rollouts.py",
    "preconditions.py",
    "deployments.py",
)

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "parameter": {"parameter": "/shop/enabled"},
    "schedule": {"schedule": "shop-nightly", "group": "shop"},
    "schedule_group": {"schedule_group": "shop"},
    "rule": {"bus": "shop-events", "rule": "shop-orders"},
    "rules": {"bus": "shop-events", "rule_prefix": "shop-"},
    "alias": {
        "function": "shop-web",
        "alias": "live",
        "code_deploy": {"application": "shop", "deployment_group": "shop-web"},
    },
    "queue": {"queue": "shop-dlq", "replay_to": {"function": "shop-web", "alias": "live"}},
    "secret": {"secret": "shop/broker"},
    "database": {"database": "shop-db"},
    "database_cluster": {"database_cluster": "shop-aurora"},
    "sessions": {"database_cluster": "shop-aurora", "database_name": "shop", "secret": "shop/database"},
    "backup": {"bucket": "shop-backups", "prefix": "daily/"},
    "archive": {"bus": "shop-events", "archive": "shop-events-archive"},
    "workflow": {"repository": "shop/shop-web", "workflow": "rollback.yml", "token": "shop/github-token"},
    "function": {"function": "shop-worker"},
    "event_source": {"event_source": "12345678-1234-4234-8234-123456789012"},
    "rest_api": {"rest_api": "a1b2c3d4e5", "stage": "prod"},
    "http_api": {"http_api": "a1b2c3d4e5", "stage": "$default"},
    "log_group": {"log_group": "/ecs/shop-web"},
    "service": {"cluster": "shop", "service": "shop-web"},
    "system": {"system": "shop"},
    "incident": {"incident": "shop-1a2b3c4d-19a9f6c2e80"},
    "pause": {"pause": "shop"},
}
"""Targets of the kinds whose names are not plain ones, or whose optional fields matter."""

TYPES = {int: "whole number", str: "text", list: "list", dict: "object", bool: "true or false"}


def example(kind: str) -> Mapping[str, Any]:
    """One target of this kind."""
    return EXAMPLES.get(kind) or {field: f"shop-{field}" for field in KINDS[kind].required}


# -- what the code says -------------------------------------------------------------------------------------------


def refusals_in(path: Path) -> list[Refusal]:
    """The members of Refusal that a file, or every file of a folder, names; in the order of the enumeration."""
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    named = {
        node.attr
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Refusal"
    }
    return [refusal for refusal in Refusal if refusal.name in named]


def of_package(names: Iterable[str]) -> list[Refusal]:
    """The refusals of several files of the package."""
    found = {refusal for name in names for refusal in refusals_in(ROOT / PACKAGE / name)}
    return [refusal for refusal in Refusal if refusal in found]


def own_refusals(folder: str) -> list[Refusal]:
    """The refusals that a function names, or the modules (whole folders of them) that it imports for itself."""
    path = ROOT / "functions" / folder / "app.py"
    files = [*RESPOND, *(name for names in EVERY_ACTION.values() for name in names)]
    common = {name.removesuffix(".py") for name in files} | {"refusal", "handler"}
    found = {*refusals_in(path)}
    for module in _imported(path):
        place = ROOT / PACKAGE / module
        if module not in common:
            found |= {*refusals_in(place if place.is_dir() else place.with_suffix(".py"))}
    return [refusal for refusal in Refusal if refusal in found]


def _imported(path: Path) -> set[str]:
    """Modules and folders of the package that a file imports from."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "selfheal":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("selfheal."):
            names.add(str(node.module).split(".")[1])
    return names


def directions_in(folder: str) -> set[str]:
    """The members of Direction that a function names, in its own file or in a folder of the package that it has."""
    path = ROOT / "functions" / folder / "app.py"
    folders = [ROOT / PACKAGE / module for module in _imported(path) if (ROOT / PACKAGE / module).is_dir()]
    files = [path, *(file for place in folders for file in place.glob("*.py"))]
    return {
        node.attr.lower()
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Direction"
    }


def action_class(entry: Entry) -> type[Action]:
    """The class of an action."""
    module = importlib.import_module(f"functions.{entry.function}.app")
    for thing in vars(module).values():
        if isinstance(thing, type) and issubclass(thing, Action) and getattr(thing, "name", "") == entry.name:
            return thing
    raise LookupError(f"functions/{entry.function}/app.py has no action {entry.name}")


def template() -> Mapping[str, Any]:
    """template.yaml, with its intrinsic functions in their long form."""
    document: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    return document


def logical_id(folder: str) -> str:
    """The name of a function in template.yaml."""
    return "".join(word.title() for word in folder.split("_"))


# -- docs/actions.md ----------------------------------------------------------------------------------------------

INTRODUCTION = """\
# Actions

<!-- Generated by `make docs` from the catalogue, the functions and template.yaml. Edits are lost. -->

A function does one or more actions, and has a role of its own. Every action is started by the same request and gives
the same result, whoever asks: an alarm, a person, an undo. Without `mode` a request only plans.

```json
{"action": "roll_back_alias", "target": {"function": "shop-web", "alias": "live"}, "mode": "plan",
 "requested_by": "your name", "reason": "errors since the last deployment", "options": {"to_version": "41"}}
```

`mode` is `plan` (say what would be done, and what would refuse it), `act`, or `resume` (go on with what was begun under
the same `action_id`). The outcome is one of `acted`, `already_done`, `planned`, `refused`, `in_progress`, `failed`,
`inconclusive`. A result that can be undone carries the request for it in `undo`.

An action computes its direction from what it finds. A *safe* action stops something and loses nothing; a *risky* one is
everything else that writes; *read* changes nothing, and no guard is asked. See [guards.md](guards.md).
"""


def actions_page() -> str:
    """The whole page."""
    resources = template()["Resources"]
    parts = [INTRODUCTION, _overview(), _common_refusals()]
    parts += [_function(folder, resources[logical_id(folder)]["Properties"], resources) for folder in functions()]
    return "\n".join(parts)


def _overview() -> str:
    rows = [
        [
            f"[`{entry.name}`](#{entry.function})",
            entry.summary,
            _direction(entry),
            f"yes, like `{entry.undo}`" if entry.undo and entry.undo != entry.name else "yes" if entry.undo else "no",
            "yes" if entry.contains else "",
            "yes" if entry.person else "",
            "yes" if entry.paced else "",
        ]
        for entry in ACTIONS.values()
    ]
    head = ["action", "what it does", "direction", "undo", "contain", "person", "paced"]
    return (
        table(head, rows)
        + "\n*contain*: may stand in the contain stage of a runbook. *person*: refused without `requested_by`, and in a"
        "\nrunbook only with `approval: required`. *paced*: started through `LambdaPaceQueue`, at most two at a time.\n"
    )


def _common_refusals() -> str:
    told = {
        "input": "the request itself",
        "engine": "the engine",
        "guards": "the guards, if the action is not read",
        "undo": "only when it is an undo",
    }
    rows = [[told[name], _listed(of_package(files))] for name, files in EVERY_ACTION.items()]
    return (
        "## Refusals of every action\n\n"
        + table(["given by", "refusals"], rows)
        + ("\nWhat each of them means, and what to do: [operations.md](operations.md#what-a-refusal-means).\n")
    )


def _function(folder: str, properties: Mapping[str, Any], resources: Mapping[str, Any]) -> str:
    entries = [entry for entry in ACTIONS.values() if entry.function == folder]
    module = importlib.import_module(f"functions.{folder}.app")
    kinds = dict.fromkeys(kind for entry in entries for kind in entry.kinds)
    timeout = properties.get("Timeout", template()["Globals"]["Function"]["Timeout"])
    own = own_refusals(folder)
    parts = [
        f"## {folder}\n",
        f"Function `{logical_id(folder)}`, at most {timeout} s. " + _actions_in_words(entries) + "\n",
        contract(module.__doc__ or "") + "\n",
        table(["target", "example"], [[_kind(KINDS[kind]), f"`{json.dumps(example(kind))}`"] for kind in kinds]),
        _options(entries),
        table(["action", "direction", "after a run that was killed"], [_killed(entry) for entry in entries]),
        f"Refusals of its own: {_listed(own) or 'none'}.\n",
        table(["IAM permission", "on"], list(_permissions(entries, properties))),
        f"Besides: {', '.join(f'`{name}`' for name in _managed(properties, resources))}"
        " ([security.md](security.md#roles)).\n",
    ]
    return "\n".join(part for part in parts if part)


def contract(docstring: str) -> str:
    """A module's docstring as Markdown: its labelled lines (`Alarm:`, `Never:`) become a list."""
    lines, in_item = [], False
    for line in inspect.cleandoc(docstring).splitlines():
        labelled = re.match(r"(Alarm|Actions?|Precondition|Never)\b([^:]*): (.*)", line)
        if labelled:
            lines.append(f"* **{labelled[1]}**{labelled[2]}: {labelled[3]}")
        else:
            lines.append(f"  {line}" if in_item and line else line)
        in_item = bool(labelled) or (in_item and bool(line))
    return "\n".join(lines)


def _actions_in_words(entries: Sequence[Entry]) -> str:
    names = ", ".join(f"`{entry.name}`" for entry in entries)
    return f"Actions: {names}; without `action` it is the first." if len(entries) > 1 else f"Action: {names}."


def _kind(kind: Kind) -> str:
    required = ", ".join(f"`{name}`" for name in kind.required)
    optional = "; ".join(
        f"`{name}`" + (f" (default `{default}`)" if default else "") for name, default in kind.optional.items()
    )
    return required + (f"; optional {optional}" if optional else "")


def _options(entries: Sequence[Entry]) -> str:
    same: dict[str, tuple[Option, list[str]]] = {}
    for entry in entries:
        for name, option in entry.options.items():
            same.setdefault(name, (option, []))[1].append(entry.name)
    if not same:
        return "No options.\n"
    rows = []
    for name, (option, actions) in same.items():
        default = "" if option.default is None else f"`{json.dumps(option.default)}`"
        of = "" if len(actions) == len(entries) else ", ".join(f"`{action}`" for action in actions)
        rows.append([f"`{name}`", TYPES[option.type], default, option.help, of])
    if all(not row[4] for row in rows):
        return table(["option", "type", "default", "meaning"], [row[:4] for row in rows])
    return table(["option", "type", "default", "meaning", "only"], rows)


def _direction(entry: Entry) -> str:
    """Where a function knows both directions, the stopping one may stand in contain; its undo goes the other way.

    A class that names its directions itself has those and no others.
    """
    own = set(re.findall(r"\bDirection\.([A-Z]+)", inspect.getsource(action_class(entry))))
    found = {name.lower() for name in own} or directions_in(entry.function)
    if {"safe", "risky"} <= found and entry.contains and not entry.undo:
        return "safe or risky, by what it finds"
    if {"safe", "risky"} <= found:
        return "safe; its undo is risky" if entry.contains else "risky; its undo is safe"
    return " or ".join(sorted(found))


def _killed(entry: Entry) -> list[str]:
    action = action_class(entry)
    if _direction(entry) == "read":
        what = "starts over"
    elif not action.repeatable:
        what = "ends `inconclusive`: AWS can't deduplicate the call, so a person looks first"
    elif action.continues:
        what = "goes on where it stopped"
    elif action.reversible:
        what = "is verified; applied again only if the target is as it was before"
    else:
        what = "is verified, and applied again if it does not hold"
    return [f"`{entry.name}`", _direction(entry), what]


def _permissions(entries: Sequence[Entry], properties: Mapping[str, Any]) -> Iterator[list[str]]:
    declared = {permission for entry in entries for permission in action_class(entry).permissions}
    for statement in _statements(properties):
        given = statement["Action"]
        for permission in [given] if isinstance(given, str) else given:
            declared.discard(permission)
            yield [f"`{permission}`", _resource(statement["Resource"])]
    yield from ([f"`{permission}`", "not in the template"] for permission in sorted(declared))


def _statements(properties: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for policy in properties["Policies"]:
        branch = policy["Fn::If"][1] if "Fn::If" in policy else policy
        yield from branch.get("Statement", ())


def _managed(properties: Mapping[str, Any], resources: Mapping[str, Any]) -> list[str]:
    named = [policy["Ref"] for policy in properties["Policies"] if "Ref" in policy]
    return [name for name in named if resources[name]["Type"] == "AWS::IAM::ManagedPolicy"]


def _resource(resource: Any) -> str:
    if isinstance(resource, list):
        return ", ".join(map(_resource, resource))
    match resource:
        case {"Fn::Split": [_, {"Fn::Sub": [str(text), Mapping() as parts]}]}:
            (name,) = set(re.findall(r"'Ref': '(\w+)'", str(parts)))
            return f"`{name}`, and each with " + ("`:*`" if text.endswith(":*") else "what belongs to it")
        case {"Ref": name}:
            return f"`{name}`"
        case {"Fn::GetAtt": [name, *_]}:
            return f"`{name}`"
        case {"Fn::Sub": str(text)}:
            return "`" + re.sub(r"[$][{](?:AWS::)?(\w+)(?:[.]Arn)?[}]", r"\1", text) + "`"
        case "*":
            return "every resource (`*`)"
    raise ValueError(f"template.yaml has a resource that this page can't show: {resource}")


# -- parts of other pages -----------------------------------------------------------------------------------------


def guards_table() -> str:
    """Which guard is asked for which origin and direction, from the chain."""
    head = ["", "guard", "asks", *(origin.value for origin in Origin), "refuses with"]
    rows: list[list[str]] = []
    for guard in chain.CHAIN:
        question = guard.place or guard.check
        name = f"`{guard.name}`" + (" (again)" if guard.stops_work else "")
        about, refusals = _of_claim(guard.name) if guard.name in CLAIMED else _of_file(question)
        ticks = [_asked(guard, origin) for origin in Origin]
        rows.append([str(len(rows) + 1), name, about, *ticks, _listed(refusals)])
    return table(head, rows)


def _asked(guard: chain.Guard, origin: Origin) -> str:
    """For which directions: both, one, or none."""
    asked = [direction.value for direction in Direction if guard.applies(origin, direction)]
    return "yes" if len(asked) > 1 else "".join(asked)


CLAIMED = {"owner": Refusal.TARGET_OWNED, "lease": Refusal.LEASED, "cooldown": Refusal.COOLDOWN}
"""The guards that share a file, because they are one transaction."""


def _of_claim(name: str) -> tuple[str, list[Refusal]]:
    return inspect.getdoc(getattr(claim, name)) or "", [CLAIMED[name]]


def _of_file(question: Callable[..., Any]) -> tuple[str, list[Refusal]]:
    """What a guard's own file says of it."""
    return _first_paragraph(sys.modules[question.__module__]), refusals_in(Path(inspect.getfile(question)))


def _first_paragraph(module: Any) -> str:
    return " ".join(inspect.cleandoc(module.__doc__ or "").split("\n\n")[0].split())


def directions_table() -> str:
    """What a run does without each of the things that it needs, by its direction."""
    kinds: dict[tuple[str, bool], list[str]] = {}
    for entry in ACTIONS.values():
        in_ledger = directions.is_in_ledger(entry)
        kinds.setdefault((_direction(entry).split(";")[0], in_ledger), []).append(f"`{entry.name}`")
    named = {
        (Direction.READ, True): "decides, in the ledger",
        (Direction.READ, False): "read",
        (Direction.SAFE, False): "safe",
        (Direction.RISKY, False): "risky",
    }
    rows = []
    for (direction, in_ledger), name in named.items():
        actions = [
            one for (told, kept), names in kinds.items() if direction in told and kept == in_ledger for one in names
        ]
        told = [directions.without(one, direction, in_ledger=in_ledger) for one in Dependency]
        rows.append([f"{name}: {', '.join(actions)}", *told])
    undone = [directions.without(one, Direction.SAFE, undo=True) for one in Dependency]
    rows.append(["a safe undo; a risky one as any risky action", *undone])
    meanings = [[f"*{one}*", one.meaning, directions.NEEDED[one]] for one in Dependency]
    return table(["direction", *Dependency], rows) + "\n" + table(["", "what it is", "needed"], meanings)


def refusals_table() -> str:
    """Every refusal, who gives it, and its sentence."""
    givers: dict[Refusal, list[str]] = {refusal: [] for refusal in Refusal}
    for refusal in of_package(RESPOND):
        givers[refusal].append("`Respond`")
    for name, files in EVERY_ACTION.items():
        for refusal in of_package(files):
            givers[refusal].append({"input": "any request", "undo": "an undo"}.get(name, f"the {name}"))
    for folder in functions():
        for refusal in own_refusals(folder):
            givers[refusal].append(f"`{logical_id(folder)}`")
    rows = [
        [f"`{refusal}`", refusal.sentence, ", ".join(dict.fromkeys(givers[refusal])) or NOBODY] for refusal in Refusal
    ]
    return table(["refusal", "what it says", "who gives it"], rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "guards": guards_table,
    "directions": directions_table,
    "refusals": refusals_table,
    "systems": systems_table,
}
PAGES = ("README.md", "docs/guards.md", "docs/operations.md")
WHOLE: Mapping[str, Callable[[], str]] = {"actions": actions_page, "checks": checks_page, "systems": systems_page}
"""Pages that are generated whole."""


def with_parts(text: str) -> str:
    """The text of a page with its generated parts made anew. Raises KeyError for a part that there is not."""

    def part(found: re.Match[str]) -> str:
        return f"<!-- generated: {found[1]} -->\n{PARTS[found[1]]()}<!-- /generated -->"

    return re.sub(r"<!-- generated: (\w+) -->\n.*?<!-- /generated -->", part, text, flags=re.DOTALL)


# -- Markdown -----------------------------------------------------------------------------------------------------


def _listed(refusals: Iterable[Refusal]) -> str:
    return ", ".join(f"`{refusal}`" for refusal in refusals)


# -- the command --------------------------------------------------------------------------------------------------


def pages() -> dict[Path, str]:
    """Every page with a generated part → its text as it should be."""
    made = {ROOT / f"docs/{name}.md": page() for name, page in WHOLE.items()}
    for name in PAGES:
        made[ROOT / name] = with_parts((ROOT / name).read_text(encoding="utf-8"))
    return made


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="selfheal_build.pages", description=__doc__)
    parser.add_argument("command", choices=["write", "check"])
    command = parser.parse_args(arguments).command
    stale = [
        (path, text) for path, text in pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if command == "write":
            path.write_text(text, encoding="utf-8")
        else:
            print(f"error: {path.relative_to(ROOT)} is not current; run make docs", file=sys.stderr)
    return 1 if stale and command == "check" else 0


if __name__ == "__main__":
    sys.exit(main())
