"""One step with all that is known of it: arguments, result, every try, what is due, its child, its journal entries.

It is no view of `--view`: `ergon inspect ID STEP` shows it. Values are whole. A pipe gets rows of a label and what
belongs to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ergon_cli.render import STATUS_STYLES
from ergon_cli.screens import blocks
from ergon_cli.screens.events import read, row_of
from ergon_cli.screens.grid import Column, Row, table
from ergon_cli.screens.look import Line, Look, Part
from ergon_cli.screens.steps import began, length, one_line
from ergon_cli.text import age, duration
from ergon_runtime import Store
from ergon_runtime.view import EventView, FlowView, StepView, Try, iso

TRIES = (
    Column("TRY", right=True),
    Column("STATUS"),
    Column("STARTED", 2, right=True),
    Column("TOOK", 1, right=True),
    Column("WORKER", 3, gives=True),
)
ENTRIES = (
    Column("SEQ", right=True),
    Column("AT", 1, right=True),
    Column("KIND"),
    Column("WHAT", gives=True),
)


@dataclass(frozen=True, slots=True)
class StepDetail:
    """A step, its flow, its journal entries, and how its child stands if it is one."""

    flow: FlowView
    step: StepView
    events: tuple[EventView, ...] = ()
    child_status: str | None = None

    @property
    def message(self) -> str | None:
        """The id of the message that a signal came by."""
        found = (event.data.get("message") for event in self.events if event.kind == "signal")
        return next((str(message) for message in found if message), None)

    def to_json(self) -> dict[str, Any]:
        """The contract's fields of a step, and more."""
        step = self.step
        return {
            **step.to_json(),
            "flow": self.flow.id,
            "life": step.life,
            "idempotency_key": self.flow.idempotency_key(step),
            "ran_in": step.ran_in,
            "heartbeat_at": None if step.heartbeat_at is None else iso(step.heartbeat_at),
            "child": step.child,
            "child_status": self.child_status,
            "message": self.message,
            "events": [event.to_json() for event in self.events],
        }


async def detail_of(store: Store, view: FlowView, step: StepView) -> StepDetail:
    """What there is to tell of a step of a flow. Raises StoreError."""
    events = tuple(event for event in await read(store, view) if event.step == step.key)
    child = await store.get(step.child) if step.child else None
    return StepDetail(view, step, events, child.status.value if child is not None else None)


def draw(detail: StepDetail, look: Look) -> Iterator[Line]:
    """The screen of a step."""
    yield from _head(detail, look)
    if detail.step.tries:
        yield from _tries(detail, look)
    if detail.events:
        yield from _entries(detail, look)
    yield from blocks.traceback_lines(detail.step.error)


def _head(detail: StepDetail, look: Look) -> Iterator[Line]:
    step, flow = detail.step, detail.flow
    said = f"{step.key}  {step.kind}{f' {step.name}' if step.name != step.own_key else ''}  "
    if look.terminal:
        status = Part(step.status.upper(), STATUS_STYLES[step.status])
        yield Part(f"{'STEP':<{blocks.LABEL}}", "bold"), said, status, f"  of {flow.flow} {flow.id}"
    else:
        yield "STEP", f"{said}{step.status.upper()}  of {flow.flow} {flow.id}"
    yield from blocks.block("", "  ".join(_facts(detail, look)), look)
    if key := flow.idempotency_key(step):
        yield from blocks.block("KEY", f"{key}  (idempotency key)", look)
    for label, text in _open_ends(detail, look):
        yield from blocks.block(label, text, look)
    if step.args is not None:
        yield from blocks.value_block("IN", step.args, replace(look, full=True))
    if step.error is not None:
        yield from blocks.block("ERROR", blocks.said(step.error), look, style="red")
    elif step.status == "completed" and step.kind in ("step", "signal", "child"):
        yield from blocks.value_block("OUT", step.result, replace(look, full=True))


def _facts(detail: StepDetail, look: Look) -> Iterator[str]:
    step, flow = detail.step, detail.flow
    if step.life > 1:
        yield f"life {step.life}"
    if step.ran_in:
        yield f"recorded in {step.ran_in}"
    if step.started_at is not None:
        what = "asked for" if step.kind == "signal" else "started"
        yield f"{what} {iso(step.started_at)} ({blocks.after(step.started_at, began(flow))})"
    if (took := length(step, flow, look.now)) is not None:
        yield f"took {duration(took)}{' so far' if step.status in ('running', 'waiting') else ''}"


def _open_ends(detail: StepDetail, look: Look) -> Iterator[tuple[str, str]]:
    step = detail.step
    if step.due is not None and step.kind != "marker":
        what = f"try {step.attempts + 1} is" if step.kind == "step" else "it is"
        left = "now" if step.due <= look.now else f"in {duration(step.due - look.now)}"
        yield "NEXT", f"{what} due {left}, at {iso(step.due)}"
    if step.heartbeat_at is not None:
        told = "" if step.detail is None else f": {one_line(step.detail)}"
        yield "BEAT", f"heartbeat {age(step.heartbeat_at, look.now)} ago{told}"
    if step.child:
        yield "CHILD", f"{step.child}  {(detail.child_status or 'gone').upper()}"
        yield "see:", f"ergon inspect {step.child}"
    if detail.message:
        yield "MAIL", f"message {detail.message}"


def _tries(detail: StepDetail, look: Look) -> Iterator[Line]:
    since = began(detail.flow)
    shown, hidden, last = blocks.middle_cut(detail.step.tries, look)
    if not look.terminal:
        for each in shown:
            error = " ".join(blocks.said(each.error).split()) if each.error else ""
            yield "try", *_try(each, since, look), error
        return
    yield ("",)
    rows = [
        Row(_try(each, since, look), {"STATUS": STATUS_STYLES[_status(each)]}, _errors(each))
        for each in (*shown, *last)
    ]
    yield from table(TRIES, rows, look)
    if hidden:
        yield blocks.left_out(hidden, "tries", look)


def _try(each: Try, since: int, look: Look) -> tuple[str, ...]:
    start = blocks.after(each.started_at, since)
    if each.started_at is not None and not look.terminal:
        start = iso(each.started_at)
    known = each.started_at is not None and each.finished_at is not None
    took = duration((each.finished_at or 0) - (each.started_at or 0)) if known else ""
    return str(each.n), _status(each), start, took, each.worker or ""


def _status(each: Try) -> str:
    return "failed" if each.error else "completed" if each.finished_at is not None else "running"


def _errors(each: Try) -> tuple[str, ...]:
    return tuple(blocks.said(each.error).splitlines()) if each.error else ()


def _entries(detail: StepDetail, look: Look) -> Iterator[Line]:
    since = began(detail.flow)
    shown, hidden, last = blocks.middle_cut(detail.events, look)
    if not look.terminal:
        for event in shown:
            yield "entry", *row_of(event)
        return
    yield ("",)
    rows = [
        Row((str(event.seq), blocks.after(event.at, since), event.kind, event.text), {}) for event in (*shown, *last)
    ]
    yield from table(ENTRIES, rows, look)
    if hidden:
        yield blocks.left_out(hidden, "entries", look)
