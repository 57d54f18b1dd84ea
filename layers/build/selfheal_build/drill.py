"""Says whether a drill passed: `sam remote invoke Drill … | python -m selfheal_build.drill`.

Exit status 0 only if it was carried out and every check held.
"""

import json
import sys
from typing import Any


def told(answer: str) -> tuple[bool, list[str]]:
    """Whether it passed, and a line for each check. An answer that is none did not pass."""
    try:
        report: Any = json.loads(answer)
        checks = report["checks"]
        passed = report["passed"] is True and bool(checks)
        lines = [f"{'✓' if check['held'] else '✗'} {check['name']}: {check['seen']}" for check in checks]
    except (ValueError, TypeError, KeyError):
        return False, [f"this is no report of a drill: {answer.strip()[:500] or 'nothing'}"]
    return passed, lines


def main() -> int:
    passed, lines = told(sys.stdin.read())
    print("\n".join([*lines, "the drill passed" if passed else "error: the drill did not pass"]))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
