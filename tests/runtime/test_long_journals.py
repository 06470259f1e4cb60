"""Journals that grow long: a warning, and a cap at which the flow is blocked (`too_long`) until it is raised."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from ergon_runtime import Worker, open_store
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.fingerprint import fingerprint
from ergon_runtime.journal import JournalCap
from ergon_runtime.primitives import continue_as_new, invoke, sleep, wait_signal
from tests.runtime.rigs import Rig, rig, stands, virtual

CAP = 100
gates: list[asyncio.Event] = []


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    gates.clear()
    with registry.isolated():
        yield


def why(row: FlowRow) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.note or b"{}")["why"]
    return found


@step
async def count(n: int) -> int:
    return n


@step
async def gated(n: int) -> int:
    gate = asyncio.Event()
    gates.append(gate)
    await gate.wait()
    return n


@flow
async def counts(upto: int) -> int:
    return sum([await count(n) for n in range(upto)])


async def blocked(here: Rig, value: Any, cap: int = CAP, **settings: Any) -> FlowRow:
    """Run a flow under a cap until it is blocked."""
    with registry.isolated():
        here.start(counts, value.definition, cap=JournalCap(cap), **settings)
    await stands(await here.scheduler.schedule(value, id="f"), "blocked")
    return await here.row()


def test_flow_at_the_cap_is_blocked_as_too_long_and_says_how_long() -> None:
    async def main() -> None:
        async with rig() as here:
            row = await blocked(here, counts(1000))
            assert (row.length, why(row)["kind"]) == (CAP, "too_long")
            assert why(row)["message"] == "the journal has 100 entries, the cap is 100"

    virtual(main)


def test_flow_whose_code_ends_at_the_cap_ends() -> None:
    async def main() -> None:
        async with rig(counts, cap=JournalCap(CAP)) as here:
            assert await here.result(counts(CAP - 1)) == sum(range(CAP - 1))
            assert (await here.row()).length == CAP

    virtual(main)


def test_running_steps_end_and_are_recorded_before_the_flow_is_blocked() -> None:
    @flow
    async def wide() -> None:
        slow = asyncio.gather(gated(1), gated(2))
        await asyncio.gather(*[count(n) for n in range(2 * CAP)])
        await asyncio.gather(slow, count(3))

    async def main() -> None:
        async with rig(wide, cap=JournalCap(CAP)) as here:
            handle = await here.scheduler.schedule(wide(), id="f")
            while (await here.row()).length < 1 + 2 * CAP:
                await asyncio.sleep(0.001)
            assert await handle.status() is Status.RUNNING
            for gate in gates:
                gate.set()
            await stands(handle, "blocked")
            kinds = await here.kinds()
            assert len(kinds) == 2 * CAP + 2  # the steps that ran, and none of those asked for since
            assert {"step 1/gated", "step 2/gated"} < set(kinds)

    virtual(main)


@pytest.mark.parametrize("what", ["timers", "signals", "children"])
def test_what_needs_no_step_is_stopped_at_the_cap_too(what: str) -> None:
    @flow
    async def endless(what: str) -> None:
        while True:
            match what:
                case "timers":
                    await sleep(1)
                case "signals":
                    await wait_signal("go")
                case _:
                    await invoke(counts(0))

    async def main() -> None:
        async with rig() as here:
            if what == "signals":
                for _ in range(2 * CAP):
                    await here.scheduler.signal("go")
            row = await blocked(here, endless(what))
            assert (why(row)["kind"], row.length) == ("too_long", CAP)

    virtual(main)


def test_while_the_last_step_runs_nothing_else_is_recorded() -> None:
    @flow
    async def ticks() -> None:
        slow = asyncio.ensure_future(gated(1))
        while True:
            await sleep(1)
        await slow

    async def main() -> None:
        async with rig(ticks, cap=JournalCap(CAP)) as here:
            handle = await here.scheduler.schedule(ticks(), id="f")
            while (await here.row()).length < CAP:
                await asyncio.sleep(1)
            for _ in range(3):
                await here.scheduler.signal("go")
            await asyncio.sleep(50)
            assert ((await here.row()).length, await handle.status()) == (CAP, Status.RUNNING)
            gates[0].set()
            await stands(handle, "blocked")
            assert (await here.kinds())[-1] == "step 1/gated"

    virtual(main)


def test_cancel_of_a_flow_at_the_cap_is_heard_by_its_code() -> None:
    @flow
    async def stubborn() -> str:
        slow = asyncio.ensure_future(gated(1))
        try:
            await asyncio.gather(*[count(n) for n in range(CAP)])
            await slow
        except asyncio.CancelledError:
            return "was told"
        return "ended"

    async def main() -> None:
        async with rig(stubborn, cap=JournalCap(CAP)) as here:
            handle = await here.scheduler.schedule(stubborn(), id="f")
            while (await here.row()).length < 1 + CAP:
                await asyncio.sleep(0.001)
            await handle.cancel()
            assert await handle.result() == "was told"

    virtual(main)


def test_flow_that_continues_as_new_never_meets_the_cap() -> None:
    @flow
    async def rounds(left: int) -> str:
        for n in range(CAP // 2):
            await count(n)
        if left:
            continue_as_new(rounds(left - 1))
        return "done"

    async def main() -> None:
        async with rig(rounds, cap=JournalCap(CAP)) as here:
            assert await here.result(rounds(5)) == "done"
            assert (await here.row()).length > 2 * CAP

    virtual(main)


def test_worker_with_a_higher_cap_takes_the_flow_on_and_one_with_the_same_does_not() -> None:
    async def main() -> None:
        async with rig() as here:
            row = await blocked(here, counts(150), fingerprint="cap 100")
            here.start(counts, cap=JournalCap(CAP), fingerprint="cap 100")
            await asyncio.sleep(100)
            assert (await here.row()).head == row.head
            here.start(counts, cap=JournalCap(2 * CAP), fingerprint="cap 200")
            assert await here.scheduler.handle("f").result() == sum(range(150))

    virtual(main)


def test_fingerprint_of_a_worker_names_its_cap() -> None:
    async def prints(*caps: int) -> set[str]:
        async with open_store("memory://") as store:
            found: set[str] = set()
            for cap in caps:
                async with await Worker(store, max_entries=cap).register(counts).start() as running:
                    found.add(running.engine.fingerprint)
                    assert running.engine.cap.entries == cap
            return found

    assert len(asyncio.run(prints(100, 200, 100))) == 2
    assert fingerprint([], 100) != fingerprint([], 200)


def test_worker_refuses_a_cap_that_is_too_low() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            with pytest.raises(ValueError, match="max_entries must be 100 or more, not 99"):
                Worker(store, max_entries=99)

    asyncio.run(main())


def test_long_life_is_warned_of_once_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ergon_runtime.journal.LONG", 20)
    caplog.set_level(logging.WARNING)

    @flow
    async def two_lives(left: int) -> None:
        for n in range(30):
            await count(n)
            await sleep(1)
        if left:
            continue_as_new(two_lives(left - 1))

    async def main() -> None:
        async with rig(two_lives, residents=0) as here:
            await here.result(two_lives(1))

    virtual(main)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2  # one for each life, though the flow was loaded again and again
    assert all("the journal of flow f has 2" in text and "continue_as_new" in text for text in said)
