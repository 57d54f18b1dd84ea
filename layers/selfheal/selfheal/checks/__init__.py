"""Health checks: what a sweep asks of a system. One file per kind of check; `runner` runs them.

This file holds the words only and imports no AWS client, so that the build can validate the `checks:` of a runbook.
"""

from __future__ import annotations

from selfheal.checks.kinds import CHECKS, Check, CheckKind, Field, read_check, read_checks

__all__ = ["CHECKS", "Check", "CheckKind", "Field", "read_check", "read_checks"]
