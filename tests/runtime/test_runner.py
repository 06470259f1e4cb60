"""The runner of one claimed flow: commits sent again, leases lost, the self-fence, loading, machines kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergon_runtime import journal as journal_module
from ergon_runtime import runner as runner_module
from ergon_runtime.core import decide as decide_module
from ergon_runtime.core.decide import Decision, Situation
from ergon_runtime.core.flows import ClaimRequest
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.lease import HeldLease
from ergon_runtime.primitives import sleep, wait_signal
from ergon_runtime.residents import Resident
from ergon_runtime.runner import Runner
from ergon_runtime.stores.memory import MemoryStore
from tests.runtime.faults import Faults, FaultyStore, steal
from tests.runtime.rigs import LEASE, Rig, rig, stands, store_clock, virtual
from tests.runtime.workers import until

log: list[Any] = []


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    with registry.isolated():
        yield


class Claimed:
    """A flow with the id `f`, claimed, its runner, and a store that goes wrong when told. `skip` moves the boot
    clock."""

    def __init__(self, here: Rig, faults: Faults, runner: Runner) -> None:
        self.here, self.faults, self.runner = here, faults, runner
        self.skip = 0.0

    @property
    def sent(self) -> int:
        return len(self.faults.calls)


@asynccontextmanager
async def claimed(value: Any, *served: Any, resident: Resident | None = None) -> AsyncIterator[Claimed]:
    memory = MemoryStore(clock=store_clock)
    here, faults = Rig(memory), Faults()
    made: list[Claimed] = []
    engine = here.engine(
        *served,
        store=FaultyStore(memory, faults),
        boot=lambda: asyncio.get_running_loop().time() + (made[0].skip if made else 0.0),
    )
    await here.scheduler.schedule(value, id="f")
    (claim,) = (await memory.claim(ClaimRequest("w", engine.lease, 1, ids=("f",)))).claims
    runner = Runner(engine, claim, HeldLease(claim.lease, engine.lease, engine.boot()), resident)
    made.append(Claimed(here, faults, runner))
    yield made[0]
    await here.close()


def two_steps(seconds: float = 1.2) -> Any:
    """A flow that runs two steps at once, one for 0.5 seconds, and tells when it is dropped from memory."""

    @step
    async def quick() -> None:
        await asyncio.sleep(0.5)

    @step
    async def slow() -> None:
        log.append("slow begun")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            log.append("slow cancelled")
            raise

    @flow
    async def both() -> str:
        try:
            await asyncio.gather(quick(), slow())
        finally:
            log.append("flow code left")
        return "done"

    return both


# --- commits (C1)


@pytest.mark.parametrize("fault", ["refused", "unanswered"])
def test_c1_commit_is_sent_again_under_its_id_and_applied_once(fault: str) -> None:
    async def main() -> None:
        both = two_steps()
        async with claimed(both(), both) as flow_:
            flow_.faults.plan = {2: fault, 3: fault}
            await flow_.runner.run()
            ids = [commit.id for commit in flow_.faults.commits]
            assert ids[1] == ids[2] == ids[3]
            assert len(set(ids)) == len(ids) - 2
            assert await flow_.here.kinds() == ["step 1/quick", "step 2/slow"]
            assert (await flow_.here.row()).status == "completed"

    virtual(main)


def test_c6_answer_to_a_commit_sent_again_renews_the_lease_from_when_it_was_first_sent() -> None:
    async def main() -> None:
        both = two_steps()
        async with claimed(both(), both) as flow_:
            flow_.faults.plan = dict.fromkeys(range(2, 7), "unanswered")  # applied at once, answered at 1.76 s
            running = asyncio.create_task(flow_.runner.run())
            await until(lambda: flow_.sent == 7)
            assert flow_.runner.held.sent == pytest.approx(0.5)
            running.cancel()
            await asyncio.wait([running])

    virtual(main)


@pytest.mark.parametrize("commit", [1, 2, 3])
def test_lease_lost_at_a_commit_cancels_the_bodies_writes_nothing_and_evicts_the_machine(commit: int) -> None:
    async def main() -> None:
        both = two_steps()
        async with claimed(both(), both) as flow_:
            before: list[object] = []

            def stolen() -> None:
                steal(flow_.here.store.state)  # type: ignore[attr-defined]  # a memory store
                before.append(flow_.here.store.state.get("f"))  # type: ignore[attr-defined]  # as above

            flow_.faults.plan = {commit: stolen}
            assert await flow_.runner.run() is None
            await asyncio.sleep(0)
            assert before == [await flow_.here.row()]
            assert flow_.sent == commit
            seen = {1: [], 2: ["slow begun", "slow cancelled"], 3: ["slow begun"]}[commit]  # at 1 no body has begun yet
            assert log == [*seen, "flow code left"]

    virtual(main)


def test_c1_commit_that_was_applied_before_the_lease_was_lost_is_the_last_one() -> None:
    async def main() -> None:
        both = two_steps()
        async with claimed(both(), both) as flow_:
            flow_.faults.plan = {2: "unanswered", 3: lambda: steal(flow_.here.store.state)}  # type: ignore[attr-defined]  # a memory store
            assert await flow_.runner.run() is None
            assert flow_.sent == 3
            assert await flow_.here.kinds() == ["step 1/quick"]
            assert (await flow_.here.row()).status == "running"

    virtual(main)


# --- the self-fence (C6)


def test_c6_past_two_thirds_of_the_lease_a_result_is_not_sent() -> None:
    async def main() -> None:
        both = two_steps()
        async with claimed(both(), both) as flow_:
            running = asyncio.create_task(flow_.runner.run())
            await asyncio.sleep(0.1)
            sent, flow_.skip = flow_.sent, LEASE * 2 / 3
            assert await running is None
            await asyncio.sleep(0)
            assert flow_.sent == sent
            assert log == ["slow begun", "slow cancelled", "flow code left"]

    virtual(main)


def test_c6_store_that_is_away_is_not_asked_past_two_thirds_of_the_lease() -> None:
    async def main() -> None:
        both = two_steps()
        async with claimed(both(), both) as flow_:
            flow_.faults.plan = dict.fromkeys(range(2, 1000), "refused")
            assert await flow_.runner.run() is None
            assert 5 < flow_.sent < 50
            assert asyncio.get_running_loop().time() == pytest.approx(LEASE * 2 / 3)  # the last good one was sent at 0

    virtual(main)


def test_c6_no_retry_starts_past_two_thirds_of_the_lease() -> None:
    @step(retry=RetryPolicy(max_attempts=2, initial=1))
    async def flaky() -> None:
        log.append("try")
        raise ValueError("once more")

    @step
    async def slow() -> None:
        await asyncio.sleep(10)

    @flow
    async def calls() -> None:
        await asyncio.gather(flaky(), slow())

    async def main() -> None:
        async with claimed(calls(), calls) as flow_:
            running = asyncio.create_task(flow_.runner.run())
            await asyncio.sleep(0.5)
            flow_.skip = LEASE * 2 / 3
            assert await running is None
            await asyncio.sleep(5)
            assert log == ["try"]

    virtual(main)


def test_lease_that_the_keeper_finds_lost_stops_the_bodies_at_once() -> None:
    async def main() -> None:
        both = two_steps(100)
        async with rig(both, lease=30.0) as here:
            await here.scheduler.schedule(both(), id="f")
            await asyncio.sleep(1)
            steal(here.store.state)  # type: ignore[attr-defined]  # a memory store
            await asyncio.sleep(9.1)
            assert log == ["slow begun", "slow cancelled", "flow code left"]

    virtual(main)


# --- its session


def test_runner_cancelled_in_the_moment_it_is_woken_ends() -> None:
    async def main() -> None:
        both = two_steps()
        async with claimed(both(), both) as flow_:
            running = asyncio.create_task(flow_.runner.run())
            await asyncio.sleep(0.1)
            flow_.runner.notice()
            await asyncio.sleep(0)  # the wait has ended, and the runner has not heard yet
            running.cancel()
            await asyncio.wait([running], timeout=1)
            assert running.cancelled()

    virtual(main)


def test_draining_runner_does_not_spin_over_a_retry_that_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    @step(retry=RetryPolicy(max_attempts=2, initial=0.1))
    async def flaky() -> None:
        log.append("try")
        raise ValueError("once more")

    @step
    async def slow() -> None:
        await asyncio.sleep(1.5)

    @flow
    async def calls() -> None:
        await asyncio.gather(flaky(), slow())

    decided: list[Situation] = []

    def decide(machine: FlowMachine, situation: Situation) -> Decision:
        decided.append(situation)
        return decide_module.decide(machine, situation)

    monkeypatch.setattr(runner_module, "decide", decide)

    async def main() -> None:
        async with claimed(calls(), calls) as flow_:
            running = asyncio.create_task(flow_.runner.run())
            await asyncio.sleep(0.05)
            flow_.runner.drain()
            await running
            assert log == ["try"]
            assert len(decided) < 20
            row = await flow_.here.row()
            assert (row.status, row.due) == ("waiting", 1_700_000_000_100)

    virtual(main)


# --- loading


def test_journal_longer_than_a_page_is_loaded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "PAGE", 3)

    @step
    async def count(n: int) -> int:
        log.append(n)
        return n

    @flow
    async def counts() -> int:
        total = sum([await count(n) for n in range(10)])
        await wait_signal("go")
        return total

    async def main() -> None:
        async with rig(counts, residents=0) as here:
            handle = await here.scheduler.schedule(counts(), id="f")
            await stands(handle, "waiting")
            await handle.signal("go")
            assert await handle.result() == 45
            assert log == list(range(10))

    virtual(main)


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "commit"])
def test_loading_outlasts_a_store_that_is_away(journal: bool) -> None:
    @flow
    async def waits() -> str:
        await sleep(5)
        return "done"

    async def main() -> None:
        memory = MemoryStore(clock=store_clock)
        here, faults = Rig(memory), Faults()
        faults.counted = ("journal",) if journal else ("commit",)
        faults.plan = {1: "refused", 2: "unanswered"}
        here.start(waits, store=FaultyStore(memory, faults), residents=0)
        assert await here.result(waits()) == "done"
        assert len(faults.calls) >= 3
        await here.close()

    virtual(main)


# --- machines kept in memory (C2)


def test_c2_kept_machine_of_another_head_is_dropped_and_the_flow_rebuilt() -> None:
    @flow
    async def waits() -> list[str]:
        log.append("begun")
        try:
            return [await wait_signal("a", str), await wait_signal("b", str)]
        finally:
            log.append("left")

    async def main() -> None:
        async with rig(waits) as here:
            handle = await here.scheduler.schedule(waits(), id="f")
            await stands(handle, "waiting")
            residents = here.workers[0]._residents
            stale = residents.take("f")
            assert stale is not None
            await handle.signal("a", "1")
            await until(lambda: residents.flows == ["f"])
            assert log == ["begun", "begun"]
            residents.keep("f", stale)
            await handle.signal("b", "2")
            assert await handle.result() == ["1", "2"]
            assert stale.machine.loop.evicted
            assert log.count("begun") == 3
            assert asyncio.get_running_loop().time() < LEASE  # and not only when its commit was refused

    virtual(main)


def test_c2_kept_machine_of_the_same_head_goes_on() -> None:
    @flow
    async def waits() -> list[str]:
        log.append("begun")
        return [await wait_signal("a", str), await wait_signal("b", str)]

    async def main() -> None:
        async with rig(waits) as here:
            handle = await here.scheduler.schedule(waits(), id="f")
            for name in "ab":
                await stands(handle, "waiting")
                await handle.signal(name, name)
                await asyncio.sleep(1)
            assert await handle.result() == ["a", "b"]
            assert log == ["begun"]

    virtual(main)
