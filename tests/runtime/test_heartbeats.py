"""Heartbeats (T6): what a step tells while it runs, and what its next try gets of it."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ergon_runtime.codec import digest
from ergon_runtime.core.flows import ClaimRequest, Claims, Commit, CommitReply
from ergon_runtime.core.heartbeats import Heartbeat, heartbeats_in, read_note
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.errors import CodecError, DefinitionError
from ergon_runtime.primitives import LONGEST_DETAIL, heartbeat, sleep, step_info
from ergon_runtime.stores.memory import MemoryStore
from tests.runtime.rigs import Rig, rig, seconds, stands, store_clock, virtual

log: list[Any] = []
AGAIN = RetryPolicy(max_attempts=3, initial=10)


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    with registry.isolated():
        yield


async def told(here: Rig) -> list[Heartbeat]:
    """The heartbeats that flow f's note tells."""
    return heartbeats_in(read_note((await here.row()).note))


class Counting(MemoryStore):
    """Counts the commits that hold no entry and release nothing."""

    def __init__(self) -> None:
        super().__init__(clock=store_clock)
        self.notes: list[float] = []

    async def commit(self, commit: Commit) -> CommitReply:
        if commit.note is not None and not commit.entries and not commit.release:
            self.notes.append(seconds())
        return await super().commit(commit)


class Scribbled(MemoryStore):
    """Hands flows out with a note that somebody has put there."""

    def __init__(self, note: bytes) -> None:
        super().__init__(clock=store_clock)
        self._note = note

    async def claim(self, request: ClaimRequest) -> Claims:
        found = await super().claim(request)
        return replace(found, claims=tuple(replace(each, note=self._note) for each in found.claims))


# --- what the next try gets (T6)
def test_t6_detail_survives_the_death_of_the_worker_but_for_the_last_second() -> None:
    @step
    async def count() -> int:
        begun: int = step_info().heartbeat or 0
        log.append(begun)
        for n in range(begun, 100):
            heartbeat(n)
            await asyncio.sleep(0.4)
        return begun

    @flow
    async def calls() -> int:
        return await count()

    async def main() -> None:
        async with rig(calls) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            for _ in range(2):
                await asyncio.sleep(10)
                await here.workers[-1].abort()
                here.start(calls)
            await handle.result()
            assert await here.kinds() == ["step count"]

    virtual(main)
    first, second, third = log
    assert first == 0
    assert 22 <= second <= 25  # 10 seconds, and at most one of them lost
    assert third > second


@pytest.mark.parametrize("residents", [100, 0])
def test_t6_next_try_gets_what_was_told_just_before_the_error(residents: int) -> None:
    @step(retry=AGAIN)
    async def copies() -> list[Any]:
        log.append(step_info().heartbeat)
        if len(log) == 1:
            for n in range(5):
                heartbeat({"done": n, "sum": Decimal("1.50")})
            raise ValueError("in the same instant")
        if len(log) == 2:
            raise ValueError("told nothing")
        return log

    @flow
    async def calls() -> list[Any]:
        return await copies()

    async def main() -> None:
        async with rig(calls, residents=residents) as here:
            last = {"done": 4, "sum": Decimal("1.50")}
            assert await here.result(calls()) == [None, last, last]
            assert await here.kinds() == ["attempt copies", "attempt copies", "step copies"]

    virtual(main)


def test_t6_detail_is_handed_over_with_a_flow_whose_worker_drains() -> None:
    @step(retry=AGAIN)
    async def copies() -> Any:
        if step_info().attempt == 1:
            await asyncio.sleep(5)
            heartbeat("half")
            raise ValueError("during the drain")
        return step_info().heartbeat

    @flow
    async def calls() -> Any:
        return await copies()

    async def main() -> None:
        async with rig(calls) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await asyncio.sleep(1)
            await here.workers[0].shutdown()
            assert [beat.detail for beat in await told(here)] == ['"half"']
            here.start(calls)
            assert await handle.result() == "half"

    virtual(main)


def test_t6_heartbeat_without_detail_keeps_the_last_one() -> None:
    @step(retry=AGAIN)
    async def copies() -> Any:
        if step_info().attempt == 1:
            heartbeat(3)
            heartbeat()
            raise ValueError
        return step_info().heartbeat

    @flow
    async def calls() -> Any:
        return await copies()

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == 3

    virtual(main)


def test_t6_details_belong_to_their_steps_and_are_dropped_when_these_end() -> None:
    @step(retry=AGAIN)
    async def copies(name: str, wait: float) -> Any:
        if step_info().attempt == 1:
            heartbeat(name)
            await asyncio.sleep(wait)
            raise ValueError
        await asyncio.sleep(wait)
        return step_info().heartbeat

    @flow
    async def calls() -> Any:
        found = await asyncio.gather(copies("a", 2), copies("b", 6))
        await sleep(1)
        return found

    async def main() -> None:
        async with rig(calls) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await asyncio.sleep(1)
            assert [beat.key for beat in await told(here)] == ["1/copies", "2/copies"]
            await asyncio.sleep(14)  # a has ended at 14
            assert [beat.key for beat in await told(here)] == ["2/copies"]
            assert await handle.result() == ["a", "b"]
            assert await told(here) == []

    virtual(main)


