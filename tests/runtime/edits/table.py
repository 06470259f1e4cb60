"""What an edit of flow code is: a flow, a text of it for another, and what a replay has to say.

In the new text the comment `# here` marks the line that the report has to name. The tables of this folder are run by
test_replay_mutations.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ergon_runtime.replay import Difference

Mode = Literal["waits", "ends", "cancelled"]
"""How far the flow ran: until it waits for `go`, to its end, or until it was cancelled there."""


@dataclass(frozen=True)
class Harmless:
    """An edit that replay has nothing to say of."""

    name: str
    flow: str
    old: str = ""
    new: str = ""
    modes: tuple[Mode, ...] = ("waits", "ends")
    mail: tuple[str, ...] = ()
    head: tuple[str, str] = ("", "")
    check_result: bool = False


@dataclass(frozen=True)
class Mutation:
    """An edit that replay has to find. `mail` are signals that the flow gets, besides `go` if it is to end."""

    name: str
    flow: str
    old: str
    new: str
    difference: Difference
    key: str | None
    recorded: str
    current: str
    modes: tuple[Mode, ...] = ("waits", "ends")
    mail: tuple[str, ...] = ()
    check_result: bool = False
    says: str = ""
    head: tuple[str, str] = ("", "")


def line(text: str) -> str:
    return f"    {text}\n"


ENDS: tuple[Mode, ...] = ("ends",)
WAITS: tuple[Mode, ...] = ("waits",)
CHARGE, PACK, SHIP = 'step charge("n":1)', 'step pack("n":2)', 'step ship("n":3)'
GO = line('return await wait_signal("go", int)')
