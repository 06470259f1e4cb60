"""Records the histories beside it: `python -m tests.histories.record`, by each Python that Ergon runs on.

One folder for each release and Python, `0.1.0-py3.11`, one file for each scenario below. What is there is kept: delete
a file to record it anew, but never one of an earlier release. All are recorded under one hash seed, in virtual time.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from ergon_cli import __version__
from ergon_cli.hashseed import under_hash_seed
from ergon_runtime import Status, flow, registry, wait_signal
from ergon_runtime.core.flows import FlowQuery
from ergon_runtime.histories import FlowHistory, history_line, read_history
from ergon_runtime.mail import cancel_flow
from ergon_runtime.operators import fork_flow, plan_fork, plan_retry, retry_flow
from tests.histories import flows
from tests.runtime.rigs import Rig, rig, stands, virtual

FOLDER = Path(__file__).parent
HASH_SEED = "1"
Scenario = Callable[[Rig], Awaitable[None]]
SERVED: tuple[Any, ...] = (
    *(flows.order, flows.values, flows.waits, flows.races, flows.Report, flows.stopped, flows.failed),
    *(flows.child, flows.patient, flows.parent, flows.rounds, flows.retried, flows.undone),
)
ENDED = ("completed", "failed", "cancelled")


def scheduled(value: Any, *signals: tuple[str, object], until: tuple[str, ...] = ENDED) -> Scenario:
    """A flow that a worker serves until it stands so."""

    async def scenario(world: Rig) -> None:
        world.start(*SERVED)
        handle = await world.scheduler.schedule(value, id="f")
        for name, payload in signals:
            await handle.signal(name, payload)
        await stands(handle, *until)

    return scenario


async def cancelled(world: Rig) -> None:
    world.start(flows.cancelled)
    handle = await world.scheduler.schedule(flows.cancelled(), id="f")
    await stands(handle, "waiting")
    await cancel_flow(world.store, "f")
    await stands(handle, *ENDED)


async def once(world: Rig) -> None:
    """The worker dies while the step runs, and another takes over."""
    first = world.start(flows.once)
    handle = await world.scheduler.schedule(flows.once(), id="f")
    while "begun pay" not in await world.kinds():
        await asyncio.sleep(0.001)
    await first.abort()
    world.start(flows.once)
    await stands(handle, *ENDED)


async def mended(world: Rig) -> None:
    """A person retries a flow that failed, from a step."""
    world.start(flows.mended)
    handle = await world.scheduler.schedule(flows.mended(), id="f")
    await stands(handle, "failed")
    flows.broken.clear()
    await retry_flow(world.store, await plan_retry(world.store, await world.row(), from_step="tell#2"))
    await stands(handle, *ENDED)


async def adopted(world: Rig) -> None:
    """The flow began with other code, which asked for its steps in another order."""
    with registry.isolated():

        @flow(name="history.adopted")
        async def before() -> str:
            await flows.tell("first")
            return await wait_signal("go", str)

    old = world.start(before)
    handle = await world.scheduler.schedule(before(), id="f")
    await stands(handle, "waiting")
    await old.shutdown()
    world.start(flows.adopted, fingerprint="changed")
    await handle.signal("go", "on")
    await stands(handle, "blocked")
    await retry_flow(world.store, await plan_retry(world.store, await world.row(), adopt=True))
    await stands(handle, *ENDED)


async def forked(world: Rig) -> None:
    """A person forks a completed flow from the middle of its journal."""
    await scheduled(flows.races(), ("early", 1))(world)
    await fork_flow(world.store, await plan_fork(world.store, await world.row(), from_step="8/tell", new_id="g"))
    await stands(world.scheduler.handle("g"), *ENDED)


GO: tuple[tuple[str, object], ...] = (("decide", {"approved": True, "by": "ada"}),)
SCENARIOS: dict[str, Scenario] = {
    "order": scheduled(flows.order(17), *GO),
    "values": scheduled(flows.values([Decimal("1.5"), {"x"}])),
    "waits": scheduled(flows.waits(1), until=("waiting",)),
    "races": scheduled(flows.races(), ("early", 1)),
    "dag": scheduled(flows.Report(3)),
    "stopped": scheduled(flows.stopped()),
    "cancelled": cancelled,
    "failed": scheduled(flows.failed("no luck")),
    "once": once,
    "parent": scheduled(flows.parent()),
    "rounds": scheduled(flows.rounds(1)),
    "retried": scheduled(flows.retried()),
    "undone": scheduled(flows.undone()),
    "mended": mended,
    "adopted": adopted,
    "forked": forked,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where this release and Python records."""

    folder: Path = FOLDER / f"{__version__}-py{sys.version_info.major}.{sys.version_info.minor}"

    def record(self) -> list[str]:
        """Record the scenarios that have no file yet; their names."""
        self.folder.mkdir(exist_ok=True)
        names = [name for name in SCENARIOS if not (self.folder / f"{name}.jsonl").exists()]
        for name in names:
            lines = [history_line(each) for each in virtual(lambda: histories(SCENARIOS[name]))]  # noqa: B023  run now
            (self.folder / f"{name}.jsonl").write_text("".join(lines))
        return names


async def histories(scenario: Scenario) -> list[FlowHistory]:
    """The flows that a scenario leaves, by id."""
    async with rig() as world:
        await scenario(world)
        rows = await world.store.list(FlowQuery())
        live = [row.id for row in rows if row.status in (Status.RUNNING, Status.PENDING)]
        assert not live, live
        found = [await read_history(world.store, row) for row in sorted(rows, key=lambda row: row.id)]
    return [shorn(each) for each in found]


def shorn(history: FlowHistory) -> FlowHistory:
    """Under the one hash seed, and without the folder that this checkout is in, which tracebacks name."""
    here = f"{FOLDER.parents[1]}/".encode()
    result = history.row.result and history.row.result.replace(here, b"")
    entries = tuple(entry.replace(here, b"") for entry in history.entries)
    return FlowHistory(replace(history.row, result=result), entries, HASH_SEED)


if __name__ == "__main__":
    under_hash_seed(HASH_SEED)
    assert os.environ["PYTHONHASHSEED"] == HASH_SEED
    print(f"recorded: {', '.join(Place().record()) or 'nothing, all is there'}")
