"""`ergon inspect`: one flow from top to bottom: why it is not over, what helps, its arguments, then the view asked for.

The views are in `ergon_cli/screens`, by name. With `--json` it is the flow's JSON, whatever the view.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.ids import resolve
from ergon_cli.options import State, shared
from ergon_cli.render import say, say_json
from ergon_cli.screens import VIEWS, ViewName, head
from ergon_cli.screens.look import look_at, show
from ergon_cli.stores import existing_store
from ergon_runtime import Store
from ergon_runtime.view import FlowView, view_flow

app = typer.Typer()
IdsArgument = Annotated[list[str], typer.Argument(metavar="ID...", help="Flow ids, or unique parts of them.")]
ViewOption = Annotated[ViewName, typer.Option("--view", help="What to show of it.")]
FullOption = Annotated[bool, typer.Option("--full", help="Fold no rows and cut no values.")]
FailedOption = Annotated[bool, typer.Option("--failed", help="Only steps that failed or are open.")]


@app.command("inspect", epilog="Example: ergon inspect A-17")
@shared
async def inspect(
    state: State,
    ids: IdsArgument,
    view: ViewOption = ViewName.TIMELINE,
    full: FullOption = False,
    failed: FailedOption = False,
) -> ExitCode:
    """Show a flow: why it is not over, its steps, its end. Nothing of the user's is imported."""
    worst = ExitCode.OK
    async with existing_store(state.load(), read_only=True) as store:
        for place, part in enumerate(ids):
            try:
                flow, now = await _flow(store, part)
            except CommandError as error:
                show_error(error, as_json=state.json)
                worst = max(worst, error.code)
                continue
            if state.json:
                say_json(flow.to_json())
                continue
            if place:
                say("")
            look = look_at(sys.stdout, now=now, full=full, failed=failed)
            show(head.draw(flow, look), look)
            show([("",)], look)
            show(await VIEWS[view](store, flow, look), look)
            show(head.traceback(flow), look)
    return worst


async def _flow(store: Store, part: str) -> tuple[FlowView, int]:
    row = await resolve(store, part)
    now = await store.now()
    return await view_flow(store, row, now=now, workers=await store.workers()), now
