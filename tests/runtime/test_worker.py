"""The worker: what it claims, how much at once, takeover, drain, suspects, machines kept in memory."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from ergon_runtime import DefinitionError, Scheduler, Status, Worker, flow, open_store, step, wait_signal
from ergon_runtime.core.flows import Claim, ClaimRequest, Claims, NewFlow, lane
from ergon_runtime.residents import Residents
from ergon_runtime.stores.memory import MemoryStore
from tests.runtime.workers import run, shop, until

ran: list[str] = []
gate = asyncio.Event()


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@step
async def worker_step(name: str) -> str:
    ran.append(name)
    return name


@flow
async def worker_one(name: str) -> str:
    return await worker_step(name)


@flow
async def worker_other(name: str) -> str:
    return await worker_step(f"other {name}")


@step
async def worker_at_gate(name: str) -> None:
    ran.append(name)
    await gate.wait()


@flow
async def worker_gated(name: str) -> None:
    await worker_at_gate(name)
    await worker_step(f"after {name}")


@flow
async def worker_gated_sleeps(name: str) -> None:
    await worker_at_gate(name)
    await asyncio.sleep(1)


@flow
async def worker_waits(name: str) -> str:
    ran.append("flow code")
    return await wait_signal(name, str)


def test_worker_without_flow_types_refuses_to_start() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            with pytest.raises(DefinitionError, match="register"):
                await Worker(store).start()

    run(main)


@pytest.mark.parametrize("settings", [{"concurrency": 0}, {"lease": 0.0}, {"lease": -1}])
def test_worker_with_senseless_numbers_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Worker(MemoryStore(), **settings)  # type: ignore[arg-type]  # the numbers vary in type


def test_worker_claims_only_types_it_serves() -> None:
    async def main() -> None:
        async with shop(worker_one) as here:
            other = await here.scheduler.schedule(worker_other("x"))
            mine = await here.scheduler.schedule(worker_one("y"))
            assert await mine.result() == "y"
            assert await other.status() is Status.PENDING

    run(main)


def test_worker_with_a_concurrency_advances_no_more_flows_at_once() -> None:
    async def main() -> None:
        global gate
        gate = asyncio.Event()
        async with shop(worker_gated, concurrency=3) as here:
            flows = [await here.scheduler.schedule(worker_gated(str(n))) for n in range(9)]
            await until(lambda: len(ran) == 3)
            await asyncio.sleep(0)
            assert here.worker.busy == 3
            gate.set()
            await asyncio.gather(*(each.result() for each in flows))

    run(main)


def test_dead_workers_flow_is_taken_over_within_one_and_a_half_leases() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            handle = await Scheduler(store).schedule(worker_one("x"))
            dead = ClaimRequest("dead", lease=300, limit=1, ids=(handle.id,))
            assert (await store.claim(dead)).claims
            loop = asyncio.get_running_loop()
            began = loop.time()
            running = await Worker(store, lease=0.3).register(worker_one).start()
            assert await handle.result() == "x"
            assert loop.time() - began < 0.45
            await running.shutdown()

    run(main)


def test_drain_lets_the_running_step_end_and_hands_the_rest_back() -> None:
    async def main() -> None:
        global gate
        gate = asyncio.Event()
        async with open_store("memory://") as store:
            handle = await Scheduler(store).schedule(worker_gated("x"))
            running = await Worker(store).register(worker_gated).start()
            await until(lambda: ran == ["x"])
            ending = asyncio.create_task(running.shutdown())
            await asyncio.sleep(0)
            gate.set()
            await ending
            row = await store.get(handle.id)
            assert row is not None
            assert (row.status, row.recoveries, ran) == (Status.PENDING, 0, ["x"])

    run(main)


def test_waiting_flow_kept_in_memory_goes_on_without_a_replay() -> None:
    async def main() -> None:
        async with shop(worker_waits) as here:
            handle = await here.scheduler.schedule(worker_waits("go"))
            await until(lambda: _is(handle, Status.WAITING))
            await handle.signal("go", "now")
            assert await handle.result() == "now"
            assert ran == ["flow code"]

    run(main)


def test_flow_pushed_out_of_memory_is_rebuilt_from_its_journal() -> None:
    async def main() -> None:
        async with shop(worker_waits) as here:
            here.worker._residents = Residents(0)
            handle = await here.scheduler.schedule(worker_waits("go"))
            await until(lambda: _is(handle, Status.WAITING))
            await handle.signal("go", "now")
            assert await handle.result() == "now"
            assert ran == ["flow code", "flow code"]

    run(main)


def test_quiet_worker_has_nothing_due_and_nothing_running() -> None:
    async def main() -> None:
        async with shop(worker_waits, worker_one) as here:
            await until(here.worker.quiet)
            handle = await here.scheduler.schedule(worker_waits("go"))
            await until(lambda: _is(handle, Status.WAITING))
            await until(here.worker.quiet)
            later = await here.scheduler.schedule(worker_one("x"), delay=1.0)
            await until(lambda: _not_quiet(here.worker))
            assert await later.result() == "x"

    run(main)


class SlowAnswers(MemoryStore):
    """A store whose answers to claims are on their way until they are let through."""

    def __init__(self) -> None:
        super().__init__()
        self.claimed = 0
        self.through = asyncio.Semaphore(0)

    async def claim(self, request: ClaimRequest) -> Claims:
        found = await super().claim(request)
        self.claimed += 1
        await self.through.acquire()
        return found


def test_worker_is_not_quiet_by_an_answer_from_before_its_last_flow_came_to_rest() -> None:
    async def main() -> None:
        global gate
        gate = asyncio.Event()
        store = SlowAnswers()
        running = await Worker(store).register(worker_gated_sleeps).start()
        store.through.release()
        await until(lambda: store.claimed == 2)  # it had nothing to do, and asks for work
        handle = await Scheduler(store).schedule(worker_gated_sleeps("x"))
        store.through.release()
        await until(lambda: store.claimed == 3)  # this answer brings the flow
        store.through.release()
        await until(lambda: store.claimed == 4)  # and this one, that nothing else is due
        gate.set()
        await until(lambda: _is(handle, Status.WAITING))
        await until(lambda: running.busy == 0)
        store.through.release()
        await until(lambda: store.claimed == 5)
        assert not await running.quiet(), "the flow is due in a second"
        for _ in range(1000):
            store.through.release()
        await running.shutdown()

    run(main)


def test_p5_suspect_flow_runs_alone_after_its_neighbours_have_come_to_rest() -> None:
    async def main() -> None:
        global gate
        gate = asyncio.Event()
        clock = _Clock()
        store = MemoryStore(clock=clock)
        await store.open()
        await _make(store, "suspect", "worker_one", {"name": "suspect"})
        for _ in range(3):
            await _die_under(store, "suspect", clock)
        clock.skip = 0
        running = await Worker(store, lease=5).register(worker_one, worker_gated).start()
        await _make(store, "neighbour", "worker_gated", {"name": "neighbour"})
        await until(lambda: "neighbour" in ran or "suspect" in ran)
        gate.set()
        await until(lambda: "after neighbour" in ran and "suspect" in ran)
        row = await store.get("suspect")
        assert row is not None
        await running.shutdown()
        row = await store.get("suspect")
        assert row is not None
        assert (row.status, row.recoveries) == (Status.COMPLETED, 0)

    run(main)


def test_p5_flow_that_killed_its_worker_five_times_alone_is_blocked() -> None:
    async def main() -> None:
        clock = _Clock()
        store = MemoryStore(clock=clock)
        await store.open()
        await _make(store, "poison", "worker_one", {"name": "poison"})
        for _ in range(3):
            await _die_under(store, "poison", clock)
        for _ in range(5):
            claim = await _die_under(store, "poison", clock, alone=True)
        assert claim.deaths == 4
        running = await Worker(store).register(worker_one).start()
        await until(lambda: _row_is(store, "poison", Status.BLOCKED))
        row = await store.get("poison")
        assert row is not None
        assert b"crash_loop" in (row.note or b"")
        assert ran == []
        await running.shutdown()

    run(main)


class _Clock:
    """The host's clock, moved on by hand."""

    def __init__(self) -> None:
        self.skip = 0

    def __call__(self) -> int:
        import time

        return time.time_ns() // 1_000_000 + self.skip


