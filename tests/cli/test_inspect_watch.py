"""`ergon inspect --watch`: every change is told once, until the flow has ended, whatever the store does meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from ergon_cli import watching
from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.live import in_height
from ergon_cli.screens.look import Look
from ergon_cli.watching import JsonLines, Lines, Seen, looks, watch
from ergon_runtime import Status, Store, StoreUnavailable, flow, sleep, step, wait_signal
from ergon_runtime.core.entries import Outcome, StepEnded, pack
from ergon_runtime.core.flows import ClaimRequest, Commit
from ergon_runtime.stores.memory import MemoryStore
from tests.cli.shell import Shell, in_store
from tests.runtime.rigs import rig, seconds, store_clock, virtual
from tests.runtime.views import LEASE, START, STARTED, Scene, ended
from tests.stores.harness import Bench, on_each_store

DONE = Outcome(Status.COMPLETED, '"done"')


class Notes:
    """A watcher that keeps what it is told, and can be waited for."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.troubles: list[str] = []
        self._news = asyncio.Event()

    async def see(self, seen: Seen) -> None:
        self.seen.append(seen)
        self._news.set()

    def trouble(self, said: str) -> None:
        self.troubles.append(said)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has been told."""
        while not condition():
            await self._news.wait()
            self._news.clear()

    @property
    def why(self) -> str | None:
        """Why the flow is not over, as told last."""
        last = self.seen[-1].flow.why if self.seen else None
        return last and last.kind

    @property
    def seqs(self) -> list[int]:
        return [event.seq for seen in self.seen for event in seen.events]


@step
async def book() -> str:
    return "booked"


@flow
async def watched_trip() -> str:
    await book()
    await sleep(30)
    return await wait_signal("go", str)


@flow
async def watched_broken() -> None:
    raise ValueError("no luck")


def watched(*flows: Any, timeout: float | None = None) -> Callable[[Callable[..., Awaitable[Any]]], Callable[[], None]]:
    """A test of a rig and a task that watches flow `f` of it, in virtual time."""

    def decorate(test: Callable[..., Awaitable[Any]]) -> Callable[[], None]:
        async def scenario() -> None:
            async with rig(*flows) as made:
                notes = Notes()
                handle = await made.scheduler.schedule(flows[0](), id="f")
                task = asyncio.create_task(watch(made.store, "f", notes, timeout))
                await test(made, handle, notes, task)

        def run() -> None:
            virtual(scenario)

        run.__name__ = test.__name__
        return run

    return decorate


# --- until the end
@watched(watched_trip)
async def test_watch_tells_every_entry_once_and_ends_with_the_flow(
    made: Any, handle: Any, notes: Notes, task: Any
) -> None:
    await notes.until(lambda: notes.why == "signal")
    await handle.signal("go", "now")
    assert await task is ExitCode.OK
    assert notes.seqs == list(range((await made.row()).length))
    statuses = list(dict.fromkeys(seen.flow.status for seen in notes.seen))
    assert statuses[-1] is Status.COMPLETED
    assert Status.WAITING in statuses
    assert notes.troubles == []


@watched(watched_trip)
async def test_watch_looks_each_second_while_nothing_changes(made: Any, handle: Any, notes: Notes, task: Any) -> None:
    await notes.until(lambda: seconds() > 20)
    gaps = [later.now - earlier.now for earlier, later in zip(notes.seen[5:], notes.seen[6:], strict=False)]
    assert max(gaps) == 1000
    task.cancel()


@watched(watched_broken)
async def test_watch_of_a_flow_that_fails_ends_with_4(made: Any, handle: Any, notes: Notes, task: Any) -> None:
    assert await task is ExitCode.FLOW_FAILED
    assert notes.seen[-1].flow.error is not None


@watched(watched_trip)
async def test_watch_of_a_flow_that_is_cancelled_ends_with_4(made: Any, handle: Any, notes: Notes, task: Any) -> None:
    await notes.until(lambda: bool(notes.seen))
    await handle.cancel()
    assert await task is ExitCode.FLOW_FAILED
    assert notes.seen[-1].flow.status is Status.CANCELLED


@watched(watched_trip, timeout=10.0)
async def test_watch_that_takes_too_long_ends_with_124(made: Any, handle: Any, notes: Notes, task: Any) -> None:
    with pytest.raises(CommandError, match="flow f has not ended in time: it is waiting") as caught:
        await task
    assert (caught.value.code, seconds()) == (ExitCode.TIMEOUT, 10)


def test_watch_of_a_blocked_flow_goes_on_until_it_is_freed() -> None:
    async def scenario() -> None:
        scene, notes = Scene(MemoryStore(clock=store_clock)), Notes()
        await scene.place("f", Status.BLOCKED, [STARTED], note={"why": {"kind": "stuck", "message": "m"}})
        task = asyncio.create_task(watch(scene.store, "f", notes, None))
        await notes.until(lambda: seconds() > 100)
        assert not task.done()
        await finish(scene.store, "f")
        assert await task is ExitCode.OK

    virtual(scenario)


async def finish(store: Store, flow_id: str) -> None:
    """End a flow that nobody holds, with one more entry."""
    (claim,) = (await store.claim(ClaimRequest("w", LEASE, 1, ids=(flow_id,), operator=True))).claims
    last = pack(ended("last"), 9)
    await store.commit(
        Commit(
            "end",
            claim.lease,
            claim.head,
            claim.length,
            LEASE,
            Status.COMPLETED,
            (last,),
            release=True,
            result=DONE.pack(),
        )
    )


# --- the store
class Away:
    """A store that fails at some of its calls, by their number."""

    def __init__(self, store: Store, **fails: range) -> None:
        self._store, self._fails = store, fails
        self.calls = dict.fromkeys(fails, 0)

    def __getattr__(self, name: str) -> Any:
        work = getattr(self._store, name)
        if name not in self._fails:
            return work

        async def call(*args: Any) -> Any:
            self.calls[name] += 1
            if self.calls[name] in self._fails[name]:
                raise StoreUnavailable("the store is away")
            return await work(*args)

        return call


@pytest.mark.parametrize(
    ("fails", "times"),
    [
        ({"get": range(2, 5)}, 1),
        ({"journal": range(1, 4)}, 1),
        ({"workers": range(1, 2)}, 1),
        ({"wait": range(1, 3)}, 0),
        ({"get": range(1, 2), "journal": range(2, 3)}, 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_store_that_is_away_for_a_while_costs_no_event_and_is_told_of_once(fails: Any, times: int) -> None:
    async def scenario() -> None:
        scene, notes = Scene(MemoryStore(clock=store_clock)), Notes()
        await scene.place("f", Status.WAITING, [STARTED, ended("one")], waits=["signal:go"])
        away: Any = Away(scene.store, **fails)
        task = asyncio.create_task(watch(away, "f", notes, None))
        await notes.until(lambda: len(notes.seen) > 5)
        await finish(scene.store, "f")
        assert await task is ExitCode.OK
        assert notes.seqs == [0, 1, 2]
        assert notes.troubles == ["the store is away; still watching"] * times

    virtual(scenario)


def test_watcher_that_needs_the_store_while_it_is_away_is_told_again() -> None:
    async def scenario() -> None:
        scene, notes, tries = Scene(MemoryStore(clock=store_clock)), Notes(), [1, 1, 0]
        await scene.place("f", Status.COMPLETED, [STARTED], outcome=DONE)
        see = notes.see

        async def fails(seen: Seen) -> None:
            if tries.pop(0):
                raise StoreUnavailable("away")
            await see(seen)

        notes.see = fails  # type: ignore[method-assign]  # as a view does that reads more
        assert await watch(scene.store, "f", notes, None) is ExitCode.OK
        assert (notes.seqs, tries) == ([0], [])

    virtual(scenario)


def test_watch_of_a_flow_that_is_deleted_says_so() -> None:
    async def scenario() -> None:
        with pytest.raises(CommandError, match="flow f is gone") as caught:
            await watch(MemoryStore(), "f", Notes(), None)
        assert caught.value.code is ExitCode.NOT_FOUND

    virtual(scenario)


def test_long_journal_is_read_again_only_when_it_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SHORT", 1)

    async def scenario() -> None:
        scene, notes = Scene(MemoryStore(clock=store_clock)), Notes()
        await scene.place("f", Status.WAITING, [STARTED, ended("one")], waits=["signal:go"])
        away: Any = Away(scene.store, journal=range(0))
        task = asyncio.create_task(watch(away, "f", notes, None))
        await notes.until(lambda: len(notes.seen) > 5)
        assert away.calls["journal"] == 2, "for the steps, and for the events"
        assert [each.key for each in notes.seen[-1].flow.steps] == ["one", "go"]
        await finish(scene.store, "f")
        await task
        assert [each.key for each in notes.seen[-1].flow.steps] == ["one", "last"]

    virtual(scenario)


@on_each_store
async def test_watch_sees_the_commits_of_others_on_each_store(b: Bench) -> None:
    notes, held = Notes(), await b.begin("a")
    await held.commit(pack(STARTED, 1))
    task = asyncio.create_task(watch(b.store, "a", notes, None))
    await notes.until(lambda: notes.seqs == [0])
    at = b.clock.now
    await held.commit(pack(StepEnded("one", at, "d", "one", "{}", "1", None, 1, at, at, "w"), 2))
    await notes.until(lambda: notes.seqs == [0, 1])
    await held.end(DONE.pack(), Status.COMPLETED)
    assert await task is ExitCode.OK
    assert notes.seen[-1].flow.result == "done"


# --- lines
async def view(scene: Scene, flow_id: str, skip: int = 0) -> Seen:
    """A look at a flow, without the first events."""
    async for seen in looks(scene.store, flow_id, print):
        return replace(seen, events=seen.events[skip:])
    raise AssertionError


def test_lines_tell_entries_and_a_status_when_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        scene = Scene()
        await scene.place("f", Status.WAITING, [STARTED, ended("pay")], waits=["signal:go"])
        lines = Lines(Look(START))
        await lines.see(await view(scene, "f"))
        scene.now += 500
        await lines.see(await view(scene, "f", 2))
        await finish(scene.store, "f")
        scene.now += 99
        await lines.see(await view(scene, "f", 2))

    asyncio.run(scenario())
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [[row[0], *row[3:]] for row in rows] == [
        ["0", "started", "", "began, Python 3.11"],
        ["1", "step", "pay", "completed: 1 (on w1)"],
        ["", "status", "", "WAITING waits for signal go for 0ms"],
        ["2", "step", "last", "completed: 1 (on w1)"],
        ["", "status", "", 'COMPLETED "done"'],
    ]
    assert rows[-1][1] == "2023-11-14T22:13:20.500Z", "when it ended, not when that was seen"


def test_lines_of_one_step_leave_out_the_entries_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        scene = Scene()
        await scene.place("f", Status.WAITING, [STARTED, ended("one"), ended("two")], waits=["signal:go"])
        await Lines(Look(START), "two").see(await view(scene, "f"))

    asyncio.run(scenario())
    assert [line.split("\t")[4] for line in capsys.readouterr().out.splitlines()] == ["two", ""]


def test_json_lines_come_when_something_has_changed_that_does_not_change_by_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def scenario() -> None:
        told: list[list[Any]] = [
            [{"n": 1, "updated_at": 1, "why": {"lease_until": 1}}],
            [{"n": 1, "updated_at": 2, "why": {"lease_until": 2}}],
            [],
            [{"n": 1, "updated_at": 2, "why": {"lease_until": 2, "worker": "w"}}],
        ]

        async def make(seen: Seen) -> list[Any]:
            return told.pop(0)

        lines: JsonLines = JsonLines(make)
        for _ in range(4):
            await lines.see(None)  # type: ignore[arg-type]  # make does not look at it

    asyncio.run(scenario())
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["why"] for each in found] == [{"lease_until": 1}, {"lease_until": 2, "worker": "w"}]


# --- the command
async def placed(store: Store) -> None:
    scene = Scene(store)
    await scene.place("A-17", Status.COMPLETED, [STARTED, ended("pay")], outcome=DONE)
    await scene.place("B-2", Status.CANCELLED, [STARTED], outcome=Outcome(Status.CANCELLED))
    await scene.place("C-3", Status.WAITING, [STARTED, ended("pay")], waits=["signal:go"])


def test_command_watches_until_the_end_and_ends_as_the_flow_did(ergon: Shell) -> None:
    in_store(placed)
    assert ergon("inspect", "A-17", "--watch") == 0
    assert [row[3:5] for row in ergon.rows] == [["started", ""], ["step", "pay"], ["status", ""]]
    assert ergon("inspect", "A-17", "--watch", "--json") == 0
    assert [each["status"] for each in ergon.json] == ["completed"]
    assert ergon("inspect", "A-17", "pay", "--watch", "--json") == 0
    assert [each["key"] for each in ergon.json] == ["pay"]
    assert ergon("inspect", "A-17", "--view", "events", "--watch", "--json") == 0
    assert [each["seq"] for each in ergon.json] == [0, 1]
    assert ergon("inspect", "B-2", "--watch") == 4


def test_command_that_watches_too_long_says_how_the_flow_stands(ergon: Shell) -> None:
    in_store(placed)
    assert ergon("inspect", "C-3", "--watch", "--timeout", "1ms") == 124
    assert ergon.err.startswith("error: flow C-3 has not ended in time")
    assert "it goes on: ergon inspect C-3" in ergon.err


# --- the screen's height
@pytest.mark.parametrize(
    ("height", "shown"),
    [
        (20, "WHY IN _ # 0 1 2 3 4 5 6 7 8 9"),
        (14, "WHY IN _ # 0 1 2 3 4 5 6 7 8 9"),
        (10, "WHY IN _ # ... 5 6 7 8 9"),
        (6, "WHY IN _ ... 8 9"),
        (2, "WHY ..."),
    ],
)
def test_screen_too_high_for_the_terminal_keeps_its_head_and_the_last_rows(height: int, shown: str) -> None:
    lines = [("WHY",), ("IN",), ("",), ("#",), *((str(n),) for n in range(10))]
    found = [getattr(line[0], "text", line[0]) for line in in_height(lines, height, Look(0, 80))]
    assert len(found) <= height
    assert " ".join("..." if "more" in text else text or "_" for text in found) == shown
