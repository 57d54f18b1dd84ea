"""`python -m selfheal_build.runbooks {compile,validate,schema,procedure,explain}`: exit 1 when a runbook is wrong."""

import argparse
import os
import sys
from pathlib import Path

from selfheal import procedures
from selfheal.errors import Refused
from selfheal.runbook import read_runbooks
from selfheal.words import ResponseMode

from . import compiler, explain, schema
from .problems import RunbooksInvalid

FOLDER = Path(__file__).resolve().parents[3] / "runbooks"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="selfheal_build.runbooks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    to_json = commands.add_parser("compile", help="check every runbook and write the JSON that the functions read")
    to_json.add_argument("--source", type=Path, default=FOLDER, help="folder of the runbooks")
    to_json.add_argument("--out", type=Path, required=True)
    validate = commands.add_parser("validate", help="check runbooks: a folder, or single files")
    validate.add_argument("paths", type=Path, nargs="*", default=[FOLDER])
    publish = commands.add_parser("schema", help="write the JSON schema")
    publish.add_argument("--out", type=Path, default=FOLDER / "schema.json")
    publish.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is not current")
    prepared = commands.add_parser("procedure", help="print what stays with a person; needs no stack")
    prepared.add_argument("procedure", help="system/name")
    prepared.add_argument("--source", type=Path, default=FOLDER, help="folder of the runbooks")
    prepared.add_argument("--stack-name", default="selfheal", help="the stack that the commands name")
    explained = commands.add_parser("explain", help="what would happen if this alarm went red, and which lines say so")
    explained.add_argument("alarm", help="its name")
    explained.add_argument("--source", type=Path, default=FOLDER, help="folder of the runbooks")
    explained.add_argument("--max-mode", type=ResponseMode, choices=list(ResponseMode), default=ResponseMode.SUGGEST)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "compile":
            compiler.write(compiler.compile_folder(chosen.source, _shown(chosen.source)), chosen.out)
        elif chosen.command == "validate":
            _validate(chosen.paths)
        elif chosen.command == "procedure":
            print(_procedure(chosen.source, chosen.procedure, chosen.stack_name), end="")
        elif chosen.command == "explain":
            print(explain.explain(chosen.source, _shown(chosen.source), chosen.alarm, chosen.max_mode), end="")
        else:
            return _publish(chosen.out, chosen.check)
    except RunbooksInvalid as invalid:
        print(invalid, file=sys.stderr)
        print(f"{len(invalid.problems)} problem(s)", file=sys.stderr)
        return 1
    except (OSError, Refused) as error:
        print(f"error: {getattr(error, 'detail', '') or error}", file=sys.stderr)
        return 1
    return 0


def _procedure(folder: Path, asked: str, stack: str) -> str:
    """Raises Refused with the procedures that there are."""
    runbooks = read_runbooks(compiler.compile_folder(folder, _shown(folder)))
    return procedures.markdown(*procedures.find(asked, runbooks), stack)


def _validate(paths: list[Path]) -> None:
    files = []
    for path in paths:
        if path.is_dir():
            compiler.compile_folder(path, _shown(path))
        else:
            files.append((path, _shown(path)))
    if files:
        compiler.compile_files(files)


def _publish(out: Path, check: bool) -> int:
    text = schema.published()
    if not check:
        out.write_text(text, encoding="utf-8")
    elif not out.is_file() or out.read_text(encoding="utf-8") != text:
        print(f"{_shown(out)} is not current; run make docs", file=sys.stderr)
        return 1
    return 0


def _shown(path: Path) -> str:
    """The path as seen from here, so that a terminal can open it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


if __name__ == "__main__":
    sys.exit(main())
