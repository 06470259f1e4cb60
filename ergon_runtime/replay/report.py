"""What a replay found, as data and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ergon_runtime.core.faults import FaultKind
from ergon_runtime.core.flows import Status

Verdict: TypeAlias = Literal["same", "diverged", "unreadable", "unserved"]
Path: TypeAlias = Literal["old", "new"]


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


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found.

    same: journal and code agree. diverged: they do not, or the code runs on without waiting (`kind`); `key`, `recorded`
    and `current` name both sides, `where` the line of code. unreadable: stored data does not fit the code or cannot be
    read. unserved: no code of this type and version is loaded. `delivered` describes the completions that agreed, in
    order; `total` is how many were recorded. `patches` are the patch ids asked for or recorded: all of them if the
    verdict is same, else those met before the replay ended.
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

    @property
    def position(self) -> int:
        """How many completions were delivered before the replay ended."""
        return len(self.delivered)

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
        }
