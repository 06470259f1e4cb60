"""Hostile data, changed code, ids in use twice, plain functions, cost of a step: d12, d22, d23, d24."""

from __future__ import annotations

import base64
import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ergon_runtime import Conflict, Scheduler, Status, Store, Worker, flow, flow_type, step, wait_signal
from ergon_runtime.core.flows import ClaimRequest, Commit, Message, NewFlow, Send, lane
from tests.seed.places import STORES, Mortal, kinds, listens, on_each_store, row_of, run_all, stands, until, working

ran: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


# --- d12: what is in the store is data


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return open, (str(self.mark), "w")


def hostile(mark: Path) -> list[bytes]:
    """Bytes that run code when they are taken for a pickle, or for names of classes to load and call."""
    dump = pickle.dumps(Bomb(mark))
    script = {"py/reduce": [{"py/function": "builtins.open"}, [str(mark), "w"]]}
    call = {"$call": ["builtins.open", [str(mark), "w"]]}
    objects = [
        {f"${kind}": [name, {"args": [f"touch {mark}"]}]} for kind in ("object", "dataclass") for name in COMMANDS
    ]
    texts = [base64.b64encode(dump).decode(), dump.decode("latin-1"), script, call, *objects]
    return [dump, base64.b64encode(dump), b"\x80\x05.", *(json.dumps(each).encode() for each in texts)]


COMMANDS = ("os.system", "system", "subprocess.Popen", "Popen", "builtins.eval")


@step
async def safe_step(value: Any) -> str:
    ran["step"] += 1
    return "read"


@flow
async def safe_flow(value: Any = None) -> str:
    return await safe_step(await wait_signal("go"))


def test_d12_hostile_bytes_do_run_where_they_are_unpickled(tmp_path: Path) -> None:
    """The check of the checks below: such a row ran a shell command in the worker that read it."""
    pickle.loads(hostile(tmp_path / "mark")[0]).close()
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("n", range(len(hostile(Path("mark")))))
@pytest.mark.parametrize("place", ["arguments", "journal", "signal"])
def test_d12_hostile_bytes_in_the_store_run_nothing(kind: str, place: str, n: int, tmp_path: Path) -> None:
    """Arguments and signals were pickles: whoever could write a row ran code in every worker."""
    mark = tmp_path / "mark"
    bad = hostile(mark)[n]

    async def scenario(store: Store) -> None:
        args = bad if place == "arguments" else b"{}"
        await store.create(NewFlow("f", "safe_flow", None, lane("safe_flow", None), args, "seed"))
        if place == "journal":
            (claim,) = (await store.claim(ClaimRequest("w", 60_000, 1, ids=("f",)))).claims
            entry = Commit("c", claim.lease, None, 0, 60_000, Status.PENDING, entries=(bad,), release=True)
            await store.commit(entry)
        await store.send(Send("f", Message("bad", "signal:go", bad)))
        async with working(store, safe_flow):
            if place == "signal":
                await Scheduler(store).handle("f").signal("go", "harmless")
                assert await Scheduler(store).handle("f").result() == "read"
            else:
                row = await stands(store, "f", "blocked")
                assert json.loads(row.note or b"")["why"]["kind"] == "unreadable"
        assert not mark.exists()

    on_each_store(scenario)(kind, tmp_path)


# --- d22: versions, changed code, ids


@flow(name="safe_versioned", version="v9")
async def safe_versioned() -> str:
    return "nine"


@on_each_store
async def test_d22_version_is_kept_and_read_back(store: Store) -> None:
    """The version was stored, and lost when the flow was read."""
    handle = await Scheduler(store).schedule(safe_versioned(), version="v9")
    assert (await row_of(store, handle.id)).version == "v9"
    async with working(store, safe_versioned):
        await handle.result()
    assert [row.version for row in await Scheduler(store).list()] == ["v9"]


steps: list[str] = []
"""What the code of `safe_changing` does, as if it had been edited between two workers."""


@step
async def safe_one() -> str:
    return "one"


@step
async def safe_two() -> str:
    return "two"


