"""Runbooks as code, the part that is never deployed: YAML is read, checked and compiled to one JSON file.

`document` (YAML with lines and columns) → `models` (shape) → `rules` (what only a whole runbook can tell)
→ `compiler` (all runbooks together). Every problem of every file is found in one run.
"""

from .compiler import compile_folder, write
from .problems import Problem, RunbooksInvalid

__all__ = ["Problem", "RunbooksInvalid", "compile_folder", "write"]
