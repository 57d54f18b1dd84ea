"""A picture of a terminal, of what the demo really prints: an SVG that fetches nothing."""

from __future__ import annotations

import io
import re

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from local.timeline import Screen

COLUMNS = 118
LAST = "End state"
"""The heading before which the picture ends: what follows is a list of checks."""
_FORMAT = re.sub(r"<!--.*?-->\s*|@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code", "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono'"
)
"""Rich's own, without the fonts that it would fetch."""


class Recorded(Screen):
    """A screen that nobody sees."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.console = Console(
            file=io.StringIO(), record=True, width=COLUMNS, highlight=False, soft_wrap=True, color_system="truecolor"
        )
        self.wraps = True

    def heading(self, text: str) -> None:
        """A new part; the last ones are not in the picture."""
        if text.startswith(LAST):
            self.console.record = False
        super().heading(text)

    def svg(self, title: str) -> str:
        """What was shown, in the window of a terminal."""
        drawn = self.console.export_svg(title=title, code_format=_FORMAT, unique_id="terminal", clear=False)
        return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"