def test_t6_flow_retry_begins_without_the_details_of_the_life_before() -> None:
    @step
    async def copies() -> None:
        log.append(step_info().heartbeat)
        heartbeat("told")
        await asyncio.sleep(2)
        if len(log) == 1:
            raise ValueError

    @flow(retry=AGAIN)
    async def calls() -> None:
        await copies()

    async def main() -> None:
        async with rig(calls, residents=0) as here:
            await here.result(calls())

    virtual(main)
    assert log == [None, None]


def test_t6_heartbeats_take_no_entries_and_at_most_one_commit_a_second() -> None:
    @step
    async def chatters() -> None:
        for n in range(1000):
            heartbeat(n)
            await asyncio.sleep(0.01)

    @flow
    async def calls() -> None:
        await chatters()

    async def main() -> list[float]:
        store = Counting()
        here = Rig(store)
        here.start(calls)
        await here.result(calls())
        assert await here.kinds() == ["step chatters"]
        await here.close()
        return store.notes

    notes = virtual(main)
    assert len(notes) == 10
    assert all(after - before >= 0.999 for before, after in itertools.pairwise(notes))


def test_t6_heartbeat_is_committed_at_once_or_a_second_after_the_last_and_once() -> None:
    @step
    async def tells() -> None:
        for wait in (5, 0.5, 10):
            await asyncio.sleep(wait)
            heartbeat(wait)
        await asyncio.sleep(10)

    @flow
    async def calls() -> None:
        await tells()

    async def main() -> list[float]:
        store = Counting()
        here = Rig(store)
        here.start(calls)
        await here.result(calls())
        await here.close()
        return store.notes

    assert virtual(main) == [5, 6, 15.5]


UNREADABLE = (
    b'{"key": "copies", "digest": "%s", "detail": "{\\"$no\\": 1}", "attempt": 1, "worker": "\\ud800", '
    b'"started": 1, "at": 1}'
)
SURROGATE = (
    b'{"life": 1, "heartbeats": [{"key": "\\ud800", "digest": "d", "detail": null, "attempt": 1, "worker": "w", '
    b'"started": 1, "at": 1}]}'
)


@pytest.mark.parametrize(
    "note",
    [
        b"\xff",
        b"null",
        b"[1]",
        b"[" * 100_000,
        b'{"life": 1, "heartbeats": 5}',
        b'{"life": 1, "heartbeats": [5, {}, {"key": "copies"}], "why": "x"}',
        b'{"life": 1, "heartbeats": [ITEM], "why": {"times": "x"}}',
        b'{"life": 2, "heartbeats": [ITEM]}',
        SURROGATE,
    ],
    ids=str,
)
def test_t6_note_that_cannot_be_read_tells_nothing_and_breaks_no_flow(
    note: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    @step
    async def copies() -> Any:
        heartbeat("on")
        await asyncio.sleep(2)
        return step_info().heartbeat

    @flow
    async def calls() -> None:
        assert await copies() is None
        await asyncio.Future[None]()

    async def main() -> None:
        here = Rig(Scribbled(note.replace(b"ITEM", UNREADABLE % digest("{}").encode())))
        here.start(calls)
        await stands(await here.scheduler.schedule(calls(), id="f"), "blocked")
        assert read_note((await here.row()).note)["why"]["kind"] == "stuck"
        await here.close()

    virtual(main)
    assert ("begins without its last heartbeat" in caplog.text) is (b'"life": 1, "heartbeats": [ITEM]' in note)


async def fits(here: bool) -> Any:
    """Flow code before and after a change that does not fit the journal."""
    await noted("first" if here else "other")
    return await copied()


@step
async def noted(what: str) -> None:
    pass


@step(retry=AGAIN)
async def copied() -> Any:
    if step_info().attempt == 1:
        heartbeat({"done": 5})
        raise ValueError
    return step_info().heartbeat


def test_t6_detail_is_there_when_a_blocked_flow_goes_on_with_code_that_fits() -> None:
    def code(here: bool) -> Any:
        async def changes() -> Any:
            return await fits(here)

        with registry.isolated():
            return flow(changes)

    async def main() -> None:
        async with rig() as here:
            first = here.start(code(here=True), fingerprint="old", residents=0)
            handle = await here.scheduler.schedule(code(here=True)(), id="f")
            await stands(handle, "waiting")
            await first.shutdown()
            second = here.start(code(here=False), fingerprint="new")
            await stands(handle, "blocked")
            await second.shutdown()
            assert [beat.detail for beat in await told(here)] == ['{"done":5}']
            here.start(code(here=True), fingerprint="newest")
            assert await handle.result() == {"done": 5}

    virtual(main)


# --- where it may be called, and with what
def test_heartbeat_outside_a_step_is_refused() -> None:
    @flow
    async def calls() -> str:
        with pytest.raises(DefinitionError, match="move it into a step"):
            heartbeat(1)
        return "refused"

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "refused"

    virtual(main)
    with pytest.raises(DefinitionError, match="in the body of a step"):
        heartbeat()


@pytest.mark.parametrize(
    ("detail", "complaint"), [(object(), "object"), ("x" * LONGEST_DETAIL, "tell less"), ("€" * 30_000, "tell less")]
)
def test_detail_that_cannot_be_stored_is_a_codec_error_in_the_body(detail: object, complaint: str) -> None:
    @step
    async def tells() -> str:
        heartbeat("x" * (LONGEST_DETAIL - 2))  # as long as may be
        with pytest.raises(CodecError, match=f"heartbeat of step tells.*{complaint}"):
            heartbeat(detail)
        return "refused"

    @flow
    async def calls() -> str:
        return await tells()

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "refused"

    virtual(main)
