"""What blocks a flow, and what frees it: other code, stored data that cannot be read, conflicts; signals set aside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from ergon_runtime.core.flows import NewFlow, Status, lane
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.primitives import invoke, sleep, wait_signal
from ergon_runtime.stores.memory.rows import Row
from tests.runtime.rigs import Rig, rig, stands, virtual

log: list[str] = []


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    with registry.isolated():
        yield


def code(function: Callable[..., Any], name: str = "changes") -> Any:
    """A flow type that may be defined several times, as different workers have it."""
    with registry.isolated():
        return flow(name=name)(function)


def why(row: Any) -> dict[str, Any]:
    """Why a flow is blocked, by its note."""
    found: dict[str, Any] = json.loads(row.note)["why"]
    return found


def stored(here: Rig) -> Row:
    """The flow `f` as the store has it, to be damaged."""
    return here.store.state.flows["f"]  # type: ignore[attr-defined,no-any-return]  # a memory store


async def blocked(here: Rig, value: Any) -> dict[str, Any]:
    """Schedule a flow, wait until it is blocked, and give the reason."""
    await stands(await here.scheduler.schedule(value, id="f"), "blocked")
    return why(await here.row())


@step
async def plain(what: str) -> str:
    log.append(what)
    return what


# --- other code


async def first(n: int) -> str:
    await plain("one")
    await wait_signal("go")
    return "first"


async def second(n: int) -> str:
    await plain("two")
    await wait_signal("go")
    return "second"


def test_p4_diverged_flow_is_left_by_its_code_and_resumed_by_code_that_fits() -> None:
    async def main() -> None:
        async with rig() as here:
            old, new = code(first), code(second)
            worker = here.start(old, fingerprint="old", residents=0)
            handle = await here.scheduler.schedule(old(1), id="f")
            await stands(handle, "waiting")
            await worker.shutdown()
            here.start(new, fingerprint="new")
            await handle.signal("go")
            await stands(handle, "blocked")
            row = await here.row()
            assert row.fingerprint == "new"
            found = why(row)
            assert (found["kind"], found["recorded"], found["current"]) == (
                "diverged",
                'step plain("what":"one")',
                ['step plain("what":"two")'],
            )
            assert "test_blocked.py" in found["where"]
            await asyncio.sleep(300)
            assert why(await here.row())["times"] == 1  # the same code leaves it alone
            here.start(code(second), fingerprint="new too")
            await asyncio.sleep(10)
            assert why(await here.row())["times"] > 1  # other code has tried
            here.start(code(first), fingerprint="old")
            assert await handle.result() == "first"
            assert log == ["one"]

    virtual(main)


def test_p4_other_code_tries_a_blocked_flow_ever_more_rarely() -> None:
    async def main() -> None:
        async with rig() as here:
            old = code(first)
            worker = here.start(old, fingerprint="old", residents=0)
            handle = await here.scheduler.schedule(old(1), id="f")
            await stands(handle, "waiting")
            await worker.shutdown()
            await handle.signal("go")
            for name in ("a", "b"):
                here.start(code(second), fingerprint=name)
            dues: list[int] = []
            while len(dues) < 6:
                await stands(handle, "blocked")
                row = await here.row()
                assert row.due is not None
                if row.due - row.updated not in dues:
                    dues.append(row.due - row.updated)
                await asyncio.sleep(0.1)
            assert dues == [1000, 2000, 4000, 8000, 16000, 32000]

    virtual(main)


# --- code that gets nowhere (L5, L9)


def test_l5_spinning_flow_is_blocked() -> None:
    @flow
    async def spins() -> None:
        while True:
            await asyncio.sleep(0)

    async def main() -> None:
        async with rig(spins) as here:
            assert (await blocked(here, spins()))["kind"] == "spinning"

    virtual(main)


def test_l9_stuck_flow_is_blocked_at_its_line_and_keeps_what_it_did() -> None:
    @flow
    async def hangs() -> None:
        await plain("before")
        await asyncio.Event().wait()

    async def main() -> None:
        async with rig(hangs) as here:
            found = await blocked(here, hangs())
            assert found["kind"] == "stuck"
            assert "test_blocked.py" in found["where"]
            assert await here.kinds() == ["step plain"]

    virtual(main)


# --- children (K2)


def test_k2_child_whose_id_is_another_flows_blocks_the_parent_and_leaves_the_other() -> None:
    @flow
    async def kid(n: int) -> int:
        return n

    @flow
    async def parent() -> int:
        await plain("before")
        return await invoke(kid(1))

    async def main() -> None:
        async with rig(parent) as here:
            other = NewFlow("f/kid", "kid", None, lane("kid", None), b'{"n":9}', "seed")
            await here.store.create(other)
            found = await blocked(here, parent())
            assert (found["kind"], "f/kid" in found["message"]) == ("conflict", True)
            assert await here.kinds() == ["step plain"]
            assert (await here.row("f/kid")).args == b'{"n":9}'

    virtual(main)


# --- stored data that cannot be read


@flow
async def doubles(n: int) -> int:
    value = await plain("a")
    await sleep(10)
    return n * len(value)


async def waiting(here: Rig) -> Any:
    """A flow of `doubles` that waits, kept by no worker in memory."""
    handle = await here.scheduler.schedule(doubles(2), id="f")
    await stands(handle, "waiting")
    return handle


@pytest.mark.parametrize("args", [b'{"n":"many"}', b'{"m":1}', b"{}", b"[]", b"\xff\xfe", b'{"n":'])
def test_arguments_that_no_longer_fit_block_the_flow_as_unreadable(args: bytes) -> None:
    async def main() -> None:
        async with rig() as here:
            await here.store.create(NewFlow("f", "doubles", None, lane("doubles", None), args, "seed"))
            here.start(doubles)
            await asyncio.sleep(1)
            row = await here.row()
            assert (row.status, why(row)["kind"]) == (Status.BLOCKED, "unreadable")
            assert log == []

    virtual(main)


def test_flow_of_another_type_than_its_lane_is_blocked_as_unreadable() -> None:
    async def main() -> None:
        async with rig() as here:
            await here.store.create(NewFlow("f", "nobody", None, lane("doubles", None), b"{}", "seed"))
            here.start(doubles)
            await asyncio.sleep(1)
            row = await here.row()
            assert (row.status, why(row)["kind"]) == (Status.BLOCKED, "unreadable")
            assert "of type 'nobody', in the lane of another" in why(row)["message"]

    virtual(main)


@pytest.mark.parametrize(
    "damage",
    [
        lambda rows: rows.__setitem__(1, b"not json"),
        lambda rows: rows.__setitem__(1, b"\xff"),
        lambda rows: rows.__setitem__(1, b'["from the future",2]'),
        lambda rows: rows.__setitem__(1, rows[1].replace(b'"\\"a\\""', b"7")),
        lambda rows: rows.__setitem__(1, rows[1].replace(b'"\\"a\\""', b'"[7]"')),
        lambda rows: rows.__setitem__(1, b"[" * 100_000),
    ],
    ids=["text", "bytes", "kind", "type", "result", "deep"],
)
def test_journal_that_cannot_be_read_blocks_the_flow_as_unreadable(damage: Callable[[list[bytes]], None]) -> None:
    async def main() -> None:
        async with rig(doubles, residents=0) as here:
            await waiting(here)
            rows = stored(here).journal
            before = list(rows)
            damage(rows)
            assert rows != before
            await asyncio.sleep(11)
            row = await here.row()
            assert (row.status, why(row)["kind"]) == (Status.BLOCKED, "unreadable")

    virtual(main)


def test_journal_that_has_lost_its_end_blocks_the_flow_as_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with rig(doubles, residents=0) as here:
            handle = await waiting(here)
            rows = list(stored(here).journal)

            async def shorter(flow_id: str, start: int, limit: int) -> list[bytes]:
                return rows[:1][start : start + limit]

            monkeypatch.setattr(here.store, "journal", shorter)
            await stands(handle, "blocked")
            found = why(await here.row())
            assert (found["kind"], found["message"]) == ("unreadable", "the journal ends at entry 1 of 2")

    virtual(main)


def test_journal_that_is_mended_lets_the_flow_go_on() -> None:
    async def main() -> None:
        async with rig(doubles, residents=0) as here:
            handle = await waiting(here)
            rows = stored(here).journal
            kept, rows[1] = rows[1], b"not json"
            await stands(handle, "blocked")
            rows[1] = kept
            here.start(doubles, fingerprint="other")
            assert await handle.result() == 2
            assert log == ["a"]

    virtual(main)


def test_result_of_a_child_that_cannot_be_read_blocks_the_parent() -> None:
    @flow
    async def kid() -> int:
        await sleep(5)
        return 1

    @flow
    async def parent() -> int:
        return await invoke(kid())

    async def main() -> None:
        async with rig(parent, kid) as here:
            handle = await here.scheduler.schedule(parent(), id="f")
            await asyncio.sleep(1)
            await here.workers[0].shutdown()
            worker = here.start(kid)
            await stands(here.scheduler.handle("f/kid"), "completed")
            await worker.shutdown()
            box = stored(here).mail["child:f/kid"]
            box[0] = type(box[0])(box[0].seq, type(box[0].message)("m", "child:f/kid", b"[1"))
            here.start(parent)
            await stands(handle, "blocked")
            assert why(await here.row())["kind"] == "unreadable"

    virtual(main)


# --- signals (S4)


def test_s4_signal_that_does_not_fit_is_set_aside_and_shown_while_the_flow_waits_on() -> None:
    @flow
    async def counts() -> int:
        return await wait_signal("count", int)

    async def main() -> None:
        async with rig(counts) as here:
            handle = await here.scheduler.schedule(counts(), id="f")
            await handle.signal("count", "three", id="odd")
            await handle.signal("count", [3], id="odder")
            await asyncio.sleep(1)
            row = await here.row()
            assert row.status is Status.WAITING
            assert [(message.id, message.body) for message in row.aside] == [
                ("count odd", b'"three"'),
                ("count odder", b"[3]"),
            ]
            await handle.signal("count", 3)
            assert await handle.result() == 3

    virtual(main)
