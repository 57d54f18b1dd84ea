"""Which operations of AWS's services the code can call: a model of Lambda has 80, a function uses five.

Found by the names in the sources, without types: an operation stays if its method's name (`update_alias`) stands
anywhere in them, as an attribute or as a text (paginators, tables of calls). That keeps a few too many and, as the
unit tests hold it against every call of every function, none too few.
"""

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.loaders import create_loader

BY_BOTOCORE = {"s3": {"CreateSession", "HeadBucket"}}
"""What botocore calls by itself: directory buckets, and a bucket in another region."""


def called(root: Path, services: tuple[str, ...]) -> frozenset[str]:
    """Methods of these services' clients that the sources name; the layer is made anew when they change."""
    return names_in(sources(root)) & _methods(services)


@cache
def _methods(services: tuple[str, ...]) -> frozenset[str]:
    """Of this environment's botocore, which is pinned to the layer's version. A service that it lacks has none."""
    loader = create_loader()
    known = set(loader.list_available_services("service-2"))
    models = [loader.load_service_model(service, "service-2") for service in services if service in known]
    return frozenset(xform_name(name) for model in models for name in model["operations"])


def sources(root: Path) -> list[Path]:
    """Everything that runs with the dependencies layer: the functions, the shared package, the demo systems."""
    folders = (root / "layers" / "selfheal" / "selfheal", root / "functions", root / "local" / "systems")
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def names_in(files: Iterable[Path]) -> frozenset[str]:
    """Every name and every one-word text in these modules."""
    found: set[str] = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Attribute(attr=name) | ast.Name(id=name):
                    found.add(name)
                case ast.Constant(value=str(text)) if text.isidentifier():
                    found.add(text)
    return frozenset(found)


def keep_operations(service: str, model: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """The model of one service with the operations that are named, the shapes that these need, and all errors."""
    kept = {
        name: operation
        for name, operation in model["operations"].items()
        if xform_name(name) in names or name in BY_BOTOCORE.get(service, ()) or operation.get("endpointoperation")
    }
    wanted = [name for name, shape in model["shapes"].items() if shape.get("exception")]
    for operation in kept.values():
        ends = [operation[end] for end in ("input", "output") if end in operation]
        wanted += [end["shape"] for end in (*ends, *operation.get("errors", ()))]
    needed = _reached(model["shapes"], wanted)
    shapes = {name: shape for name, shape in model["shapes"].items() if name in needed}
    return {**model, "operations": kept, "shapes": shapes}


def _reached(shapes: Mapping[str, Any], wanted: list[str]) -> set[str]:
    found: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found.add(name)
        shape = shapes[name]
        parts = [shape[part] for part in ("member", "key", "value") if part in shape]
        parts += shape.get("members", {}).values()
        wanted += [part["shape"] for part in parts]
    return found
