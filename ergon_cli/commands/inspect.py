"""`ergon inspect`: one flow from top to bottom: why it is not over, what helps, its arguments, then the view asked for;
or one step of it.

The views are in `ergon_cli/screens`, by name. With `--json` it is the flow's JSON, whatever the view, but for events:
those are a line each. Watching is in `ergon_cli/watching.py` and `ergon_cli/live.py`.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import typer

from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.ids import resolve
from ergon_cli.keys import find_step, means_step, nearest
from ergon_cli.live import screen, until_terminated
from ergon_cli.options import State, shared
from ergon_cli.render import say, say_json
from ergon_cli.screens import ViewName, events, page
from ergon_cli.screens.look import Line, Look, look_at, show
from ergon_cli.screens.step import detail_of
from ergon_cli.screens.step import draw as draw_step
from ergon_cli.stores import existing_store
from ergon_cli.watching import JsonLines, Lines, Seen, watch
from ergon_runtime import Store
from ergon_runtime.config import parse_duration
from ergon_runtime.view import FlowView, view_flow, view_row

app = typer.Typer()
IdsArgument = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Flow ids, or unique parts of them; or a flow and a step of it.")
]
ViewOption = Annotated[ViewName, typer.Option("--view", help="What to show of it.")]
StepOption = Annotated[str | None, typer.Option("--step", metavar="KEY", help="Show this step of the flow alone.")]
FullOption = Annotated[bool, typer.Option("--full", help="Fold no rows and cut no values.")]
FailedOption = Annotated[bool, typer.Option("--failed", help="Only steps that failed or are open.")]
WatchOption = Annotated[bool, typer.Option("--watch", help="Show what changes, until the flow has ended.")]
TimeoutOption = Annotated[
    str | None, typer.Option("--timeout", metavar="DURATION", help="With --watch: stop after this; exit 124.")
]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be shown of a flow: this view, or this step."""

    view: ViewName
    step: str | None
    full: bool
    failed: bool
    json: bool


@app.command(
    "inspect",
    epilog="\b\nExamples:\n  ergon inspect A-17\n  ergon inspect A-17 charge\n  ergon inspect A-17 --watch",
)
@shared
async def inspect(
    state: State,
    ids: IdsArgument,
    view: ViewOption = ViewName.TIMELINE,
    step: StepOption = None,
    full: FullOption = False,
    failed: FailedOption = False,
    watched: WatchOption = False,
    timeout: TimeoutOption = None,
) -> ExitCode:
    """Show a flow: why it is not over, its steps, its end. Nothing of the user's is imported."""
    if step is not None and len(ids) > 1:
        raise CommandError(ExitCode.USAGE, "--step is of one flow", "give one id")
    if timeout is not None and not watched:
        raise CommandError(ExitCode.USAGE, "--timeout goes with --watch", "add --watch")
    patience = parse_duration(timeout) / 1000 if timeout is not None else None
    worst = ExitCode.OK
    async with existing_store(state.load(), read_only=True, keyless=True) as store:
        first = await _first_of_two(store, ids) if len(ids) == 2 else None
        if first is not None and await means_step(store, first, ids[1]):
            ids, step = ids[:1], ids[1]
        if step is not None and view is not ViewName.TIMELINE:
            raise CommandError(ExitCode.USAGE, f"--view {view} is of a flow, not of a step", "leave one of them out")
        wish = Wish(view, step, full, failed, state.json)
        if watched:
            if len(ids) > 1:
                raise CommandError(ExitCode.USAGE, "--watch is for one flow", "give one id")
            return await _watch(store, ids[0], wish, patience)
        for place, part in enumerate(ids):
            try:
                await _show(store, part, wish, below=place > 0)
            except CommandError as error:
                show_error(_neither(error, part, first) if place else error, as_json=state.json)
                worst = max(worst, error.code)
    return worst


async def _show(store: Store, part: str, wish: Wish, *, below: bool) -> None:
    """Show a flow, or its step. Raises CommandError, StoreError."""
    flow, now = await _flow(store, part, steps=wish.json or wish.view is not ViewName.TREE)
    if wish.json:
        seen = Seen(flow, now, tuple(await events.read(store, flow)) if wish.view is ViewName.EVENTS else ())
        for made in await _json(store, seen, wish):
            say_json(made)
        return
    look = _look(wish, now)
    lines = await _lines(store, flow, wish, look)
    if below:
        say("")
    show(lines, look)


async def _watch(store: Store, part: str, wish: Wish, patience: float | None) -> ExitCode:
    """Show what becomes of a flow, or of its step."""
    flow_id = (await resolve(store, part)).id
    if wish.step is not None:
        wish = replace(wish, step=find_step((await _flow(store, flow_id))[0], wish.step).key)
    look = _look(wish, await store.now())
    if look.terminal and not wish.json:
        with screen(lambda seen, look: _lines(store, seen.flow, wish, look), partial(_look, wish)) as watcher:
            return await until_terminated(watch(store, flow_id, watcher, patience))
    told = JsonLines(lambda seen: _json(store, seen, wish)) if wish.json else Lines(look, wish.step)
    return await watch(store, flow_id, told, patience)


def _look(wish: Wish, now: int) -> Look:
    return look_at(sys.stdout, now=now, full=wish.full, failed=wish.failed)


async def _lines(store: Store, flow: FlowView, wish: Wish, look: Look) -> list[Line]:
    if wish.step is None:
        return await page(store, flow, wish.view, look)
    return list(draw_step(await detail_of(store, flow, find_step(flow, wish.step)), look))


async def _json(store: Store, seen: Seen, wish: Wish) -> list[dict[str, Any]]:
    if wish.step is not None:
        return [(await detail_of(store, seen.flow, find_step(seen.flow, wish.step))).to_json()]
    if wish.view is ViewName.EVENTS:
        return [event.to_json() for event in seen.events]
    return [dict(seen.flow.to_json())]


async def _first_of_two(store: Store, ids: list[str]) -> FlowView | None:
    """The first of two flows, of which the second may be meant to be a step."""
    with contextlib.suppress(CommandError):
        return (await _flow(store, ids[0]))[0]
    return None


def _neither(error: CommandError, part: str, first: FlowView | None) -> CommandError:
    """What follows a flow's id is no other flow, and no step of that one."""
    if first is None or error.code is not ExitCode.NOT_FOUND:
        return error
    return CommandError(error.code, f"no flow {part!r}, and no step of flow {first.id}", nearest(first, part))


async def _flow(store: Store, part: str, *, steps: bool = True) -> tuple[FlowView, int]:
    row = await resolve(store, part)
    now, read = await store.now(), view_flow if steps else view_row
    return await read(store, row, now=now, workers=await store.workers()), now
