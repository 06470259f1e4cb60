"""`ergon inspect`: one flow from top to bottom: why it is not over, what helps, its arguments, its steps, its end.

On a terminal times are relative and long cells are cut; anywhere else lines are tab-separated and complete, times ISO.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Annotated, cast

import typer

from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.ids import resolve
from ergon_cli.options import State, shared
from ergon_cli.render import is_terminal, say, say_json, show_table
from ergon_cli.stores import existing_store
from ergon_cli.text import age, clip, duration, safe
from ergon_cli.tries import try_lines, try_rows
from ergon_cli.why import error_line, why_line
from ergon_runtime import Status, Store
from ergon_runtime.view import FlowView, StepView, iso, view_flow

app = typer.Typer()
COLUMNS = ("KEY", "KIND", "STATUS", "TRIES", "STARTED", "TOOK", "RESULT")
LONGEST = 2000
"""Characters of one value on a terminal."""
MENDED_BY_CODE = ("diverged", "unreadable", "spinning", "stuck")


@app.command("inspect", epilog="Example: ergon inspect A-17")
@shared
async def inspect(
    state: State, ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Flow ids, or unique parts of them.")]
) -> ExitCode:
    """Show a flow: why it is not over, its steps, its end. Nothing of the user's is imported."""
    worst = ExitCode.OK
    async with existing_store(state.load(), read_only=True) as store:
        for place, part in enumerate(ids):
            try:
                view, now = await _view(store, part)
            except CommandError as error:
                show_error(error, as_json=state.json)
                worst = max(worst, error.code)
                continue
            if state.json:
                say_json(view.to_json())
            else:
                if place:
                    say("")
                _show(view, now)
    return worst


async def _view(store: Store, part: str) -> tuple[FlowView, int]:
    row = await resolve(store, part)
    now = await store.now()
    return await view_flow(store, row, now=now, workers=await store.workers()), now


def _show(view: FlowView, now: int) -> None:
    terminal = is_terminal(sys.stdout)
    for label, text in _head(view, now):
        if terminal:
            say(f"{label:<6}{clip(text, LONGEST)}")
        else:
            _row(label.rstrip(":"), text)
    if view.steps:
        say("")
        if terminal:
            rows = [_cells(step, view, now, relative=True) for step in view.steps]
            show_table(COLUMNS, rows, below=[try_lines(step, view, now) for step in view.steps])
        else:
            for step in view.steps:
                show_table(COLUMNS, [_cells(step, view, now, relative=False), *try_rows(step)])
    if view.error is not None and view.error.traceback:
        say("")
        for line in view.error.traceback.splitlines():
            say(f"  {line}")


def _row(*cells: str) -> None:
    sys.stdout.write("\t".join(safe(cell) for cell in cells) + "\n")


def _head(view: FlowView, now: int) -> Iterator[tuple[str, str]]:
    yield "FLOW", f"{view.flow} {view.id}  {view.status.value.upper()}  {age(view.created_at, now)}"
    yield "", "  ".join(_facts(view))
    if view.why is not None:
        yield "WHY", why_line(view.why, now)
        deepest = view.why.deepest
        if deepest.kind == "too_long":
            yield "", "raise max_entries, or change the code to continue_as_new; then it goes on by itself"
        if deepest.kind in MENDED_BY_CODE:
            yield "", "it goes on by itself once a worker serves code that fits"
        for aside in deepest.aside:
            yield "", f"set aside: {_one_line(aside.payload)}"
        if view.why.fix:
            yield "fix:", view.why.fix
    if view.is_long:
        yield "", f"its journal has {view.entries:,} entries"
    yield "IN", _arguments(view)
    if view.error is not None:
        yield "ERROR", error_line(view.error)
    elif view.status is Status.COMPLETED:
        yield "OUT", _one_line(view.result)


def _facts(view: FlowView) -> Iterator[str]:
    if view.version:
        yield f"version {view.version}"
    yield f"attempt {view.attempt}"
    if view.recoveries:
        yield f"recovered {view.recoveries} times"
    if view.worker:
        yield f"worker {view.worker}"
    if view.parent:
        yield f"parent {view.parent}"
    yield f"created {iso(view.created_at)}"


def _arguments(view: FlowView) -> str:
    stored: object = view.args
    if not isinstance(stored, dict):
        return _one_line(stored)
    args = cast("dict[str, object]", stored)
    return "  ".join(f"{name}={_one_line(value)}" for name, value in args.items()) or "(no arguments)"


def _cells(step: StepView, view: FlowView, now: int, *, relative: bool) -> tuple[str, ...]:
    started, end = step.started_at, step.finished_at
    if step.status in ("waiting", "running") and not view.status.ended:
        end = now
    began = "" if started is None else f"+{duration(started - view.created_at)}" if relative else iso(started)
    took = duration(end - started) if started is not None and end is not None and step.kind != "marker" else ""
    tries = str(step.attempts) if step.kind == "step" else ""
    return step.key, step.kind, step.status, tries, began, took, _outcome(step, now)


def _outcome(step: StepView, now: int) -> str:
    due = ""
    if step.due is not None and step.kind != "marker":
        due = "due " + ("now" if step.due <= now else f"in {duration(step.due - now)}")
    child = f"-> {step.child}" if step.child else ""
    told = "" if step.detail is None else f": {_one_line(step.detail)}"
    heartbeat = "" if step.heartbeat_at is None else f"heartbeat {age(step.heartbeat_at, now)} ago{told}"
    said = ""
    if step.error is not None:
        said = error_line(step.error)
    elif step.status == "completed" and step.kind not in ("timer", "marker") and not (child and step.result is None):
        said = _one_line(step.result)
    elif step.kind == "marker" and step.args is not None:
        said = _one_line(step.args)
    return "  ".join(part for part in (said, due, child, heartbeat) if part)


def _one_line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
