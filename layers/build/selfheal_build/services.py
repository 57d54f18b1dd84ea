"""botocore's data, cut down to the services and operations that the functions use.

botocore ships the models of every AWS service: 29 MB that a function never reads. What is read is read at every
cold start, so the models that stay lose their documentation, their compression and the operations that no source
names (`operations`) as well, and `endpoints.json` (1.2 MB, parsed for each session) loses the services that are not
here. Nothing else of a model is changed.
"""

import ast
import gzip
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from botocore.utils import deep_merge

from .errors import BuildError, UnknownService
from .operations import keep_operations

_READ_WITH_ITS_TEXTS = "clientContextParams"
"""botocore's ServiceModel.client_context_parameters fails without their documentation: no call of S3 would work."""


def services_of(clients: Path) -> tuple[str, ...]:
    """The constant ``SERVICES`` of the module that makes all clients, read without importing it.

    Raises:
        BuildError: the constant is missing, or not a plain tuple of strings.
    """
    for node in ast.parse(clients.read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "SERVICES" for target in targets):
            value = getattr(node, "value", None)
            if isinstance(value, ast.Tuple) and value.elts:
                names = [element.value for element in value.elts if isinstance(element, ast.Constant)]
                if len(names) == len(value.elts):
                    return tuple(str(name) for name in names)
    raise BuildError(f"{clients} has to say SERVICES = (…), a tuple of service names, for the layer to be built")


def keep_services(packages: Path, services: Iterable[str], names: frozenset[str]) -> None:
    """Cut botocore's and boto3's data in the folder ``packages`` down to ``services``, and these to the operations
    whose methods are among ``names``.

    Raises:
        UnknownService: botocore has no model of that name.
    """
    wanted = set(services)
    data = packages / "botocore" / "data"
    if unknown := sorted(service for service in wanted if not (data / service).is_dir()):
        raise UnknownService(f"botocore has no service named {', '.join(unknown)}")
    for folder in (data, packages / "boto3" / "data"):
        for known in filter(Path.is_dir, folder.iterdir()):
            if known.name not in wanted:
                shutil.rmtree(known)
    prefixes = set(wanted)
    for service in wanted:
        *older, latest = sorted((data / service).iterdir())
        for version in older:  # a client without api_version takes the latest
            shutil.rmtree(version)
        prefixes |= _slim(latest, names)
    _keep_endpoints(data / "endpoints.json", prefixes)


def _slim(version: Path, called: frozenset[str]) -> set[str]:
    """Rewrite one service's files; returns the names under which `endpoints.json` may know the service."""
    names = set()
    for path in sorted(version.iterdir()):
        if path.name.startswith("examples"):
            path.unlink()
        if not path.exists():  # or it is part of the model now
            continue
        model = json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        metadata = model.get("metadata", {})
        names |= {metadata[key] for key in ("endpointPrefix", "signingName") if key in metadata}
        if "operations" in model and "shapes" in model:
            _complete(model, version / "service-2.sdk-extras.json")
            model = keep_operations(version.parent.name, model, called)
        path.unlink()
        plain = path.with_suffix("") if path.suffix == ".gz" else path
        plain.write_text(json.dumps(_undocumented(model), separators=(",", ":")))
    return names


def _complete(model: dict[str, Any], extras: Path) -> None:
    """What botocore adds to a model when it reads it is added now: it refers to shapes, which have to stay."""
    if extras.exists():
        deep_merge(model, json.loads(extras.read_bytes()).get("merge", {}))
        extras.unlink()


def _undocumented(node: Any) -> Any:
    if isinstance(node, dict):
        # A shape may have a member called documentation: that one is a mapping, not a text.
        return {
            key: value if key == _READ_WITH_ITS_TEXTS else _undocumented(value)
            for key, value in node.items()
            if not (key == "documentation" and isinstance(value, str))
        }
    if isinstance(node, list):
        return [_undocumented(value) for value in node]
    return node


def _keep_endpoints(endpoints: Path, prefixes: set[str]) -> None:
    known = json.loads(endpoints.read_bytes())
    for partition in known["partitions"]:
        partition["services"] = {name: value for name, value in partition["services"].items() if name in prefixes}
    endpoints.write_text(json.dumps(known, separators=(",", ":")))
