"""Runbooks as code: the shared package of every selfheal function.

The way of an alarm, file by file: `alarm` (read) → `runbook` (match) → `respond` (open, ladder, close)
→ `engine` (guards, before-image, apply, verify, record) → `outcome` (event on the bus) → `respond` again.
"""
