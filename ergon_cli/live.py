"""`ergon inspect --watch` on a terminal: the screen of a flow, drawn anew at each look and when the size changes.

It is drawn on the terminal's other screen. However the watch ends, the terminal is as it was, with the last screen,
whole, below the command.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ergon_cli.exits import ExitCode
from ergon_cli.render import make_console
from ergon_cli.screens.look import Line, Look, Part, rendered, show
from ergon_cli.watching import Seen
from ergon_runtime import StoreUnavailable

if TYPE_CHECKING:
    from rich.live import Live

Draw = Callable[[Seen, Look], Awaitable[Sequence[Line]]]
"""The screen for what was seen. Raises StoreError."""


class Screen:
    """A watcher that draws. `look` says how, for a time and the terminal's present size."""

    def __init__(self, live: Live, draw: Draw, look: Callable[[int], Look]) -> None:
        self._live, self._draw, self._look = live, draw, look
        self._lines: Sequence[Line] = ()
        self._seen: Seen | None = None
        self._said = ""
        self._redrawing: asyncio.Task[None] | None = None

    async def see(self, seen: Seen) -> None:
        self._seen, self._said = seen, ""
        await self.redraw()

    def trouble(self, said: str) -> None:
        self._said = said
        self.resized()

    def resized(self) -> None:
        """Draw what was seen last once more."""
        self._redrawing = asyncio.get_running_loop().create_task(self._redraw_if_possible())

    async def _redraw_if_possible(self) -> None:
        with contextlib.suppress(StoreUnavailable):  # then the next look draws
            await self.redraw()

    async def redraw(self) -> None:
        """Draw what was seen last, for the present size. Raises StoreError."""
        if self._seen is None:
            return
        from rich.text import Text

        look = self._look(self._seen.now)
        self._lines = await self._draw(self._seen, look)
        height = shutil.get_terminal_size().lines
        shown = (*in_height(self._lines, height - 1, look), self._foot())
        text = Text("\n").join(Text.from_ansi(rendered(line, look)) for line in shown)
        text.no_wrap, text.overflow = True, "crop"
        self._live.update(text, refresh=True)

    def suspended(self) -> None:
        """Ctrl-Z: give the terminal back to the shell, stop, and take it again when the shell lets us go on."""
        loop, console = asyncio.get_running_loop(), self._live.console
        console.set_alt_screen(False)
        console.show_cursor(True)
        loop.remove_signal_handler(signal.SIGTSTP)
        signal.raise_signal(signal.SIGTSTP)  # here we stand still
        loop.add_signal_handler(signal.SIGTSTP, self.suspended)
        console.set_alt_screen(True)
        console.show_cursor(False)
        self.resized()

    def leave(self) -> None:
        """Print the last screen where it stays."""
        if self._seen is not None:
            show(self._lines, self._look(self._seen.now))

    def _foot(self) -> Line:
        return (Part(self._said, "red") if self._said else Part("watching; Ctrl-C ends it", "dim"),)


def in_height(lines: Sequence[Line], height: int, look: Look) -> Iterator[Line]:
    """So many lines: where there are more, those at the top up to the titles of the rows, and the last ones."""
    if len(lines) <= height:
        yield from lines
        return
    blank = next((place for place, line in enumerate(lines) if line == ("",)), 0)
    top = min(blank + 2, height // 2)
    last = max(0, height - top - 1)
    yield from lines[:top]
    yield (Part(f"{look.glyph('…', '...')} {len(lines) - top - last} lines more", "dim"),)
    yield from lines[len(lines) - last :]


@contextlib.contextmanager
def screen(draw: Draw, look: Callable[[int], Look]) -> Generator[Screen]:
    """A terminal to watch on, as long as the block runs."""
    from rich.live import Live

    console = make_console(sys.stdout)
    live = Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    made = Screen(live, draw, look)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, made.resized)
    suspends = signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL  # a shell without jobs has it ignored
    if suspends:
        loop.add_signal_handler(signal.SIGTSTP, made.suspended)
    try:
        with live:
            yield made
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        if suspends:
            loop.remove_signal_handler(signal.SIGTSTP)
        made.leave()


async def until_terminated(work: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    """Do something that SIGTERM and SIGHUP end early, but in good order: TERMINATED."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    doing = loop.create_task(work)

    def stop() -> None:
        stopped.set()
        doing.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    try:
        return await doing
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
        return ExitCode.TERMINATED
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
