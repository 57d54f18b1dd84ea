"""What is measured, as folders: ours as `make build` makes it, and the others as they are usually shipped.

Kept under .local/bench and made anew when what they are made from changes. Files are links into the environments, but
for the bundles of certificates, which get the authority of this run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from selfheal_build.installer import install_for_lambda

from local import sam
from local.stack import SOURCES
from tests.bench import peers
from tests.bench.cold_start_peers import BOTO3, CUSTODIAN, CUSTODIAN_POLICY, NULL, SAME_CALLS, USUAL
from tests.bench.figure import REPOSITORY

HOME = REPOSITORY / ".local" / "bench" / "cold_start"
BUNDLES = ("botocore/cacert.pem", "botocore/cacert-amazon.pem", "certifi/cacert.pem")
OF_THE_RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3")
"""What Lambda's Python runtime brings, and a zip need not."""


@dataclass(frozen=True)
class Tree:
    """A function's folder, and the folders of packages that Python finds beside it."""

    folder: Path
    packages: tuple[Path, ...]


def ours() -> Mapping[str, Tree]:
    """Each function folder → the artefact that the build made, with bytecode for this interpreter."""
    sources = [REPOSITORY / name for name in SOURCES]
    log = REPOSITORY / ".local" / "bench" / "build.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    built = sam.build("bench", REPOSITORY / "template.yaml", sources, log).parent
    template = yaml_parse((REPOSITORY / "template.yaml").read_text())
    folders = {
        resource["Properties"]["CodeUri"].removeprefix("functions/"): name
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    layers = HOME / "ours"
    shutil.rmtree(layers, ignore_errors=True)
    for name in ("DependenciesLayer", "SelfhealLayer", "RunbooksLayer"):
        _link(built / name, layers / name)
    packages = (layers / "DependenciesLayer" / "python", layers / "SelfhealLayer" / "python")
    for name in folders.values():
        _link(built / name, layers / name)
    return {folder: Tree(layers / name, packages) for folder, name in folders.items()}


def runbooks() -> Path:
    """The compiled runbooks of `ours`."""
    return HOME / "ours" / "RunbooksLayer" / "runbooks" / "runbooks.json"


def as_sam_builds(folder: str) -> Tree:
    """A function of ours as `sam build` makes it by itself: pip's files as they come, nothing compiled or cut."""
    requirements = REPOSITORY / "layers" / "dependencies" / "requirements.txt"
    packages = _kept("requirements", _digest([requirements]), lambda out: install_for_lambda(out, requirements))
    shared, task = HOME / "as-sam" / "python", HOME / "as-sam" / folder
    shutil.rmtree(HOME / "as-sam", ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "layers" / "selfheal" / "selfheal", shared / "selfheal", ignore=ignored)
    shutil.copytree(REPOSITORY / "functions" / folder, task, ignore=ignored)
    return Tree(task, (_fresh(packages, HOME / "as-sam" / "packages"), shared))


def null() -> Tree:
    """A handler that does nothing."""
    return Tree(_app("null", NULL), ())


def boto3(*, same_calls: bool = False) -> Tree:
    """boto3 as the runtime brings it, with bytecode: three calls of one client, or all that ours makes."""
    app = _app("boto3-same", SAME_CALLS) if same_calls else _app("boto3", BOTO3)
    return Tree(app, (_compiled(_site_packages("peer-usual"), OF_THE_RUNTIME, "runtime"),))


def usual(*, compiled: bool) -> Tree:
    """Powertools and boto3 in the function's own package."""
    source = _site_packages("peer-usual")
    task = _app("usual", USUAL)
    if compiled:
        names = sorted(path.name for path in source.iterdir() if path.name.startswith(_USED))
        return Tree(task, (_compiled(source, names, "usual-compiled"),))
    return Tree(task, (_fresh(source, HOME / "usual"),))


def custodian(*, runtimes_boto3: bool) -> Tree:
    """Cloud Custodian's zip, without bytecode (c7n/mu.py strips it); boto3 in it, or the runtime's with bytecode."""
    source, task = _site_packages("peer-c7n"), HOME / f"c7n-{runtimes_boto3}"
    shutil.rmtree(task, ignore_errors=True)
    _link(source / "c7n", task / "c7n")
    (task / "config.json").write_text(json.dumps(CUSTODIAN))
    (task / "custodian_policy.py").write_text(CUSTODIAN_POLICY)
    if runtimes_boto3:
        return Tree(task, (_compiled(source, OF_THE_RUNTIME, "runtime-of-c7n"),))
    return Tree(task, (_fresh(source, HOME / "c7n-packages"),))


def trust(trees: Iterable[Tree], authority: Path) -> None:
    """Add the authority of this run to every bundle that the trees' functions load."""
    added = authority.read_text()
    for path in {package / name for tree in trees for package in tree.packages for name in BUNDLES}:
        if path.is_file():
            roots = path.read_text().partition("\n# the bench\n")[0]
            path.unlink()  # a link
            path.write_text(f"{roots}\n# the bench\n{added}")


_USED = ("aws_lambda_powertools", "aws_xray_sdk", "wrapt", "typing_extensions", *OF_THE_RUNTIME)


def _site_packages(name: str) -> Path:
    return next((peers.environment(name) / "lib").glob("python3*/site-packages"))


def _app(name: str, source: str) -> Path:
    folder = HOME / "apps" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.py").write_text(source)
    return folder


def _compiled(source: Path, names: Iterable[str], name: str) -> Path:
    """Some packages with their bytecode."""
    chosen = list(names)

    def make(out: Path) -> None:
        out.mkdir(parents=True)
        for one in chosen:
            _link(source / one, out / one)
        command = [peers.python(), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(out)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    return _kept(name, _digest([source.parents[2] / "made-from"]), make)


def _fresh(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    _link(source, target)
    return target


def _link(source: Path, target: Path) -> None:
    """A copy that takes no space; bytecode only where it is part of what was built."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        os.link(source, target)
        return
    built = ".local/build" in str(source)
    shutil.copytree(
        source, target, copy_function=os.link, ignore=None if built else shutil.ignore_patterns("__pycache__")
    )


def _kept(name: str, digest: str, make: object) -> Path:
    folder, stamp = HOME / "kept" / name, HOME / "kept" / f"{name}.made-from"
    if not (stamp.is_file() and stamp.read_text() == digest):
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        assert callable(make)
        make(folder)
        stamp.write_text(digest)
    return folder


def _digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
