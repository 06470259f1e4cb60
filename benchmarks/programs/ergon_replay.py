"""Ergon's replay (T6): journals of 100 to 100,000 steps, loaded and replayed as a worker does that takes a flow over.

Reading the store is not measured. Decoding the entries is measured by itself, and taken off. The time is that of the
CPU: one thread works, and waits for nothing.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.programs import ergon_flows as flows
from benchmarks.programs.common import Order, order, versions
from benchmarks.programs.ergon import address
from benchmarks.results import emit
from ergon_runtime import Executor, open_store
from ergon_runtime.core.entries import Started, StepEnded, pack, unpack
from ergon_runtime.core.flows import FlowRow
from ergon_runtime.core.history import History
from ergon_runtime.core.machine import ENGINE, FlowMachine
from ergon_runtime.journal import load_journal
from ergon_runtime.turns import in_callback

SAMPLE = 3
"""Steps of the flow that is really run."""
LEAST = 100
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of CPU for one replay: all of it, and decoding the entries alone."""

    whole: float
    decoding: float


async def main(asked: Order) -> None:
    size, sample = LEAST, await recorded(asked.place)
    while size <= asked.count:
        spent = [await replay(*lengthened(*sample, size)) for _ in range(REPEATS)]
        whole, decoding = median(each.whole for each in spent), median(each.decoding for each in spent)
        times = {
            "cpu_seconds": round(whole, 5),
            "decoding_us_each": round(decoding / size * 1e6, 2),
            "repeats": REPEATS,
        }
        rate = round(size / (whole - decoding))
        emit(asked.work, f"{asked.name}, replay of {size}", rate, "entries/s", **times, **versions("ergon-runtime"))
        size *= 10


async def recorded(place: str) -> tuple[FlowRow, Sequence[bytes]]:
    """A short flow, and its journal."""
    async with open_store(address(place)) as store:
        await Executor(flows.alike(SAMPLE), store, id="sample").run()
        row = await store.get("sample")
        assert row is not None
        return row, await store.journal("sample", 0, 1000)


def lengthened(row: FlowRow, journal: Sequence[bytes], steps: int) -> tuple[FlowRow, list[bytes]]:
    """The flow as if it had so many steps, all like its first."""
    entries = [unpack(entry, n).entry for n, entry in enumerate(journal)]
    step = next(each for each in entries if isinstance(each, StepEnded))
    longer = [pack(replace(step, key=f"{step.name}#{n}" if n > 1 else step.name), n) for n in range(1, steps + 1)]
    return replace(row, args=row.args.replace(str(SAMPLE).encode(), str(steps).encode())), [journal[0], *longer]


async def replay(row: FlowRow, journal: list[bytes]) -> Spent:
    """Replay a journal on a new machine."""

    async def read(start: int, limit: int) -> list[bytes]:
        return journal[start : start + limit]

    gc.collect()
    begun = time.process_time()
    records = await load_journal(read, 0, len(journal))
    decoded = time.process_time()
    history = History(records, row.origin)
    definition = flows.alike(0).definition
    machine = FlowMachine(row.id, definition.start, history, seed=row.seed, args=row.args.decode())
    started = Started("", history.started, row.seed, row.version, ENGINE, "")
    await in_callback(lambda: machine.begin(started))
    ended = time.process_time()
    assert machine.done, "the replay did not reach the flow's end"
    await in_callback(machine.evict)
    return Spent(ended - begun, decoded - begun)


if __name__ == "__main__":
    asyncio.run(main(order()))
