"""Why a flow is not over yet, from its row, its note and the live workers. Pure: read.py adds what needs the store.

A due flow waits for a worker, whatever it waited for before: it is `queued` if a live worker serves its lane, else
`no_worker`. A waiting flow's note says what for; where it says nothing usable, the row's channels and due time do.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never, cast

from ergon_runtime.core.flows import FlowRow, Status, WorkerRow
from ergon_runtime.core.payloads import key_of
from ergon_runtime.operators.unfinished import unfinished_fork
from ergon_runtime.view.model import BLOCKED_KINDS, Aside, StepView, Why, WhyKind
from ergon_runtime.view.stored import Note, value_of

SERVE = "ergon worker -m MODULE"
_BLOCKED: Mapping[str, WhyKind] = {kind: kind for kind in BLOCKED_KINDS}


MANY = 20
"""Running steps that are named."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is the same for all flows looked at together: the store's time, and the live workers by the lanes that they
    serve and by name."""

    now: int
    served: Mapping[str, Sequence[WorkerRow]]
    live: Mapping[str, WorkerRow]


def scene_of(now: int, workers: Iterable[WorkerRow]) -> Scene:
    """The scene with these workers, of whom some may be silent by now."""
    served: dict[str, list[WorkerRow]] = {}
    live = {worker.worker: worker for worker in workers if worker.until > now}
    for worker in live.values():
        for lane in worker.lanes:
            served.setdefault(lane, []).append(worker)
    return Scene(now, served, live)


def why_of(row: FlowRow, note: Note, scene: Scene) -> Why | None:
    """Why the flow is not over; None when it is."""
    match row.status:
        case Status.COMPLETED | Status.FAILED | Status.CANCELLED:
            return None
        case Status.PENDING:
            return _unclaimed(row, scene)
        case Status.WAITING:
            due = row.due is not None and row.due <= scene.now
            return _unclaimed(row, scene) if due else _waiting(row, note)
        case Status.RUNNING:
            return _running(row, scene)
        case Status.BLOCKED:
            return _blocked(row, note)
        case _:
            assert_never(row.status)


def signal_fix(flow_id: str, name: str) -> str:
    """The command that sends a flow the signal it waits for."""
    return f"ergon signal {_quoted(name)} PAYLOAD --flow {shlex.quote(flow_id)}"


def _quoted(text: str) -> str:
    """Text as one word of a shell; what a terminal does not show as it is, written as bash and zsh read it."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_escaped(char) for char in text) + "'"


