"""What other programs do with flows: schedule, wait for, signal and cancel them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

import pytest

from ergon_runtime import (
    Conflict,
    DefinitionError,
    Executor,
    FlowBlocked,
    FlowCancelled,
    FlowFailed,
    FlowHandle,
    FlowNotFound,
    Scheduler,
    Status,
    client,
    flow,
    invoke,
    open_store,
    sleep,
    step,
    wait_signal,
)
from ergon_runtime.core.entries import Outcome
from ergon_runtime.core.flows import FLOW_ID, Claim, ClaimRequest, Commit
from ergon_runtime.stores.memory import MemoryStore
from tests.runtime.workers import run, shop, until

cleaned: list[str] = []


class ClientError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


@flow
async def client_echo(x: int) -> int:
    return x


@flow
async def client_fails(code: int) -> None:
    raise ClientError(code)


@step
async def client_clean(what: str) -> None:
    cleaned.append(what)


@flow
async def client_waits(name: str) -> str:
    try:
        return await wait_signal(name, str)
    finally:
        await client_clean(name)


@flow
async def client_parent(name: str) -> str:
    return await invoke(client_waits(name))


@flow
async def client_sleeps() -> str:
    await sleep(0.05)
    return await invoke(client_two_children())


@flow
async def client_two_children() -> str:
    await sleep(0.01)
    values = await asyncio.gather(invoke(client_echo(1)), invoke(client_echo(2)))
    return f"{values}"


def test_schedule_with_the_same_id_and_flow_is_the_same_flow() -> None:
    async def main() -> None:
        async with shop(client_echo) as here:
            first = await here.scheduler.schedule(client_echo(1), id="A-17")
            again = await here.scheduler.schedule(client_echo(1), id="A-17")
            assert (first.id, again.id, await again.result()) == ("A-17", "A-17", 1)

    run(main)


def test_schedule_with_the_same_id_and_other_arguments_is_a_conflict() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            await Scheduler(store).schedule(client_echo(1), id="A-17")
            with pytest.raises(Conflict, match="A-17"):
                await Scheduler(store).schedule(client_echo(2), id="A-17")

    run(main)


@pytest.mark.parametrize("flow_id", ["", "a/b", "~1", "-x", "x" * 201, "a b", "é"])
def test_schedule_with_an_id_that_is_not_allowed_is_refused(flow_id: str) -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            with pytest.raises(DefinitionError, match="cannot be a flow id"):
                await Scheduler(store).schedule(client_echo(1), id=flow_id)

    run(main)


def test_ids_that_are_drawn_grow_with_time_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = list[str]()
    for day in range(3):
        monkeypatch.setattr(client.time, "time_ns", lambda day=day: (1_800_000_000 + 86_400 * day) * 10**9)
        ids += sorted(client.new_flow_id() for _ in range(100))
    assert sorted(ids) == ids
    assert len(set(ids)) == 300
    assert all(FLOW_ID.fullmatch(each) for each in ids)


def test_schedule_with_a_delay_waits_and_with_both_or_naive_times_is_refused() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            scheduler = Scheduler(store)
            later = await scheduler.schedule(client_echo(1), delay=timedelta(hours=1))
            assert await later.status() is Status.WAITING
            at = await scheduler.schedule(client_echo(1), at=datetime.now(UTC) + timedelta(hours=1))
            assert await at.status() is Status.WAITING
            with pytest.raises(DefinitionError, match="not both"):
                await scheduler.schedule(client_echo(1), delay=1, at=datetime.now(UTC))
            with pytest.raises(DefinitionError, match="aware"):
                await scheduler.schedule(client_echo(1), at=datetime(2030, 1, 1))

    run(main)


def test_result_of_a_flow_that_failed_raises_its_own_error() -> None:
    async def main() -> None:
        async with shop(client_fails) as here:
            handle = await here.scheduler.schedule(client_fails(7))
            with pytest.raises(ClientError, match="code 7") as caught:
                await handle.result()
            assert caught.value.code == 7

    run(main)


def test_result_of_a_flow_whose_error_class_is_not_loaded_raises_flow_failed() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            handle = await Scheduler(store).schedule(client_echo(1))
            (claim,) = (await store.claim(ClaimRequest("w", 1000, 1, ids=(handle.id,)))).claims
            await store.commit(_ending(claim, Outcome(Status.FAILED, error=_foreign_error())))
            with pytest.raises(FlowFailed, match="out of stock") as caught:
                await handle.result()
            assert caught.value.error_type.endswith("OutOfStock")
            assert caught.value.flow_id == handle.id

    run(main)


def test_result_with_a_timeout_that_passes_raises_timeout_error() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            handle = await Scheduler(store).schedule(client_echo(1))
            with pytest.raises(TimeoutError, match="pending"):
                await handle.result(timeout=0.02)

    run(main)


def test_handle_on_a_flow_that_is_not_there_raises_flow_not_found() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            handle = Scheduler(store).handle("nobody", int)
            for ask in (handle.status, handle.result, handle.cancel):
                with pytest.raises(FlowNotFound, match="nobody"):
                    await ask()
            assert await handle.signal("go") is False

    run(main)


def test_handle_by_id_decodes_the_result_by_the_type_given() -> None:
    async def main() -> None:
        async with shop(client_echo) as here:
            await here.scheduler.schedule(client_echo(5), id="five")
            assert await here.scheduler.handle("five", int).result() == 5

    run(main)


def test_cancel_of_a_flow_that_never_started_ends_it_without_its_code() -> None:
    async def main() -> None:
        cleaned.clear()
        async with open_store("memory://") as store:
            handle = await Scheduler(store).schedule(client_waits("a"))
            assert await handle.cancel() is True
            assert await handle.status() is Status.CANCELLED
            with pytest.raises(FlowCancelled):
                await handle.result()
            assert await handle.cancel() is False
            assert cleaned == []

    run(main)


def test_cancel_of_a_waiting_flow_lets_it_clean_up_and_reaches_its_children() -> None:
    async def main() -> None:
        cleaned.clear()
        async with shop(client_parent, client_waits) as here:
            handle = await here.scheduler.schedule(client_parent("a"), id="parent")
            child = here.scheduler.handle("parent/client_waits", str)
            await until(lambda: _exists_and_waits(here, child.id))
            assert await handle.cancel() is True
            with pytest.raises(FlowCancelled):
                await handle.result()
            with pytest.raises(FlowCancelled):
                await child.result()
            assert cleaned == ["a"]

    run(main)


def test_signal_to_an_ended_flow_is_not_taken() -> None:
    async def main() -> None:
        async with shop(client_echo) as here:
            handle = await here.scheduler.schedule(client_echo(1))
            await handle.result()
            assert await handle.signal("go", 1) is False

    run(main)


def test_signal_by_name_reaches_the_flow_that_waits() -> None:
    async def main() -> None:
        async with shop(client_waits) as here:
            handle = await here.scheduler.schedule(client_waits("by name"))
            assert await here.scheduler.signal("by name", "hello", id="k") is True
            assert await here.scheduler.signal("by name", "again", id="k") is True  # the same id: one signal
            assert await handle.result() == "hello"

    run(main)


@dataclass
class ClientDecision:
    ok: bool
    amount: Decimal


@flow
async def client_decides() -> ClientDecision:
    return await wait_signal("decision", ClientDecision)


@flow
async def client_takes_decimal() -> Decimal:
    return await wait_signal("decimal", Decimal)


def test_signal_with_a_typed_payload_reaches_the_wait_for_its_type() -> None:
    async def main() -> None:
        async with shop(client_decides, client_takes_decimal) as here:
            first = await here.scheduler.schedule(client_decides())
            await first.signal("decision", ClientDecision(True, Decimal("9.50")))
            assert await first.result() == ClientDecision(True, Decimal("9.50"))
            second = await here.scheduler.schedule(client_takes_decimal())
            await second.signal("decimal", Decimal("1.10"))
            assert str(await second.result()) == "1.10"

    run(main)


def test_executor_runs_a_flow_with_its_timers_and_children_to_the_end() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            assert await Executor(client_sleeps(), store, id="root").run() == "[1, 2]"
            assert await Executor(client_sleeps(), store, id="root").run() == "[1, 2]"  # again: the same flow
            rows = await Scheduler(store).list(status=Status.COMPLETED)
            assert len(rows) == 4

    run(main)


def _ending(claim: Claim, outcome: Outcome) -> Commit:
    return Commit("c1", claim.lease, None, 0, 1000, outcome.status, release=True, result=outcome.pack())


def _foreign_error() -> str:
    from ergon_runtime.codec import encode_error

    return (
        encode_error(ClientError(3))
        .replace("tests.runtime.test_client", "elsewhere")
        .replace("ClientError", "OutOfStock")
        .replace("code 3", "out of stock")
    )


async def _exists_and_waits(here: object, flow_id: str) -> bool:
    row = await here.store.get(flow_id)  # type: ignore[attr-defined]  # a Shop
    return row is not None and row.status is Status.WAITING and bool(row.waits)


def test_executor_that_is_started_gives_the_handle_and_the_worker_to_shut_down() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            handle, running = await Executor(client_decides(), store, id="d").start(concurrency=1)
            async with running:
                while await handle.status() is not Status.WAITING:
                    await store.wait("", 0.05)
                await handle.signal("decision", ClientDecision(True, Decimal("1")))
                assert await handle.result() == ClientDecision(True, Decimal("1"))

    run(main)


@flow
async def client_stuck(name: str) -> None:
    await asyncio.get_running_loop().create_future()


@flow
async def client_waits_for_stuck(kid: str, seconds: float) -> str:
    async with asyncio.timeout(seconds or None):
        await invoke(client_stuck(kid))
    return "done"


def test_executor_of_a_flow_that_is_blocked_says_why_and_what_helps() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            with pytest.raises(FlowBlocked, match=r"flow s is blocked \(stuck\): .*see: ergon inspect s") as caught:
                await Executor(client_stuck("a"), store, id="s").run()
            assert (caught.value.flow_id, caught.value.kind) == ("s", "stuck")
            assert caught.value.message == "the flow waits for something that can never come"
            assert await Scheduler(store).handle("s").status() is Status.BLOCKED

    run(main)


def test_executor_of_a_flow_that_waits_for_a_blocked_child_only_names_the_child() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            with pytest.raises(FlowBlocked) as caught:
                await Executor(client_waits_for_stuck("a", 0), store, id="p").run()
            assert caught.value.flow_id == "p/client_stuck"

    run(main)


def test_executor_waits_on_while_something_else_may_wake_the_flow() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            with pytest.raises(TimeoutError):
                await Executor(client_waits_for_stuck("a", 1.2), store, id="p").run()
            assert await Scheduler(store).handle("p").status() is Status.FAILED

    run(main)


def test_executor_leaves_a_flow_that_other_code_has_blocked_to_be_tried_again() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            with pytest.raises(FlowBlocked):
                await Executor(client_stuck("a"), store, id="s").run()
            state = cast(MemoryStore, store).state
            state.flows["s"].fingerprint = "other"
            running = asyncio.create_task(Executor(client_stuck("a"), store, id="s").run())
            head = state.flows["s"].head
            while state.flows["s"].head == head:  # due after a second: it is tried before anything is said
                await store.wait("", 0.05)
            with pytest.raises(FlowBlocked):
                await running

    run(main)


def test_handle_of_a_blocked_flow_waits_on() -> None:
    async def main() -> None:
        async with shop(client_stuck) as here:
            handle = await here.scheduler.schedule(client_stuck("a"))
            await until(lambda: _is_blocked(handle))
            with pytest.raises(TimeoutError, match="is still blocked"):
                await handle.result(timeout=0.01)

    run(main)


async def _is_blocked(handle: FlowHandle[None]) -> bool:
    return await handle.status() is Status.BLOCKED
