"""`python -m selfheal_build …`: what the Makefiles call."""

import argparse
import sys
from pathlib import Path

from . import bytecode, layers, sam
from .errors import BuildError

ROOT = Path(__file__).resolve().parents[3]


def main() -> int:
    parser = argparse.ArgumentParser(prog="selfheal_build", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    layer = commands.add_parser("layer", help="build one layer")
    layer.add_argument("name", choices=sorted(layers.LAYERS))
    layer.add_argument("--out", type=Path, required=True)
    function = commands.add_parser("function", help="build one function")
    function.add_argument("name", help="its logical id, for messages")
    function.add_argument("--source", type=Path, required=True)
    function.add_argument("--out", type=Path, required=True)
    commands.add_parser("build", help="run sam build, quietly; further arguments are passed on")
    commands.add_parser("lint", help="check the template")
    chosen, further = parser.parse_known_args()
    if further and chosen.command != "build":
        parser.error(f"unknown arguments: {' '.join(further)}")
    try:
        if chosen.command == "layer":
            layers.LAYERS[chosen.name](ROOT, chosen.out)
            if chosen.name == "dependencies" and bytecode.target_interpreter() is None:
                print(f"note: {bytecode.NO_INTERPRETER}")  # SAM shows only what make says on stdout
        elif chosen.command == "function":
            layers.build_function(chosen.source, chosen.out)
        elif chosen.command == "lint":
            sam.lint(ROOT)
        else:
            sam.build(ROOT, further)
    except BuildError as error:
        where = f"{chosen.name}: " if "name" in chosen else ""
        print(f"error: {where}{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
