"""Labelled blocks: a label, then text or a JSON value over as many lines as it needs; long lists, cut in the middle.

On a terminal what follows the first line stands below it; anywhere else a block is one row of label and text. Values
are clipped to LINES lines on a terminal, unless they are to be shown in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar, cast

from ergon_cli.screens.look import Line, Look, Part
from ergon_cli.screens.steps import one_line
from ergon_cli.text import duration
from ergon_runtime.view import ErrorInfo

T = TypeVar("T")
Json: TypeAlias = Any
Container: TypeAlias = dict[str, Json] | list[Json]
LABEL = 6
"""Columns of a label."""
LINES = 16
"""Lines of one value."""
SHOWN = 300
"""Of longer lists only the first and the last are shown on a terminal."""
FIRST = 20
"""How many of those are the first."""
LONGEST = 20_000
"""Characters of a line that are folded; a longer one is left to the terminal."""
DEEPEST = 40
"""Levels of a value that get lines of their own."""


def block(label: str, text: str, look: Look, *, style: str = "", indent: int = 0) -> Iterator[Line]:
    """A label and a text, all of it; on a terminal each line of it on lines of its own."""
    if not look.terminal:
        yield label, text
        return
    room = (look.width or 0) - LABEL - indent
    lines = [piece for line in text.splitlines() or [""] for piece in look.fold(line, room)]
    yield from _labelled(label, lines, style, indent)


def value_block(label: str, value: Json, look: Look, *, indent: int = 0) -> Iterator[Line]:
    """A label and a value, pretty-printed."""
    if not look.terminal:
        yield label, one_line(value)
        return
    room = (look.width or 0) - LABEL - indent
    yield from _labelled(label, clipped(pretty(value, room), look, room), "", indent)


def _labelled(label: str, lines: Iterable[str], style: str, indent: int) -> Iterator[Line]:
    for place, line in enumerate(lines):
        yield Part(" " * indent + f"{'' if place else label:<{LABEL}}", "bold"), Part(line, style)


def clipped(lines: Sequence[str], look: Look, room: int) -> list[str]:
    """The lines of a value, so many of them as a screen shows; whole where it is to be shown in full."""
    if look.full:
        return [piece for line in lines for piece in (look.fold(line, room) if len(line) <= LONGEST else (line,))]
    # Only what can be shown is folded: a value may have millions of characters.
    pieces = [piece for line in lines[: LINES + 1] for piece in look.fold(line[: room * (LINES + 1)], room)]
    cut_off = len(lines) > LINES or len(pieces) > LINES or any(len(line) > room * (LINES + 1) for line in lines)
    if not cut_off:
        return pieces
    return [*pieces[: LINES - 1], f"{look.glyph('…', '...')} (--full shows all {len(lines):,} lines)"]


def pretty(value: Json, room: int, depth: int = 0, taken: int = 0) -> list[str]:
    """A JSON value in lines: in one where it fits into `room` columns, of which the first line has `taken` fewer; else
    its parts below each other."""
    flat = one_line(value)
    if len(flat) <= room - taken or depth == DEEPEST or not isinstance(value, dict | list) or not value:
        return [flat]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    parts: list[list[str]] = []
    for name, part in _parts(cast("Container", value)):
        first, *rest = pretty(part, room - 2, depth + 1, len(name) + 1)
        parts.append([f"{name}{first}", *rest])
    inner = [f"  {line}" for part in parts[:-1] for line in (*part[:-1], f"{part[-1]},")]
    return [opening, *inner, *(f"  {line}" for line in parts[-1]), closing]


def _parts(value: Container) -> Iterator[tuple[str, Json]]:
    """What a value consists of, each with what stands before it."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield f"{one_line(name)}: ", part
    else:
        for part in value:
            yield "", part


def said(error: ErrorInfo) -> str:
    """An error with its whole message."""
    return f"{error.type}: {error.message}" if error.message else error.type


def traceback_lines(error: ErrorInfo | None, title: str = "") -> Iterator[Line]:
    """The user's frames of an error and of what led to it, after an empty line and a title."""
    if error is not None and error.traceback:
        yield ("",)
        if title:
            yield (f"{title}:",)
        for line in error.traceback.splitlines():
            yield (f"  {line}",)


def after(time: int | None, since: int) -> str:
    """A moment as people read it: how long after the flow's time began."""
    return "" if time is None else f"+{duration(time - since)}"


def middle_cut(items: Sequence[T], look: Look) -> tuple[Sequence[T], int, Sequence[T]]:
    """The first items, how many are left out, and the last; none is left out where there is room for all."""
    if not look.terminal or look.full or len(items) <= SHOWN:
        return items, 0, ()
    last = SHOWN - FIRST
    return items[:FIRST], len(items) - SHOWN, items[-last:]


def left_out(count: int, what: str, look: Look) -> Line:
    """Says that some of a list are not shown."""
    return (Part(f"{look.glyph('…', '...')} {count:,} {what} (--full shows them)", "dim"),)
