"""`--view events`: the raw journal, one line for each entry, the most recent last.

With `--failed` only failures and what cannot be read. A pipe gets seq, time, commit, kind, key and words, all rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from ergon_cli.screens import blocks
from ergon_cli.screens.grid import Column, Row, below, cells, fit, heading
from ergon_cli.screens.look import Line, Look
from ergon_cli.screens.steps import began
from ergon_runtime import Store
from ergon_runtime.view import UNREADABLE, EventReader, EventView, FlowView, iso

COLUMNS = (
    Column("SEQ", right=True),
    Column("AT", 1, right=True),
    Column("COMMIT", 3, right=True),
    Column("KIND", 2),
    Column("KEY", gives=True),
    Column("WHAT", gives=True),
)
LIVES = ("retried", "continued", "adopted", "forked")
LONG = 40
"""Characters of words that stay in their row when all is to be shown; longer ones stand below it."""


async def read(store: Store, view: FlowView) -> list[EventView]:
    """All events of a flow. Raises StoreError."""
    row = await store.get(view.id)
    return [] if row is None else [event async for event in EventReader().read(store, row)]


async def screen(store: Store, view: FlowView, look: Look) -> Iterator[Line]:
    """The journal of a flow. Raises StoreError."""
    return draw(await read(store, view), view, look)


def draw(events: list[EventView], view: FlowView, look: Look) -> Iterator[Line]:
    """The events in rows."""
    shown = [event for event in events if not look.failed or went_wrong(event)]
    if not look.terminal:
        yield from map(row_of, shown)
        return
    since = began(view)
    first, hidden, last = blocks.middle_cut(shown, look)
    rows = [_row(event, since, look) for event in (*first, *last)]
    fitted = fit(COLUMNS, rows, look, look.width or 0)
    yield heading(COLUMNS, fitted)
    for place, row in enumerate(rows):
        if hidden and place == len(first):
            yield blocks.left_out(hidden, "entries", look)
        yield cells(COLUMNS, row, fitted, look)
        yield from below(row, look)


def row_of(event: EventView) -> tuple[str, ...]:
    """An event as programs get it: seq, time, commit, kind, the key of its step, words."""
    at = "" if event.at is None else iso(event.at)
    return str(event.seq), at, _commit(event), event.kind, event.step or "", event.text


def went_wrong(event: EventView) -> bool:
    """Whether an event tells of a failure."""
    return event.kind in (UNREADABLE, "stopped") or event.data.get("error") is not None


def _row(event: EventView, since: int, look: Look) -> Row:
    apart = look.full and len(event.text) > LONG
    cells_ = (
        str(event.seq),
        blocks.after(event.at, since),
        _commit(event),
        event.kind,
        event.step or "",
        "" if apart else event.text,
    )
    style = "red" if went_wrong(event) else "bold" if event.kind in LIVES else ""
    return Row(cells_, {"WHAT": style, "KIND": style}, (event.text,) if apart else ())


def _commit(event: EventView) -> str:
    return "" if event.commit is None else str(event.commit)