def _escaped(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\U{code:08x}"


def running_why(why: Why, steps: Iterable[StepView], life: int, *, all_told: bool) -> Why:
    """What a running flow does: its steps that run, the longest first; without any, and `all_told`, its own code."""
    found = [_step_runs(step, life) for step in steps]
    found.sort(key=lambda each: (each.since is None, each.since or 0))
    if not found:
        return replace(why, open=0) if all_told else why
    first, also = found[0], tuple(found[1:MANY])
    count = len(found) if len(found) > MANY else None
    return replace(why, key=first.key, name=first.name, attempt=first.attempt, since=first.since, also=also, open=count)


def _step_runs(step: StepView, life: int) -> Why:
    since = step.tries[-1].started_at if step.tries and step.tries[-1].finished_at is None else step.started_at
    key = step.key if life == 1 else step.key.removesuffix(f"~{life}")
    return Why("running", key=key, name=step.name, attempt=step.attempts, since=since)


def _unclaimed(row: FlowRow, scene: Scene) -> Why:
    workers = scene.served.get(row.lane, ())
    since = row.updated if row.due is None else max(row.due, row.created)
    why = Why("queued" if workers else "no_worker", since=since, type=row.type, version=row.version)
    if not workers:
        return replace(why, fix=SERVE)
    if all(0 < worker.concurrency <= worker.busy for worker in workers):
        busy, capacity = sum(worker.busy for worker in workers), sum(worker.concurrency for worker in workers)
        return replace(why, workers=len(workers), busy=busy, capacity=capacity, fix=SERVE)
    return replace(why, workers=len(workers))


def _running(row: FlowRow, scene: Scene) -> Why:
    if row.due is None or row.due > scene.now:
        return Why("running", worker=row.owner, lease_until=row.due)
    fix = None if row.lane in scene.served else SERVE
    return Why("lease_expired", worker=row.owner, since=row.due, type=row.type, version=row.version, fix=fix)


def _waiting(row: FlowRow, note: Note) -> Why:
    if row.started is None:  # its start was delayed
        return Why("timer", since=row.created, due=row.due)
    alarms = [wait["due"] for wait in note.waits if wait.get("kind") == "timer" and not wait.get("sleep")]
    until = min((due for due in alarms if isinstance(due, int)), default=None)
    found = [why for wait in note.waits if (why := _wait(row, wait, until)) is not None]
    told = {why.name for why in found if why.kind == "signal"}
    for wait in row.waits:
        name = wait.channel.removeprefix("signal:")
        if name != wait.channel and name not in told:
            found.insert(0, _signal(row, None, name, wait.since, until))
    if not found:  # nothing but timeouts, or no usable note
        return Why("timer", since=row.updated, due=until if until is not None else row.due)
    return replace(found[0], also=tuple(found[1:]), open=note.open if note.open > len(note.waits) else None)


def _wait(row: FlowRow, wait: Mapping[str, Any], until: int | None) -> Why | None:
    match wait:
        case {"kind": "signal", "key": str(key), "name": str(name)}:
            since = next((each.since for each in row.waits if each.channel == f"signal:{name}"), wait.get("since"))
            return _signal(row, key, name, since, until)
        case {"kind": "child", "key": str(key), "child": str(child)}:
            return Why("child", key=key, child=child, since=_number(wait, "since"), until=until)
        case {"kind": "timer", "key": str(key), "sleep": True}:
            return Why("timer", key=key, since=_number(wait, "since"), due=_number(wait, "due"))
        case {"kind": "retry"}:
            due, attempt = _number(wait, "due") or row.due, _number(wait, "attempt")
            step, since = _text(wait, "key"), _number(wait, "since")
            return Why("retry", key=step, name=_text(wait, "name"), attempt=attempt, since=since, due=due)
        case _:
            return None


def _signal(row: FlowRow, key: str | None, name: str, since: int | None, until: int | None) -> Why:
    aside = tuple(Aside(m.id, value_of(m.body)) for m in row.aside if m.channel == f"signal:{name}")
    fix = signal_fix(row.id, name)
    return Why("signal", key=key, name=name, since=since, until=until, aside=aside, fix=fix)


def _blocked(row: FlowRow, note: Note) -> Why:
    why, encrypted = note.why or {}, row.note is not None and key_of(row.note) is not None
    kind = _BLOCKED.get(str(why.get("kind")), "unreadable")
    return Why(
        kind,
        message=_text(why, "message") or f"the reason {'is encrypted' if encrypted else 'was not recorded'}",
        since=_number(why, "since") or row.updated,
        key=_text(why, "key"),
        recorded=_text(why, "recorded"),
        current=_texts(why, "current"),
        where=_text(why, "where"),
        due=row.due,
        fix=_blocked_fix(row, kind),
    )


def _blocked_fix(row: FlowRow, kind: str | None) -> str:
    """Replay shows where code and journal part, or where the code hangs, and so which code to serve. What the code has
    no part in is tried again with the same, once a person says so."""
    flow = shlex.quote(row.id)
    if (unfinished := unfinished_fork(row)) is not None:
        return unfinished.command(row.id)
    match kind:
        case "diverged" | "unreadable" | "spinning" | "stuck":
            return f"ergon replay {flow} -m MODULE"
        case "too_long":
            return f"{SERVE} --max-entries N"
        case _:
            return f"ergon retry {flow}"


def _number(found: Mapping[str, Any], name: str) -> int | None:
    value = found.get(name)
    return value if isinstance(value, int) else None


def _texts(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = found.get(name)
    return tuple(str(each) for each in cast("list[object]", value)) if isinstance(value, list) else ()


def _text(found: Mapping[str, Any], name: str) -> str | None:
    value = found.get(name)
    return value if isinstance(value, str) and value else None
