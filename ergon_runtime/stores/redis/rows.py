"""Between core's values and what scripts take and answer: flat lists of texts, numbers and bytes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeAlias

from ergon_runtime.core.flows import (
    Beat,
    Claim,
    ClaimRequest,
    Commit,
    FlowRow,
    Lease,
    Message,
    NewFlow,
    Send,
    Status,
    Wait,
    WorkerRow,
)
from ergon_runtime.errors import StoreCorrupt
from ergon_runtime.stores import rules

Argument: TypeAlias = str | bytes | int


def new_flow(flow: NewFlow) -> tuple[Argument, ...]:
    """A flow to create."""
    return (
        flow.id,
        flow.type,
        flow.version or "",
        flow.lane,
        flow.args,
        flow.seed,
        flow.parent or "",
        _due(flow.due),
        flow.priority,
    )


def message(send: Send) -> tuple[Argument, ...]:
    """A message to send."""
    return send.to or "", send.message.id, send.message.channel, send.message.body


def commit(value: Commit) -> list[Argument]:
    """A commit."""
    dropped, begun = rules.wait_changes(value, tuple)
    return [
        value.lease.flow,
        value.lease.token,
        value.id,
        value.predecessor or "",
        value.start,
        value.lease_length,
        value.status.value,
        _due(value.due),
        _number(value.base),
        *_optional(value.result),
        *_optional(value.note),
        value.fingerprint or "",
        *_counted(value.entries),
        *_counted(dict.fromkeys(value.consumed)),
        *_counted(dict.fromkeys(rules.set_aside(value))),
        len(value.creates),
        *(part for flow in value.creates for part in new_flow(flow)),
        len(value.sends),
        *(part for send in value.sends for part in message(send)),
        *_counted(begun),
        *_counted(dropped),
        int(rules.states_all_waits(value)),
    ]


def request(value: ClaimRequest, tokens: Sequence[str]) -> Iterator[Argument]:
    """What a worker asks for, and the tokens it may get."""
    yield from (value.worker, value.lease, value.limit, value.fingerprint or "", int(value.alone), int(value.operator))
    yield from _counted([status.value for status in value.statuses])
    for ids in (value.ids, value.under):
        if ids is None:
            yield -1
        else:
            yield from _counted(dict.fromkeys(ids))
    yield from _counted(dict.fromkeys(value.lanes))
    yield from _counted(tokens)


def beat(value: Beat | None) -> tuple[Argument, ...]:
    """A sign of life."""
    if value is None:
        return ("",) * 8
    about = value.worker, json.dumps(value.lanes), value.host, value.pid, value.concurrency
    return *about, value.silence, value.busy, value.doing


def raw(value: Any) -> bytes:
    """What no store looks into. Raises TypeError for anything else than bytes."""
    if not isinstance(value, bytes):
        raise TypeError(f"{value!r:.80} instead of a string")
    return value


def claim(row: Sequence[Any], now: int) -> Claim:
    """A claim as the script answers it."""
    flow, token, type_, version, args, seed, parent, status, head, length, base, started, due, *rest = row
    recoveries, deaths, note, mail = rest
    return Claim(
        lease=Lease(flow.decode(), token.decode()),
        type=type_.decode(),
        version=_text(version),
        args=raw(args),
        seed=seed.decode(),
        parent=_text(parent),
        status=known(status),
        head=_text(head),
        length=int(length),
        base=int(base),
        started=int(started),
        now=now,
        due=_int(due),
        recoveries=int(recoveries),
        deaths=int(deaths),
        mail=messages(mail),
        note=_raw(note),
    )


def messages(flat: Sequence[bytes]) -> tuple[Message, ...]:
    """Messages from id, channel, body, id, ..."""
    parts = iter(flat)
    return tuple(
        Message(id_.decode(), channel.decode(), raw(body))
        for id_, channel, body in zip(parts, parts, parts, strict=True)
    )


def flow_row(answer: Sequence[Any]) -> FlowRow:
    """A flow as readers see it."""
    flow, fields, waits, aside = answer
    type_, version, lane, priority, args, seed, parent, status, due, owner, head, length, base, *rest = fields
    result, note, fingerprint, created, updated, started, recoveries, deaths = rest
    parts = iter(waits)
    found = (
        Wait(channel.decode(), int(since), bool(reserved))
        for channel, since, reserved in zip(parts, parts, parts, strict=True)
    )
    return FlowRow(
        id=flow.decode(),
        type=type_.decode(),
        version=_text(version),
        lane=lane.decode(),
        priority=int(priority),
        args=raw(args),
        seed=seed.decode(),
        parent=_text(parent),
        status=known(status),
        due=_int(due),
        owner=_text(owner),
        head=_text(head),
        length=int(length),
        base=int(base),
        result=_raw(result),
        note=_raw(note),
        fingerprint=_text(fingerprint),
        created=int(created),
        updated=int(updated),
        started=_int(started),
        recoveries=int(recoveries),
        deaths=int(deaths),
        waits=tuple(sorted(found, key=lambda wait: wait.channel)),
        aside=messages(aside),
    )


def worker(row: Sequence[bytes]) -> WorkerRow:
    """A worker as others see it."""
    name, lanes, host, pid, concurrency, seen, until, busy, doing = row
    return WorkerRow(
        worker=name.decode(),
        lanes=tuple(json.loads(lanes)),
        host=host.decode(),
        pid=int(pid),
        concurrency=int(concurrency),
        seen=int(seen),
        until=int(until),
        busy=int(busy),
        doing=raw(doing),
    )


def _raw(value: Any) -> bytes | None:
    return None if value is None else raw(value)


def known(status: bytes) -> Status:
    """Raises StoreCorrupt for a status that nothing of ours writes."""
    try:
        return Status(status.decode())
    except ValueError:
        said = f"a flow in the store has the unknown status {status!r}; upgrade ergon-runtime, or restore a backup"
        raise StoreCorrupt(said) from None


def _counted(values: Collection[Argument]) -> tuple[Argument, ...]:
    return len(values), *values


def key_checks(answer: Sequence[bytes]) -> tuple[tuple[str, str], ...]:
    """The ids of keys, each with its check."""
    parts = [part.decode() for part in answer]
    return tuple(zip(parts[::2], parts[1::2], strict=True))


def _optional(value: bytes | None) -> tuple[Argument, Argument]:
    return (0, "") if value is None else (1, value)


def _due(value: int | None) -> Argument:
    """No later than what Lua holds exactly, the year 287396: it writes a later one in a form that is no integer."""
    return _number(None if value is None else min(value, 2**53))


def _number(value: int | None) -> Argument:
    return "" if value is None else value


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _int(value: bytes | None) -> int | None:
    return None if value is None else int(value)
