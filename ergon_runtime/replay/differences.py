"""Differences: of what kind the first disagreement of code and journal is, with both sides and the lines of code.

A rehearsal says where they disagree, a diagnosis what the code asks for from there on. What cannot be told is said so:
a step whose result nobody recorded ends the diagnosis, so whether it was added or replaces another stays open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ergon_runtime.codec import hint_name
from ergon_runtime.core.divergence import describe
from ergon_runtime.core.entries import ChildCreated, Entry, Patched, StepStopped
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.machine import SHOWN
from ergon_runtime.core.operations import Op, SignalOp, StepOp, TimerOp
from ergon_runtime.core.places import Places, in_place_of, scope_of
from ergon_runtime.definitions import StepCall
from ergon_runtime.replay.endings import shown
from ergon_runtime.replay.machine import Asked, Diagnosis, identity
from ergon_runtime.replay.rehearsal import EndDiffers, Rehearsal
from ergon_runtime.replay.report import Difference


@dataclass(frozen=True, slots=True)
class Finding:
    """The first difference. `lines` are those of `current`, `where` is the one to look at."""

    difference: Difference
    message: str
    key: str | None
    recorded: str
    current: tuple[str, ...]
    lines: tuple[str | None, ...]
    where: str | None


def unfit_value(rehearsal: Rehearsal, fault: Fault) -> Finding | None:
    """The finding for a recorded value that no longer fits its type; None for other data that cannot be read."""
    given = rehearsal.machine.given
    if given is None or fault.key is None or given[0].key != fault.key:
        return None
    op, entry = given
    value: str = getattr(entry, "value", None) or getattr(entry, "error", None) or ""
    hint, message = "what the code takes", fault.message
    if isinstance(op, SignalOp):
        message = f"payload of {named(op)} no longer fits the type that the code waits for"
    if isinstance(op, StepOp) and isinstance(op.call, StepCall):
        hint = hint_name(op.call.definition.result.hint)
    recorded, current = f"{describe(entry)} = {shown(value)}", f"{describe(op)} -> {hint}"
    return Finding("result", message, fault.key, recorded, (current,), (fault.where,), fault.where)


class Comparison:
    """What a rehearsal found different, looked at with a diagnosis."""

    def __init__(self, rehearsal: Rehearsal, fault: Fault, diagnosis: Diagnosis) -> None:
        self._rehearsal, self._fault, self._diagnosis = rehearsal, fault, diagnosis
        self._machine = rehearsal.machine
        self._agreed = len(rehearsal.delivered)
        self._places = Places(self._machine.loop.alive())
        self._lines = {each.op.key: each.line for each in diagnosis.asked if each.line is not None}

    def finding(self) -> Finding | None:
        """None for what is no difference: code that spins, or asks for something outside any task."""
        fault, machine = self._fault, self._machine
        if fault.kind is not FaultKind.DIVERGED:
            return None
        if isinstance(fault, EndDiffers):
            return self._end_differs(fault)
        if fault.key is None or fault.recorded is None:
            return None
        if machine.loop.evicted:  # found while it was asked for
            message = f"{fault.recorded.partition('(')[0]} is asked for with other arguments"
            return replace(self._as_told(fault, fault.key, fault.recorded, "arguments"), message=message)
        index, entry = self._recorded(fault.key)
        if entry is None:
            return None
        if machine.done:
            found = self._ends_early(entry)
        elif index is not None and (op := machine.open.get(entry.key)) is not None:
            found = self._other(index, entry, op)
        else:
            found = self._not_asked(index, entry)
        return replace(found, message=found.message + self._besides(entry))

    # --- the end
    def _end_differs(self, fault: EndDiffers) -> Finding:
        ops = self._standing(None)
        if fault.difference == "extra" and ops:
            return self._make("extra", fault.message, None, fault.recorded or "", ops)
        difference: Difference = fault.difference
        where = fault.where or self._diagnosis.returned.line
        lines = (where, *[None for _ in fault.current[1:]])
        return Finding(difference, fault.message, None, fault.recorded or "", fault.current, lines, where)

    def _ends_early(self, entry: Entry) -> Finding:
        """The code has ended, and this is still recorded."""
        recorded = self._machine.words(entry)
        assert self._machine.main is not None
        if self._machine.main.cancelled() or self._machine.main.exception() is not None:
            _, said, where = self._rehearsal.outcome()
            where = where or self._diagnosis.returned.line
            current = (f"the end ({said})",)
            return Finding("end", f"the flow ends before {named(entry)}", entry.key, recorded, current, (where,), where)
        where = self._diagnosis.returned.line
        message = f"the flow ends, but the journal has {entry.key}"
        return Finding("missing", message, entry.key, recorded, ("the end",), (where,), where)

    # --- something stands there
    def _other(self, index: int, entry: Entry, op: Op) -> Finding:
        """The same key, and not the same operation."""
        kind, _, digest = identity(entry)
        sides = [op]
        if op.kind != kind:
            return self._make(
                "kind", f"{entry.key} is a {op.kind} now, and was recorded as a {kind}", entry, None, sides
            )
        if op.digest == digest and isinstance(entry, StepStopped):
            message = f"{named(entry)} was given up when it was recorded, and is awaited now"
            return self._make("missing", message, entry, None, sides)
        if op.digest == digest:
            return self._make("step", f"another operation has the key {entry.key} now", entry, None, sides)
        claim, here = self._claim(index), self._first_asked(op.key)
        if here is not None and here.how == "moved" and here.index is not None:
            its = self._rehearsal.history.strict[here.index].entry.key
            said = f"{named(op)} is asked for with the arguments that are recorded for {its}"
            if claim is None:
                return self._make("missing", f"{said}: the call before it was removed", entry, None, sides)
            return self._make("order", f"{said}: the calls were swapped", entry, None, sides)
        if any(each is not here and identity(each.op) == identity(entry) for each in self._diagnosis.asked):
            return self._make(
                "extra", f"a call of {named(op)} was added: the recorded one comes later", entry, None, sides
            )
        return self._make("arguments", f"{named(op)} is asked for with other arguments", entry, None, sides)

    # --- nothing has the key
    def _not_asked(self, index: int | None, entry: Entry) -> Finding:
        standing = self._standing(entry.key)
        first = next((op for op in standing if self._is_recent(op, entry.key)), None)
        claim = self._claim(index)
        if claim is not None:
            found = self._asked_elsewhere(entry, claim, first, standing)
            if found is not None:
                return found
        if isinstance(entry, Patched):
            return self._make("missing", f"the code no longer calls patched({entry.key!r})", entry, None, standing)
        asked = self._first_asked(first.key) if first is not None else None
        if (
            first is None
            or asked is None
            or asked.how in ("exact", "moved", "arguments")
            or self._rehearsal.was_asked(first)
        ):
            return self._made_otherwise(entry, standing)
        if first.kind == identity(entry)[0] and first.digest == identity(entry)[2] != "":
            return self._make("step", self._replaced(entry, first), entry, None, standing)
        if asked.how == "invented" and self._went_on(asked):
            return self._make("step", f"{named(first)} stands in place of {named(entry)}", entry, None, standing)
        if self._mentions(entry):
            message = f"{named(first)} was added before {named(entry)}, or put in place of it"
            return self._make("extra", message, entry, None, standing)
        message = f"{named(first)} stands in place of {named(entry)}, or was added before it"
        return self._make("step", message, entry, None, standing)

    def _asked_elsewhere(self, entry: Entry, claim: Asked, first: Op | None, standing: list[Op]) -> Finding | None:
        """The record was given to an operation that is asked for elsewhere, later, or under another name."""
        op = claim.op
        sides = [op, *(each for each in standing if each.key != op.key)]
        if claim.how == "moved":
            scopes = scope_of(entry.key), scope_of(op.key)
            siblings = all(scopes) and scope_of(scopes[0][:-1]) == scope_of(scopes[1][:-1])
            how = "tasks are started in another order" if siblings else "its call has moved to another task"
            if scopes[0] == scopes[1]:
                how = "calls of that name come in another order"
            message = f"{named(entry)} is asked for as {op.key} now: {how}"
            return self._make("order" if siblings or scopes[0] == scopes[1] else "step", message, entry, None, sides)
        if claim.how == "exact":
            asked = self._first_asked(first.key) if first is not None else None
            if first is None or asked is None:
                return self._make("order", f"{named(entry)} is asked for later", entry, None, standing)
            if asked.how in ("exact", "moved"):
                message = f"{named(first)} is asked for before {named(entry)}, which was recorded first"
                return self._make("order", message, entry, None, standing)
            return self._make("extra", f"{named(first)} was added before {named(entry)}", entry, None, standing)
        if not self._stands(op.key):
            return None  # it only looked alike, later on
        return self._make("step", self._replaced(entry, op), entry, None, sides)

    def _made_otherwise(self, entry: Entry, standing: list[Op]) -> Finding:
        """Nothing new stands in its place: it is gone, or another child is created."""
        new = [marker for marker in self._machine.markers if isinstance(marker, ChildCreated)]
        if isinstance(entry, ChildCreated) and new:
            message = f"child {new[0].key} is created in place of {named(entry)}"
            current = tuple(map(describe, new))
            where = self._machine.where(entry.key)
            return Finding(
                "step", message, entry.key, self._machine.words(entry), current, tuple(None for _ in new), where
            )
        return self._make("missing", f"the code no longer asks for {named(entry)}", entry, None, standing)

    def _replaced(self, entry: Entry, op: Op) -> str:
        same = ", with the same arguments" if op.digest else ""
        how = "another branch, or renamed" if self._mentions(entry) else "renamed, it seems"
        return f"{named(op)} stands in place of {named(entry)}{same}: {how}"

    # --- what is known
    def _recorded(self, key: str) -> tuple[int | None, Entry | None]:
        """What is recorded under the fault's key, and its place among the strict records, if it has one."""
        strict = self._rehearsal.history.strict
        for index in range(self._agreed, len(strict)):
            if strict[index].entry.key == key:
                return index, strict[index].entry
            if not self._machine.done:
                break
        history = self._rehearsal.history
        marker = next((mark for (_, marked), mark in history.marks.items() if marked == key), None)
        return None, marker or history.failures.get(key)

    def _standing(self, key: str | None) -> list[Op]:
        """What the code has open where they differ, the likeliest first; alarms only if there is nothing else."""
        ops = in_place_of(key, self._machine.open)
        return [op for op in ops if not (isinstance(op, TimerOp) and not op.sleep)] or ops

    def _is_recent(self, op: Op, key: str) -> bool:
        """Whether it was asked for since the last agreement, or by the task that the key names."""
        return op.turn == self._machine.turn or scope_of(op.key) == scope_of(key)

    def _stands(self, key: str) -> bool:
        return self._machine.open.get(key) is not None

    def _first_asked(self, key: str) -> Asked | None:
        return next((each for each in self._diagnosis.asked if each.op.key == key), None)

    def _claim(self, index: int | None) -> Asked | None:
        if index is None:
            return None
        return next((each for each in self._diagnosis.asked if each.index == index), None)

    def _went_on(self, asked: Asked) -> bool:
        return any(each.index is not None and each.moment > asked.moment for each in self._diagnosis.asked)

    def _mentions(self, entry: Entry) -> bool:
        """Whether the code that stands there still has the name of what is recorded."""
        return self._machine.mentions(getattr(entry, "name", identity(entry)[1]))

    def _besides(self, entry: Entry) -> str:
        asked = {*self._machine.patches, *self._diagnosis.patches}
        lost = [key for kind, key in self._rehearsal.history.marks if kind == Patched.kind and key not in asked]
        said = f"; the code no longer calls patched({lost[0]!r})" if lost and not isinstance(entry, Patched) else ""
        return said + (
            "; a second replay went another way: the code does not do the same each time"
            if self._diagnosis.lost
            else ""
        )

    # --- both sides in words
    def _make(
        self, difference: Difference, message: str, entry: Entry | None, recorded: str | None, ops: Sequence[Op]
    ) -> Finding:
        said = tuple(map(self._machine.words, ops[:SHOWN]))
        if len(ops) > SHOWN:
            said = (*said, f"{len(ops) - SHOWN:,} more")
        lines = tuple(self._line(op) for op in ops[:SHOWN]) + ((None,) if len(ops) > SHOWN else ())
        key = entry.key if entry is not None else None
        if recorded is None:
            recorded = self._machine.words(entry) if entry is not None else ""
        where = next(iter(lines), None) or self._fault.where
        return Finding(difference, message, key, recorded, said or ("nothing",), lines or (where,), where)

    def _as_told(self, fault: Fault, key: str, recorded: str, difference: Difference) -> Finding:
        lines = (fault.where, *[None for _ in fault.current[1:]])
        return Finding(difference, fault.message, key, recorded, fault.current, lines, fault.where)

    def _line(self, op: Op) -> str | None:
        if (line := self._lines.get(op.key)) is not None:
            return line
        return self._places.of(op)


def named(thing: Op | Entry) -> str:
    """An operation or entry by kind and key."""
    return describe(thing).partition("(")[0]
