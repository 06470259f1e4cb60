"""What the note of a fork says while it is being made: nothing may run it, and the same command finishes it."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from typing import Any, cast

from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.heartbeats import read_note

FIELD = "fork"
"""Where the note has it."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Of which flow it is a fork, from which of its steps and sequences on, and which children's ends were added to
    what that flow had recorded; `digest` is of all that it is to have."""

    source: str
    from_step: str
    cut: int
    children: tuple[str, ...]
    digest: str

    def command(self, new_id: str | None) -> str:
        """The command that makes this fork, but for what it changes of the flow."""
        command = f"ergon fork {shlex.quote(self.source)} --from {shlex.quote(self.from_step)}"
        return command if new_id is None else f"{command} --id {shlex.quote(new_id)}"

    def note(self, now: int) -> bytes:
        """The note of a fork that is not finished."""
        said = "this fork is not finished: run the command that makes it again, or cancel it"
        why = {"kind": "paused", "message": said, "since": now, "times": 1}
        return json.dumps({"why": why, FIELD: asdict(self)}, ensure_ascii=False).encode(errors="surrogatepass")


def unfinished_fork(row: FlowRow) -> Unfinished | None:
    """What the flow is to become, if it is a fork that was never finished; cancelled ones will not be."""
    if row.status not in (Status.BLOCKED, Status.CANCELLED):
        return None
    found: Any = read_note(row.note).get(FIELD)
    match found:
        case {
            "source": str(source),
            "from_step": str(from_step),
            "cut": int(cut),
            "children": list(),
            "digest": str(digest),
        }:
            children = cast("list[object]", found["children"])
            return Unfinished(source, from_step, cut, tuple(map(str, children)), digest)
        case _:
            return None