async def _make(store: MemoryStore, flow_id: str, type_: str, args: dict[str, str]) -> None:
    import json

    text = json.dumps(args, separators=(",", ":")).encode()
    await store.create(NewFlow(flow_id, type_, None, lane(type_, None), text, secrets.token_hex(4)))


async def _die_under(store: MemoryStore, flow_id: str, clock: _Clock, *, alone: bool = False) -> Claim:
    """Claim the flow as a worker that dies at once, and let its lease run out."""
    row = await store.get(flow_id)
    assert row is not None
    request = ClaimRequest("dead", lease=100, limit=1, lanes=(row.lane,), alone=alone)
    (claim,) = (await store.claim(request)).claims
    clock.skip += 101
    return claim


async def _is(handle: object, status: Status) -> bool:
    return await handle.status() is status  # type: ignore[attr-defined]  # a handle of any result


async def _row_is(store: MemoryStore, flow_id: str, status: Status) -> bool:
    row = await store.get(flow_id)
    return row is not None and row.status is status


async def _not_quiet(worker: object) -> bool:
    return not await worker.quiet()  # type: ignore[attr-defined]  # a RunningWorker


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_worker_whose_keeper_fails_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with shop(worker_one, lease=0.3) as here:
            keeper = here.worker._keeper
            monkeypatch.setattr(keeper, "_held", lambda: 1 / 0)
            with pytest.raises(RuntimeError, match="start the worker again"):
                await here.worker.join()

    run(main)
