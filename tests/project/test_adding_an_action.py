"""docs/adding-an-action.md is followed: its blocks, in a copy of the repository, with the checks that guard actions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.project.conftest import ROOT

PAGE = ROOT / "docs" / "adding-an-action.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+?) \| `(tests/.+?)` \| `(.+?)` \|$", TEXT, re.MULTILINE)
"""What is left out, the test that fails, what it says."""
NOT_COPIED = ("docs/pictures/", "docs/benchmarks/", "tests/bench/", "requirements/")
CHECKS = (
    "tests/unit/test_close_bucket.py",
    "tests/unit/test_fault_matrix.py",
    "tests/unit/test_directions.py",
    "tests/unit/test_recorded_permissions.py",
    "tests/unit/test_hostile_input.py",
    "tests/project/test_template_and_code.py",
    "tests/project/test_permissions.py",
    "tests/project/test_coverage.py",
    "tests/project/test_docs.py",
)
OF_THESE = (
    "close_bucket or block_public_access or bucket or is_in_the_matrix or test_template_and_code or test_permissions"
    " or left_out or drawing or names_every or every_parameter or every_action"
)


@dataclass(frozen=True)
class Edit:
    """One whole file (`before` is None), or one place in a file."""

    path: str
    before: tuple[str, ...] | None
    after: tuple[str, ...]

    def apply(self, root: Path) -> None:
        file, after = root / self.path, "\n".join(self.after) + "\n"
        if self.before is None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(after, encoding="utf-8")
            return
        text, before = "\n" + file.read_text(encoding="utf-8"), "\n" + "\n".join(self.before) + "\n"
        found = text.count(before)
        assert found == 1, f"{PAGE.name}: these lines are {found} times in {self.path}, mend the page:{before}"
        file.write_text(text.replace(before, "\n" + after)[1:], encoding="utf-8")


def edits() -> Iterator[Edit]:
    for language, path, body in re.findall(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL):
        if path:
            yield Edit(path, None, tuple(body.splitlines()))
        elif language == "diff":
            for part in re.split(r"^--- ", body, flags=re.MULTILINE)[1:]:
                name, _, hunks = part.partition("\n")
                for hunk in re.split(r"^@@\n", hunks, flags=re.MULTILINE):
                    yield Edit(name, *(_side(hunk, other) for other in "+-"))


def _side(hunk: str, other: str) -> tuple[str, ...]:
    return tuple(line[1:] for line in hunk.splitlines() if not line.startswith(other))


def without(left_out: Iterable[str]) -> list[Edit]:
    """The page's edits but for what the first cells of some rows say."""
    found = list(edits())
    for cell in left_out:
        (code, *instead), kept, done = re.findall(r"`([^`]+)`", cell), [], 0
        for edit in found:
            lines = list(edit.after)
            marked = [at for at, line in enumerate(lines) if line.strip() == code]
            if marked and instead:
                lines[marked[0]] = lines[marked[0]].replace(code, instead[0])
            elif marked and "the line after " in cell:
                del lines[marked[0] + 1]
            elif edit.path != code:
                kept.append(edit)
                continue
            done += 1
            kept += [Edit(edit.path, edit.before, tuple(lines))] if marked else []
        assert done == 1 or code == "make docs", f"{PAGE.name}: {done} places for {cell!r}"
        found = kept
    return found


def copied(to: Path) -> Path:
    """What git knows of the working copy."""
    listed = subprocess.run(("git", "ls-files", "-z"), cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in listed.split("\0"):
        if name and not name.startswith(NOT_COPIED) and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, to / name)
    return to


def followed(root: Path, steps: Iterable[Edit]) -> None:
    """The copy with these steps, whatever was done to it before. One copy keeps its bytecode for the next run."""
    for edit in edits():
        if edit.before is None:
            (root / edit.path).unlink(missing_ok=True)
        else:
            shutil.copyfile(ROOT / edit.path, root / edit.path)
    for edit in steps:
        edit.apply(root)


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    environment = {**inherited, "PYTHONPATH": "layers/build:layers/selfheal", "NO_COLOR": "1"}
    return subprocess.run(  # not checked: what fails is looked at
        (sys.executable, "-m", *command), cwd=root, env=environment, capture_output=True, check=False, text=True
    )


def pytest_in(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(root, "pytest", "-q", "-p", "no:cacheprovider", *arguments)


def make_docs(root: Path) -> None:
    """As the Makefile has it."""
    for command in (("selfheal_build.pages", "write"), ("selfheal_build.runbooks", "schema")):
        done = run(root, *command)
        assert done.returncode == 0, done.stderr


def test_whoever_follows_the_page_has_an_action_that_passes_the_checks(tmp_path: Path) -> None:
    root = copied(tmp_path)
    followed(root, edits())
    make_docs(root)

    files = [edit.path for edit in edits() if edit.before is None and edit.path.endswith(".py")]
    assert len(files) == 3
    for command in (("check",), ("format", "--check")):
        linted = run(root, "ruff", *command, "--no-cache", *files)
        assert linted.returncode == 0, linted.stdout
    checked = pytest_in(root, *CHECKS, "-k", OF_THESE)
    assert checked.returncode == 0, checked.stdout
    assert re.search(r"fault matrix: [4-9]\d cases", checked.stdout), checked.stdout


def test_whoever_leaves_a_step_out_is_told_which(tmp_path: Path) -> None:
    """A file that is left out is left out alone; lines have tests of their own, and go together."""
    assert len(ROWS) == len(re.findall(r"^\| .*`tests/", TEXT, re.MULTILINE)) >= 8
    files = {edit.path for edit in edits()}
    alone = [row for row in ROWS if set(re.findall(r"`([^`]+)`", row[0])) <= files]
    assert len(alone) == 3
    root = copied(tmp_path)
    for rows in (*([row] for row in alone), [row for row in ROWS if row not in alone]):
        followed(root, without(left_out for left_out, _, _ in rows))

        told = pytest_in(root, *(test for _, test, _ in rows))

        for left_out, test, message in rows:
            assert f"FAILED {test}" in told.stdout, f"without {left_out}:\n{told.stdout}{told.stderr}"
            assert message in told.stdout, f"without {left_out}:\n{told.stdout}"
