"""`make scorecard`: what each response would have done, and whether it was needed, on the local stack."""

from __future__ import annotations

import json
import sys

from local import invoke
from local.emulator.environments import REPOSITORY


def main() -> int:
    code, answered = invoke.answer_of("Scorecard", REPOSITORY / "events" / "scorecard.json", quiet=True)
    if code:
        return code
    answer = json.loads(answered)
    print(f"{answer.get('table') or json.dumps(answer, indent=2)}")
    return 0 if "table" in answer else 1


if __name__ == "__main__":
    sys.exit(main())
