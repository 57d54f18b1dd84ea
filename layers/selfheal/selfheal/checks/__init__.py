"""Health checks: what a sweep asks of a system. One module per kind of check; `runner` runs them.

A new kind is a module with what `kind` tells, and its name in `kinds`.
"""

from __future__ import annotations

from selfheal.checks.kind import Check, CheckKind, Field
from selfheal.checks.kinds import CHECKS, read_check, read_checks

__all__ = ["CHECKS", "Check", "CheckKind", "Field", "read_check", "read_checks"]
