"""Fitting rows to a terminal: the last cell, which is prose, gives way, so that what people copy stays whole."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence

from ergon_cli.render import is_terminal
from ergon_cli.text import clip, safe

GAP = 2
"""Spaces between two columns."""
LEAST = 12
"""The last column is never narrower."""


def fitted(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """The rows, each last cell cut to what a terminal has left for it; off a terminal nothing is cut."""
    cells = [[safe(cell) for cell in row] for row in rows]
    if not is_terminal(sys.stdout):
        return cells
    last = len(columns) - 1
    taken = sum(max(len(row[index]) for row in [list(columns), *cells]) + GAP for index in range(last))
    room = max(LEAST, shutil.get_terminal_size().columns - taken)
    return [[*row[:last], clip(row[last], room)] for row in cells]
