"""`sam` without its chatter: one line when it goes well, everything it said when it does not."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .artefact import measure
from .bytecode import target_interpreter
from .errors import BuildError, OverBudget

BUDGETS_KB = {"DependenciesLayer": 8_000, "SelfhealLayer": 3_000, "RunbooksLayer": 500}
"""What a layer may weigh, zipped, with bytecode for two Pythons: half as much again as it does. All of it is fetched
and unpacked before a function's first start, and what grows here unseen is read at every one."""


def build(root: Path, arguments: Sequence[str]) -> None:
    """Run `sam build` in ``root`` and print what came of it.

    Raises:
        BuildError: with what SAM said.
    """
    started = time.monotonic()
    # Looked for once, not once per function: asking a version manager's shim takes a third of a second.
    said = _run(root, "sam", "build", *arguments, SELFHEAL_PYTHON313=target_interpreter() or "")
    for note in sorted({line for line in said.splitlines() if line.startswith("note: ")}):
        print(note)
    report(root / ".aws-sam" / "build", time.monotonic() - started)


def lint(root: Path) -> None:
    """Check the templates with SAM and, for the rules that SAM leaves out, with cfn-lint itself. Offline.

    Raises:
        BuildError: with the findings.
    """
    started = time.monotonic()
    _run(root, "sam", "validate", "--lint")
    _run(root, "cfn-lint", "template.yaml", "alarms.yaml", ".github/aws-role.yaml")
    print(f"templates: valid ({time.monotonic() - started:.1f} s)")


def _run(root: Path, tool: str, *arguments: str, **environment: str) -> str:
    scratch = root / ".local" / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    run = subprocess.run(
        [str(Path(sys.executable).with_name(tool)), *arguments],
        cwd=root,
        env={
            "AWS_DEFAULT_REGION": "us-east-1",
            **os.environ,
            "TMPDIR": str(scratch),
            "SAM_CLI_TELEMETRY": "0",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise BuildError(f"{' '.join([tool, *arguments])} failed\n{run.stdout.strip()}")
    return run.stdout


def report(built: Path, took: float) -> None:
    """Print what was built below ``built``: the number of functions, and each layer's size against its budget.

    Raises:
        OverBudget: names the layers that are larger.
    """
    folders = sorted(path for path in built.iterdir() if path.is_dir())
    functions = [folder for folder in folders if (folder / "app.py").is_file()]
    print(f"built {len(functions)} functions and {len(folders) - len(functions)} layers in {took:.1f} s")
    over = []
    for folder in folders:
        if folder in functions:
            continue
        size, budget = measure(folder), BUDGETS_KB.get(folder.name)
        of = "" if budget is None else f" of {budget:,} kB"
        print(
            f"  {folder.name}: {size.zipped / 1000:,.0f}{of or ' kB'} zipped, {size.unpacked / 1000:,.0f} kB unpacked, "
            f"{size.files} files, sha256 {size.digest[:12]}"
        )
        if budget is not None and size.zipped > budget * 1000:
            over.append(f"{folder.name} ({size.zipped / 1000:,.0f}{of})")
    if over:
        raise OverBudget(
            f"too large: {', '.join(over)}. See what came in (a package, a service, operations); if it is needed, "
            "raise BUDGETS_KB in selfheal_build/sam.py"
        )
