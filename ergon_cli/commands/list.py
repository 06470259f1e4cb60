"""`ergon list`: flows, newest first, each with the reason why it is not over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ergon_cli.options import State, shared
from ergon_cli.render import note, say_json, show_table
from ergon_cli.stores import NoStore, existing_store
from ergon_cli.text import age
from ergon_cli.why import error_line, why_line
from ergon_runtime import Status
from ergon_runtime.view import FlowView, find_flows, view_flow, view_row

app = typer.Typer()
COLUMNS = ("ID", "FLOW", "STATUS", "AGE", "WHY")


@app.command("list", epilog="\b\nExamples:\n  ergon list --status blocked\n  ergon list --flow OrderFlow -n 20")
@shared
async def list_flows(
    state: State,
    status: Annotated[list[Status] | None, typer.Option("--status", help="Only these; repeat it.")] = None,
    flow: Annotated[list[str] | None, typer.Option("--flow", metavar="TYPE", help="Only these; repeat it.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="At most so many.")] = 100,
) -> None:
    """Show flows, newest first, and why each is not over."""
    try:
        await _list(state, status or (), flow or (), limit)
    except NoStore as none:
        note(f"no flows: {none.message}")


async def _list(state: State, statuses: Sequence[Status], types: Sequence[str], limit: int) -> None:
    async with existing_store(state.load(), read_only=True, keyless=True) as store:
        rows = await find_flows(store, statuses=statuses, types=types, limit=limit + 1)
        now, workers = await store.now(), await store.workers()
        if state.json:
            for row in rows[:limit]:
                say_json((await view_flow(store, row, now=now, workers=workers)).to_json())
        else:
            views = [await view_row(store, row, now=now, workers=workers) for row in rows[:limit]]
            show_table(COLUMNS, [_cells(view, now) for view in views])
        if len(rows) > limit:
            note(f"only the newest {limit} are shown; for more: -n {10 * limit}")
        elif not rows:
            note("no flows" if not (statuses or types) else "no such flows")


def _cells(view: FlowView, now: int) -> tuple[str, ...]:
    why = why_line(view.why, now) if view.why else ""
    if view.error is not None:
        why = error_line(view.error)
    return view.id, view.flow, view.status.value, age(view.created_at, now), why
