"""Operations: what flow code has asked for and not got yet. One object per key, owned by the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from ergon_runtime.core.entries import ChildEnded, SignalReceived, StepEnded
from ergon_runtime.core.loop import FlowTimer


class StepOp:
    """A step to run. `call` is what the runner runs; the core does not look into it."""

    __slots__ = (
        "args",
        "at_most_once",
        "call",
        "digest",
        "ended",
        "future",
        "key",
        "name",
        "over",
        "stopping",
        "turn",
    )
    kind: ClassVar[str] = "step"

    def __init__(
        self,
        key: str,
        name: str,
        digest: str,
        args: str,
        call: object,
        at_most_once: bool,
        turn: int,
        future: asyncio.Future[StepEnded],
    ) -> None:
        self.key, self.name, self.digest, self.args = key, name, digest, args
        self.call, self.at_most_once, self.turn, self.future = call, at_most_once, turn, future
        self.over = self.stopping = False
        self.ended: asyncio.Future[None] | None = None


class TimerOp:
    """A durable timer: a sleep, or the alarm of a timeout."""

    __slots__ = ("asked", "digest", "due", "handle", "key", "name", "over", "sleep", "turn")
    kind: ClassVar[str] = "timer"

    def __init__(self, key: str, name: str, asked: int, due: int, sleep: bool, turn: int, handle: FlowTimer) -> None:
        self.key, self.name, self.digest = key, name, ""
        self.asked, self.due, self.sleep, self.turn, self.handle = asked, due, sleep, turn, handle
        self.over = False


class SignalOp:
    """A wait for a signal. `accepts` tells whether a payload fits the type that the code waits for (S4)."""

    __slots__ = ("accepts", "channel", "digest", "future", "key", "name", "over", "since", "turn")
    kind: ClassVar[str] = "signal"

    def __init__(
        self,
        key: str,
        name: str,
        accepts: Callable[[str], bool],
        since: int,
        turn: int,
        future: asyncio.Future[SignalReceived],
    ) -> None:
        self.key, self.name, self.digest, self.channel = key, name, "", f"signal:{name}"
        self.accepts, self.since, self.turn, self.future = accepts, since, turn, future
        self.over = False


class ChildOp:
    """A wait for a child's end."""

    __slots__ = ("channel", "child", "digest", "future", "key", "name", "over", "since", "turn")
    kind: ClassVar[str] = "child"

    def __init__(
        self, key: str, name: str, digest: str, child: str, since: int, turn: int, future: asyncio.Future[ChildEnded]
    ) -> None:
        self.key, self.name, self.digest, self.child, self.channel = key, name, digest, child, f"child:{child}"
        self.since, self.turn, self.future = since, turn, future
        self.over = False


Op: TypeAlias = StepOp | TimerOp | SignalOp | ChildOp
