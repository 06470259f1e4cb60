"""How far a long command has come: one line on stderr that is written over, for a person who waits; else nothing."""

from __future__ import annotations

import sys

from ergon_cli.render import is_terminal

CLEAR = "\x1b[K"
WIDTH = 30
"""Of the bar."""


class Progress:
    """Says how many of something are done. Clear it before anybody else may write to the terminal."""

    def __init__(self, what: str) -> None:
        self._what, self._shown, self._there = what, is_terminal(sys.stderr), False

    def tell(self, done: int, total: int | None = None) -> None:
        """So many are done; with a bar, if it is known of how many."""
        if total:
            full = WIDTH * min(done, total) // total
            self._write(f"{self._what}: [{'#' * full}{'.' * (WIDTH - full)}] {done} of {total}{CLEAR}\r")
        else:
            self._write(f"{self._what}: {done}{CLEAR}\r")

    def clear(self) -> None:
        """Take the line away, if it is there."""
        if self._there:
            self._write(CLEAR)
            self._there = False

    def _write(self, text: str) -> None:
        if self._shown:
            sys.stderr.write(text)
            sys.stderr.flush()
            self._there = True