@flow
async def safe_changing() -> str:
    for name in steps:
        await {"one": safe_one, "two": safe_two}[name]()
    return await wait_signal("go", str)


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("changed", [["two", "one"], ["one"], ["two"], [], ["one", "one"]])
def test_d22_steps_swapped_or_removed_are_noticed(kind: str, changed: list[str], tmp_path: Path) -> None:
    """They were not: the flow went on with what it happened to find."""

    async def scenario(store: Store) -> None:
        steps[:] = ["one", "two"]
        handle = await Scheduler(store).schedule(safe_changing(), id="f")
        async with working(store, safe_changing):
            await listens(store, "f", "signal:go")
        steps[:] = changed
        await handle.signal("go", "on")
        async with working(store, safe_changing):
            row = await stands(store, "f", "blocked")
        assert json.loads(row.note or b"")["why"]["kind"] == "diverged"
        assert await kinds(store, "f") == ["step safe_one", "step safe_two"], "nothing is lost"

    on_each_store(scenario)(kind, tmp_path)


@flow
async def safe_order(order: str, amount: int) -> int:
    ran["order"] += 1
    return amount


@on_each_store
async def test_d22_id_in_use_with_other_data_is_refused(store: Store) -> None:
    """The old flow's result was given for the new one's data."""
    first = await Scheduler(store).schedule(safe_order("A", 1), id="order")
    async with working(store, safe_order):
        assert await first.result() == 1
        with pytest.raises(Conflict, match="order"):
            await Scheduler(store).schedule(safe_order("A", 2), id="order")
        again = await Scheduler(store).schedule(safe_order("A", 1), id="order")
        assert await again.result() == 1
    assert ran == {"order": 1}


# --- d23: plain functions


@step
def safe_plain(n: int) -> int:
    return n + 1


@flow
async def safe_with_a_plain_step() -> int:
    return await safe_plain(1)


@on_each_store
async def test_d23_plain_def_is_a_step(store: Store) -> None:
    """It was a TypeError."""
    assert await run_all(store, safe_with_a_plain_step(), serve=[safe_with_a_plain_step]) == [2]


def test_d23_flow_type_and_worker_refuse_options_they_do_not_have(tmp_path: Path) -> None:
    """Options that pages named were errors, and options that were taken did nothing."""
    with pytest.raises(TypeError, match="invokable"):
        flow_type(invokable=str)  # type: ignore[call-overload]

    async def scenario(store: Store) -> None:
        with pytest.raises(TypeError, match="enable_timers"):
            Worker(store, enable_timers=True)  # type: ignore[call-arg]

    on_each_store(scenario)("memory", tmp_path)


# --- d24: what a step costs


@flow
async def safe_steps(count: int) -> None:
    for n in range(count):
        await safe_step(n)


@on_each_store
async def test_d24_step_costs_one_commit(store: Store) -> None:
    """A step was two commits of four statements on SQLite, and six round trips on Redis."""
    counted = Mortal(store)
    handle = await Scheduler(store).schedule(safe_steps(10))
    async with working(counted, safe_steps):
        await handle.result()
    assert len(counted.commits) <= 12, "the start, ten steps, the end"
    assert [len(commit.entries) for commit in counted.commits[1:-1]] == [1] * 10


def test_d24_step_costs_one_sqlite_transaction(tmp_path: Path) -> None:
    """It was two; a flow of ten steps had 27, from being scheduled to its end."""

    async def scenario(store: Store) -> None:
        async with working(store, safe_steps, lease=60):
            counts: list[int] = []
            await until(lambda: _signed_on(store))  # that is a transaction of its own
            for count in (10, 20):
                before = transactions(tmp_path / "ergon.db-wal")
                handle = await Scheduler(store).schedule(safe_steps(count))
                await handle.result()
                counts.append(transactions(tmp_path / "ergon.db-wal") - before)
        assert counts[0] <= 15, "scheduled, claimed, begun, ten steps, ended; maybe another sign of life"
        assert counts[1] <= 25

    on_each_store(scenario)("sqlite", tmp_path)


async def _signed_on(store: Store) -> bool:
    return bool(await store.workers())


def transactions(log: Path) -> int:
    """How many transactions SQLite's write-ahead log holds: frames that say how long the file is after a commit."""
    data = log.read_bytes()
    page, salt = int.from_bytes(data[8:12], "big"), data[16:24]
    frames = (data[at : at + 24] for at in range(32, len(data), 24 + page))
    return sum(frame[8:16] == salt and frame[4:8] != bytes(4) for frame in frames)
