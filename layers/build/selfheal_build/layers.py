"""The three layers: what other people wrote, the shared package, the runbooks."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import bytecode
from .artefact import copy_package, refuse_compiled, settle
from .certificates import keep_amazons_roots
from .docless import leave_out_docs
from .errors import BuildError
from .installer import install_for_lambda
from .operations import called
from .services import keep_services, services_of

# Of a package's metadata a licence asks for its text, and Python for the version; the rest is for installers.
_KEPT_METADATA = ("METADATA", "LICENSE", "LICENCE", "NOTICE", "COPYING")
_UNREAD = ("bin", "boto3/examples", "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.min.*")
MOUNTED_AT = "/opt"


def build_dependencies(root: Path, out: Path) -> None:
    """Third-party packages for Lambda's Python, pure and trimmed, into ``out/python``.

    The result is kept under `.local/cache`, keyed by all that goes into it: another build copies it.

    Raises:
        BuildError: see its subclasses; nothing is written then.
    """
    requirements = root / "layers" / "dependencies" / "requirements.txt"
    services = services_of(root / "layers" / "selfheal" / "selfheal" / "clients.py")
    methods = called(root, services)
    cache = root / ".local" / "cache" / "dependencies"
    kept = cache / _key(requirements, (*services, *sorted(methods)))
    if not kept.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as scratch:
            fresh = Path(scratch) / "layer"
            install_for_lambda(fresh / "python", requirements)
            refuse_compiled(fresh)
            _trim(fresh / "python")
            keep_services(fresh / "python", services, methods)
            keep_amazons_roots(fresh / "python")
            leave_out_docs(fresh / "python")
            bytecode.add_bytecode(fresh, mounted_at=MOUNTED_AT)
            settle(fresh)
            _put(fresh, kept)
    shutil.copytree(kept, out, dirs_exist_ok=True)


def build_selfheal(root: Path, out: Path) -> None:
    """The shared package, into ``out/python/selfheal``.

    Raises:
        BytecodeFailed: Lambda's Python refuses a source.
    """
    package = out / "python" / "selfheal"
    copy_package(root / "layers" / "selfheal" / "selfheal", package)
    refuse_compiled(out)
    bytecode.add_bytecode(out, mounted_at=MOUNTED_AT)
    settle(out)


def build_runbooks(root: Path, out: Path) -> None:
    """The runbooks, checked and compiled to the one file that the functions read: ``out/runbooks/runbooks.json``.

    Raises:
        BuildError: with what the compiler says about the runbooks.
    """
    compiled = out / "runbooks" / "runbooks.json"
    compiled.parent.mkdir(parents=True, exist_ok=True)
    source = root / "layers" / "runbooks"
    run = subprocess.run(
        [sys.executable, "-m", "selfheal_build.runbooks", "compile", "--source", str(source), "--out", str(compiled)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(root / "layers" / name) for name in ("build", "selfheal")),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise BuildError(f"the runbooks do not compile:\n{(run.stdout + run.stderr).strip()}")
    settle(out)


def build_function(source: Path, out: Path) -> None:
    """One function's `app.py` with its bytecode, into ``out``.

    Raises:
        BuildError: the folder holds no app.py, or more than one module.
        BytecodeFailed: Lambda's Python refuses the source.
    """
    modules = sorted(path.name for path in source.glob("*.py") if path.name != "__init__.py")
    if modules != ["app.py"]:
        raise BuildError(f"a function is one file, app.py; here are {', '.join(modules) or 'none'}")
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "app.py", out / "app.py")
    bytecode.add_bytecode(out, mounted_at="/var/task")
    settle(out)


LAYERS = {"dependencies": build_dependencies, "selfheal": build_selfheal, "runbooks": build_runbooks}


def _key(requirements: Path, used: tuple[str, ...]) -> str:
    """What the dependencies layer is made from: the pins, what is used of them, this package and the interpreters."""
    digest = hashlib.sha256()
    for path in [requirements, *sorted(Path(__file__).parent.glob("*.py"))]:
        digest.update(path.read_bytes())
    digest.update(" ".join(used).encode())
    for interpreter in bytecode.interpreters():
        digest.update(bytecode.version_of(interpreter).encode())
    return digest.hexdigest()[:24]


def _trim(packages: Path) -> None:
    for info in packages.glob("*.dist-info"):
        for path in info.iterdir():
            if path.name != "licenses" and not path.name.startswith(_KEPT_METADATA):
                path.unlink()
    for pattern in _UNREAD:
        for path in packages.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (packages / ".lock").unlink(missing_ok=True)


def _put(fresh: Path, kept: Path) -> None:
    try:
        fresh.rename(kept)
    except OSError:
        if not kept.is_dir():  # else another build was first, with the same bytes
            raise
