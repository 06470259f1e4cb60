"""What the bodies of steps do: each start is written down, and those that must not be are problems.

It reads the journal by itself, not through the machine, so that both cannot be wrong together.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from ergon_runtime.core.entries import AttemptFailed, Recorded, StepEnded, unpack
from ergon_runtime.primitives import StepInfo, step_info
from tests.faults.cores import Core
from tests.simulation.ledger import is_success, kept, lives
from tests.simulation.loop import SimLoop


@dataclass(frozen=True, slots=True)
class Effect:
    """A start of a step's body."""

    flow: str
    life: int
    key: str
    idempotency_key: str
    told: str


class Effects:
    """All effects of one run."""

    def __init__(self, core: Core, blame: Callable[[str], None], kill: Callable[[], None]) -> None:
        self.all: list[Effect] = []
        self.marks: set[str] = set()
        """What people have changed in the world outside."""
        self.kill = kill
        """The process that runs now dies."""
        self._core, self._blame = core, blame
        self._told: dict[tuple[str, int, str], str] = {}
        self._once: dict[str, int] = defaultdict(int)

    def journal(self, flow: str) -> list[Recorded]:
        return [unpack(row, seq) for seq, row in enumerate(self._core.do("journal", flow, 0, 1_000_000))]

    def count(self) -> Counter[str]:
        """Effects by idempotency key."""
        return Counter(effect.idempotency_key for effect in self.all)

    def begin(self, info: StepInfo, told: str, *, once: bool) -> None:
        """A body starts."""
        flow, key = info.flow_id, info.key
        if self._core.token(flow) != info.token:
            self._blame(f"{flow} {key} starts under a stale token (C6)")
        rows = lives(self.journal(flow))
        life, epoch = rows[-1][:2] if rows else (1, 1)
        self.all.append(Effect(flow, life, key, info.idempotency_key, told))
        self._check_records(info, told, life, epoch)
        if self._told.setdefault((flow, life, key), told) != told:
            self._blame(f"{flow} {key} starts again in life {life}, and with other arguments")
        if info.idempotency_key != f"{flow}:{epoch}:{key}":
            self._blame(f"{flow} {key} has the idempotency key {info.idempotency_key} in epoch {epoch}")
        tries = sum(isinstance(e, AttemptFailed) and e.key == key and n == life for n, _, e in rows)
        if info.attempt != tries + 1:
            self._blame(f"{flow} {key}: {tries} failed tries are recorded, and this says it is try {info.attempt} (T2)")
        self._once[info.idempotency_key] += once
        if self._once[info.idempotency_key] > 1:
            self._blame(f"{flow} {key} starts twice, and runs at most once (T5)")

    def _check_records(self, info: StepInfo, told: str, life: int, epoch: int) -> None:
        for n, of, entry in kept(self.journal(info.flow_id)):
            if not isinstance(entry, StepEnded) or entry.key != info.key:
                continue
            remembered = of == epoch and is_success(entry) and json.loads(entry.args).get("told", "") == told
            if n == life or (n < life and remembered):
                self._blame(f"{info.flow_id} {info.key} is recorded in life {n} and runs again in life {life}")


present: list[Effects] = []
"""Those of the run that is under way, last."""


def begin(told: str = "", *, once: bool = False) -> StepInfo:
    """A step's body begins: write it down."""
    info = step_info()
    present[-1].begin(info, told, once=once)
    return info


def name_of(info: StepInfo) -> str:
    """A step's key without its scope."""
    return info.key.rpartition("/")[2]


async def work(told: str = "", *, seconds: float = 0.02, once: bool = False) -> str:
    """What a step's body does: the same result every time."""
    info = begin(told, once=once)
    await asyncio.sleep(seconds)
    return f"{name_of(info)}({told})"


def work_in_thread(told: str = "", *, seconds: float = 0.02) -> str:
    """The same in the body of a sync step."""
    info, loop = begin(told), asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    loop.spent = seconds
    return f"{name_of(info)}({told})"
