"""What a replay found, as data and as JSON. Fields are only ever added, with defaults: other programs read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ergon_runtime.core.faults import FaultKind
from ergon_runtime.core.flows import Status

Verdict: TypeAlias = Literal["same", "diverged", "unreadable", "unserved"]
Path: TypeAlias = Literal["old", "new"]
Difference: TypeAlias = Literal["step", "arguments", "order", "missing", "extra", "kind", "result", "end"]
"""What differs first. step: another operation stands in its place, also under a new name. arguments: the same with
other arguments. order: both ask for it, at another time. missing: it is recorded, and no longer asked for. extra: it is
asked for, and not recorded. kind: its key belongs to an operation of another kind. result: what is recorded no longer
fits its type, or the flow ends with another result. end: the flow ends in another way, or does not end."""


@dataclass(frozen=True, slots=True)
class PatchUse:
    """What a flow has to do with one id of `patched` in its present life.

    `path` is what its code was told; None when the code did not ask. `recorded`: the journal holds the marker, so the
    code has to ask for it (E6).
    """

    id: str
    path: Path | None
    recorded: bool

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "path": self.path, "recorded": self.recorded}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PatchUse:
        return cls(data["id"], data["path"], data["recorded"])


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One line of the two columns around the first difference.

    `position` is the place of what is recorded among all recorded completions, from 1; None where nothing is recorded
    beside what the code asks for. `recorded` and `current` describe both sides; None where a side has nothing. `where`
    is the line of code that awaits `current`, as `file:line`, if it is known.
    """

    position: int | None
    recorded: str | None
    current: str | None
    equal: bool
    where: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "position": self.position,
            "recorded": self.recorded,
            "current": self.current,
            "equal": self.equal,
            "where": self.where,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ComparedRow:
        return cls(data["position"], data["recorded"], data["current"], data["equal"], data["where"])


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found.

    same: journal and code agree. diverged: they do not, or the code runs on without waiting (`kind`); `key`, `recorded`
    and `current` name both sides, `where` the line of code. unreadable: stored data does not fit the code or cannot be
    read. unserved: no code of this type and version is loaded. `delivered` describes the completions that agreed, in
    order; `total` is how many were recorded. `patches` are the patch ids asked for or recorded: all of them if the
    verdict is same, else those met before the replay ended.

    Of a difference between journal and code (also `unreadable` for a recorded value): `difference` is its kind,
    `lines` the line of each of `current`, `rows` both sides in columns, and `fixes` the ways out, in words.
    `left_out` counts the first completions that `delivered` does not describe: all of them in a report read from JSON.
    """

    flow_id: str
    flow: str
    version: str | None
    status: Status
    verdict: Verdict
    delivered: tuple[str, ...] = ()
    total: int = 0
    kind: FaultKind | None = None
    message: str | None = None
    key: str | None = None
    recorded: str | None = None
    current: tuple[str, ...] = ()
    where: str | None = None
    patches: tuple[PatchUse, ...] = ()
    difference: Difference | None = None
    lines: tuple[str | None, ...] = ()
    rows: tuple[ComparedRow, ...] = ()
    fixes: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def position(self) -> int:
        """How many completions were delivered before the replay ended."""
        return self.left_out + len(self.delivered)

    def to_json(self) -> dict[str, Any]:
        """As `ergon replay --json` prints it."""
        return {
            "id": self.flow_id,
            "flow": self.flow,
            "version": self.version,
            "status": self.status.value,
            "verdict": self.verdict,
            "position": self.position,
            "entries": self.total,
            "kind": self.kind and self.kind.value,
            "message": self.message,
            "key": self.key,
            "recorded": self.recorded,
            "current": list(self.current),
            "where": self.where,
            "patches": [use.to_json() for use in self.patches],
            "difference": self.difference,
            "lines": list(self.lines),
            "rows": [row.to_json() for row in self.rows],
            "fixes": list(self.fixes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ReplayReport:
        """What `to_json` gave, without `delivered`. Raises KeyError or ValueError for anything else."""
        return cls(
            data["id"],
            data["flow"],
            data["version"],
            Status(data["status"]),
            data["verdict"],
            left_out=data["position"],
            total=data["entries"],
            kind=data["kind"] and FaultKind(data["kind"]),
            message=data["message"],
            key=data["key"],
            recorded=data["recorded"],
            current=tuple(data["current"]),
            where=data["where"],
            patches=tuple(map(PatchUse.from_json, data["patches"])),
            difference=data["difference"],
            lines=tuple(data["lines"]),
            rows=tuple(map(ComparedRow.from_json, data["rows"])),
            fixes=tuple(data["fixes"]),
        )
