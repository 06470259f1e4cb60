"""pdb in the frames of a flow that has stopped: one looks at them, and at their variables; nothing runs from there.

pdb sees the user's own frames alone, from the flow function to the line that asks. Commands that would let the code go
on are refused: the flow is taken from memory when the debugger ends.
"""

from __future__ import annotations

import contextlib
import pdb
import signal
import sys
from collections.abc import Generator, Sequence
from types import FrameType, TracebackType
from typing import Any, TextIO

REFUSED = (
    *("step", "s", "next", "n", "return", "r", "until", "unt", "jump", "j", "run", "restart", "debug"),
    *("break", "b", "tbreak", "clear", "cl", "commands", "condition", "ignore", "enable", "disable"),
)
"""Commands of pdb that are about code that goes on."""


class Debugger(pdb.Pdb):
    """pdb over frames that are given."""

    def __init__(self, frames: Sequence[FrameType]) -> None:
        super().__init__(nosigint=True)
        self.prompt = "(ergon) "
        self._frames = [(frame, frame.f_lineno) for frame in frames]
        self.reset()

    def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
        """The stack that pdb shows, and the place in it where it begins."""
        return self._frames, len(self._frames) - 1

    def open(self) -> None:
        """Talk to the user until they have seen enough. Nothing keeps the frames then: they end with the flow."""
        frames = self._frames
        try:
            self.interaction(frames[-1][0], None)
        finally:
            for frame, _ in frames:
                frame.f_globals.pop("__pdb_convenience_variables", None)  # where pdb notes the frame it was in
            frames.clear()

    def do_quit(self, arg: str) -> bool:
        """q(uit) | c(ontinue)
        End the debugger. The flow does not go on."""
        return True

    def do_EOF(self, arg: str) -> bool:  # noqa: N802  the name that pdb looks for
        """EOF
        End the debugger, as quit does."""
        self.message("")
        return True

    do_q = do_exit = do_c = do_cont = do_continue = do_quit

    def refuse(self, arg: str) -> None:
        """Nothing runs from here."""
        self.error("the flow only stands here, and goes no further; q ends, --until stops elsewhere")


for _name in REFUSED:
    setattr(Debugger, f"do_{_name}", Debugger.refuse)


def debug(key: str, frames: Sequence[FrameType], screen: TextIO) -> None:
    """Open a debugger on `screen` where flow code asks for this key. Commands come from stdin."""
    with contextlib.redirect_stdout(screen), _interrupts():
        if not frames:
            screen.write(f"no code of yours is under way where the flow asks for {key}\n")
            return
        sys.stdout.write(f"the flow asks for {key} here; look around, q ends\n")
        Debugger(frames).open()


@contextlib.contextmanager
def _interrupts() -> Generator[None]:
    """Ctrl-C is for the debugger's prompt, and does not end the command."""
    before: Any = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
