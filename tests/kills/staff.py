"""The rig's side of the nursery: starts `ergon` processes, sends them signals, and learns what becomes of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.processes import ROOT
from tests.kills import ledger, points

LOADED = "tests.kills.flows"


@dataclass
class Hand:
    """A process of the nursery. `ended` has its exit code, negative for a signal, and the time."""

    number: int
    log: Path
    ended: asyncio.Future[tuple[int, int]]
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    was_stopped: bool = False
    killed_at: int | None = None
    """When SIGKILL was sent by the rig, by the boot clock."""

    async def end(self) -> int:
        """Wait for its end; its exit code."""
        await asyncio.wait([self.ended])  # a plain await would cancel it with its waiter
        return self.ended.result()[0]

    @property
    def alive(self) -> bool:
        return not self.ended.done()

    @property
    def killed(self) -> bool:
        """Whether a signal ended it that it could do nothing about."""
        return self.ended.done() and self.ended.result()[0] < 0

    @property
    def drained(self) -> bool:
        """Whether it ended as asked."""
        return self.ended.done() and self.ended.result()[0] == 0

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Staff:
    """The processes of one run, by number."""

    def __init__(self, folder: Path, environ: dict[str, str], *, cold_one_in: int = 0) -> None:
        self.folder, self.environ, self.hands = folder, environ, dict[int, Hand]()
        self._cold_one_in = cold_one_in
        self._nursery: asyncio.subprocess.Process | None = None

    async def open(self, kind: str, hash_seed: str) -> asyncio.Task[None]:
        """Start the nursery; the task ends with it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ERGON_")}
        self._nursery = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.kills.nursery", kind),
            cwd=ROOT,
            env=kept | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed} | self.environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return asyncio.create_task(self._hear())

    async def close(self) -> None:
        """End the nursery, and with it all that still runs."""
        assert self._nursery is not None
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        await self._nursery.wait()

    def start(self, *args: str, doom: str = "") -> Hand:
        """Start an `ergon` process, perhaps with a point at which it is to die or stop."""
        number = len(self.hands) + 1
        hand = Hand(number, self.folder / f"log-{number}", asyncio.get_running_loop().create_future())
        self.hands[number] = hand
        cold = args[0] == "worker" and self._cold_one_in > 0 and number % self._cold_one_in == 0
        environ = {points.POINT: doom, ledger.NUMBER: str(number)}
        self._order(start=number, args=args, environ=environ, log=str(hand.log), folder=str(self.folder), cold=cold)
        return hand

    def send(self, hand: Hand, what: signal.Signals) -> None:
        """Have a signal sent, unless the process has ended."""
        if hand.alive:
            hand.was_stopped |= what == signal.SIGSTOP
            if what == signal.SIGCONT:
                hand.stopped.clear()
            self._order(signal=int(what), to=hand.number)

    def _order(self, **order: Any) -> None:
        assert self._nursery is not None
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps(order).encode() + b"\n")

    async def _hear(self) -> None:
        assert self._nursery is not None
        assert self._nursery.stdout is not None
        async for line in self._nursery.stdout:
            said = json.loads(line)
            hand, code = self.hands[said["number"]], said["code"]
            match said["event"]:
                case "ended":
                    hand.ended.set_result((code, said["at"]))
                case "stopped":
                    hand.was_stopped = True
                    hand.stopped.set()
                case "signalled" if code == signal.SIGKILL:
                    hand.killed_at = said["at"]
                case _:
                    pass


@asynccontextmanager
async def staff(
    folder: Path, kind: str, hash_seed: str, environ: dict[str, str], *, cold_one_in: int = 0
) -> AsyncIterator[Staff]:
    """Processes of `ergon` over a store of this kind, at the address in the environment; none outlives the block."""
    environ = environ | {"ERGON_MODULES": LOADED, ledger.LEDGER: str(folder / "ledger")}
    made = Staff(folder, environ, cold_one_in=cold_one_in)
    hearing = await made.open(kind, hash_seed)
    try:
        yield made
    finally:
        await made.close()
        await hearing
