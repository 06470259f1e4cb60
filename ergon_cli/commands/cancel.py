"""`ergon cancel`: ask flows to end. Their cleanup code may still run steps."""

from __future__ import annotations

from typing import Annotated

import typer

from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.ids import resolve
from ergon_cli.options import State, shared
from ergon_cli.render import note, say_json
from ergon_cli.stores import existing_store
from ergon_runtime.mail import cancel_flow

app = typer.Typer()


@app.command("cancel", epilog="\b\nExample:\n  ergon cancel A-17")
@shared
async def cancel(
    state: State, ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Flow ids, or unique parts of them.")]
) -> ExitCode:
    """Cancel flows and their children. A waiting flow wakes to clean up; one that never started just ends."""
    worst = ExitCode.OK
    async with existing_store(state.load()) as store:
        for part in ids:
            try:
                row = await resolve(store, part)
            except CommandError as error:
                show_error(error, as_json=state.json)
                worst = max(worst, error.code)
                continue
            asked = await cancel_flow(store, row.id)
            if state.json:
                say_json({"id": row.id, "asked": asked})
            else:
                note(f"{row.id}: cancel asked for" if asked else f"{row.id}: has ended already, nothing to cancel")
    return worst
