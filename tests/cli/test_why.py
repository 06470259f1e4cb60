"""WHY, proved from end to end: a flow of every kind on each store, left by workers that are gone, read without one.

Each is read by the read model, whole and as lists do, and rendered; on SQLite `ergon inspect --json` says the same.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ergon_cli.why import why_line
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.memory import MemoryStore
from ergon_runtime.stores.redis.address import parse_redis
from ergon_runtime.stores.redis.store import RedisStore
from ergon_runtime.stores.rules import utc_now
from ergon_runtime.stores.sqlite import SQLiteOptions, SQLiteStore
from ergon_runtime.view import FlowView, Why, iso, view_flow, view_row
from ergon_runtime.view.model import BLOCKED_KINDS, WhyKind
from tests.cli.shell import Shell
from tests.redis_server import shared_server
from tests.runtime.standing import HOUR, let_stand
from tests.stores.harness import Clock

AFTER = 60_000
"""Milliseconds from when the workers went until the flows are looked at."""
TIMES = ("since", "until", "due", "lease_until")
SERVE = "ergon worker -m MODULE"


@dataclass(frozen=True)
class Case:
    """What is expected of one flow: the kind and fields of its deepest cause (times count from when the workers went),
    what helps, and the line; there `*` is anything, and {due} the time in an hour."""

    flow: str
    kind: WhyKind
    line: str
    fields: Mapping[str, Any]
    fix: str | None


CASES = [
    Case(
        "signal",
        "signal",
        "waits for signal go for 1m00s",
        {"name": "go", "key": "go", "since": 0, "until": None},
        "ergon signal go PAYLOAD --flow signal",
    ),
    Case(
        "limited",
        "signal",
        "waits for signal go now for 1m00s, at most until {due} (in 59m00s)",
        {"name": "go now", "since": 0, "until": HOUR},
        "ergon signal 'go now' PAYLOAD --flow limited",
    ),
    Case("timer", "timer", "waits until {due} (in 59m00s)", {"key": "sleep", "since": 0, "due": HOUR}, None),
    Case(
        "retry",
        "retry",
        "tries pay again in 59m00s after try 1 (OSError: busy)",
        {"key": "pay", "name": "pay", "attempt": 1, "due": HOUR},
        None,
    ),
    Case(
        "again",
        "retry",
        "tries the flow again in 59m00s after try 1 (ValueError: first)",
        {"key": None, "attempt": 1, "due": HOUR},
        None,
    ),
    Case(
        "child-signal",
        "signal",
        "waits for child child-signal/middle for 1m00s, which waits for child child-signal/middle/signals for 1m00s, "
        "which waits for signal go for 1m00s",
        {"flow_id": "child-signal/middle/signals", "name": "go"},
        "ergon signal go PAYLOAD --flow child-signal/middle/signals",
    ),
    Case(
        "child-stuck",
        "stuck",
        "waits for child child-stuck/middle for 1m00s, which waits for child child-stuck/middle/hangs for 1m00s, "
        "which is blocked (stuck): the flow waits for something that can never come, at *standing.py:*",
        {"flow_id": "child-stuck/middle/hangs", "since": 0},
        "ergon replay child-stuck/middle/hangs -m MODULE",
    ),
    Case(
        "child-retry",
        "retry",
        "waits for child child-retry/middle for 1m00s, which waits for child child-retry/middle/pays for 1m00s, "
        "which tries pay again in 59m00s after try 1 (OSError: busy)",
        {"flow_id": "child-retry/middle/pays", "key": "pay", "due": HOUR},
        None,
    ),
    Case(
        "child-no_worker",
        "no_worker",
        "waits for child child-no_worker/middle for 1m00s, which waits for child child-no_worker/middle/unserved for "
        "1m00s, which waits for a worker for 1m00s: no live worker serves unserved",
        {"flow_id": "child-no_worker/middle/unserved", "type": "unserved"},
        SERVE,
    ),
    Case(
        "no_worker",
        "no_worker",
        "waits for a worker for 1m00s: no live worker serves unserved",
        {"type": "unserved", "since": 0},
        SERVE,
    ),
    Case(
        "queued",
        "queued",
        "waits for a free worker for 1m00s: 1 worker serves queued, it is full (2 of 2)",
        {"type": "queued", "since": 0, "workers": 1, "busy": 2, "capacity": 2},
        SERVE,
    ),
    Case("running", "running", "runs on w5, lease 59m00s left", {"worker": "w5", "lease_until": HOUR}, None),
    Case(
        "lease_expired",
        "lease_expired",
        "worker gone was lost for 1h01m: no live worker serves lease_expired",
        {"worker": "gone", "since": -HOUR},
        SERVE,
    ),
    Case(
        "diverged",
        "diverged",
        'is blocked (diverged): *; recorded step plain("what":"one"), the code asks for step plain("what":"two"), '
        "at *standing.py:*",
        {"key": "plain", "recorded": 'step plain("what":"one")', "since": 0},
        "ergon replay diverged -m MODULE",
    ),
    Case(
        "crash_loop",
        "crash_loop",
        "is blocked (crash_loop): the flow took down its worker 5 times while it ran alone",
        {"since": 0},
        "ergon retry crash_loop",
    ),
    Case(
        "unreadable",
        "unreadable",
        "is blocked (unreadable): the stored arguments no longer fit the flow: *",
        {"since": 0},
        "ergon replay unreadable -m MODULE",
    ),
    Case(
        "spinning",
        "spinning",
        "is blocked (spinning): flow code ran 100,000 callbacks without waiting for anything*",
        {"since": 0},
        "ergon replay spinning -m MODULE",
    ),
    Case(
        "stuck",
        "stuck",
        "is blocked (stuck): the flow waits for something that can never come, at *standing.py:*",
        {"since": 0},
        "ergon replay stuck -m MODULE",
    ),
    Case(
        "conflict",
        "conflict",
        "is blocked (conflict): child conflict/signals exists already, as another flow",
        {"since": 0},
        "ergon retry conflict",
    ),
    Case(
        "too_long",
        "too_long",
        "is blocked (too_long): the journal has * entries, the cap is 100",
        {"since": 0},
        "ergon worker -m MODULE --max-entries N",
    ),
    Case(
        "paused",
        "paused",
        "is blocked (paused): imported from h.jsonl; nothing runs it",
        {"since": 0},
        "ergon retry paused",
    ),
    Case(
        "fork",
        "paused",
        "is blocked (paused): this fork is not finished: run the command that makes it again, or cancel it",
        {"since": 0},
        "ergon fork timer --from 'a step' --id fork",
    ),
]


@dataclass(frozen=True)
class Seen:
    """What was read of a store: when its workers went, and each flow, whole and as a list shows it. `runs` is flow
    `running` while its worker lived."""

    went: int
    flows: Mapping[str, tuple[FlowView, FlowView]]
    runs: FlowView


def a_store(kind: str, folder: Path, clock: Clock) -> Store:
    match kind:
        case "memory":
            return MemoryStore(clock)
        case "sqlite":
            return SQLiteStore(folder / "ergon.db", SQLiteOptions(synchronous="normal"), clock=clock)
        case _:
            address = parse_redis(f"{shared_server().url}?namespace={secrets.token_hex(8)}")
            return RedisStore(address, clock=clock)


async def views(store: Store, flow: str, now: int) -> tuple[FlowView, FlowView]:
    row, workers = await store.get(flow), await store.workers()
    assert row is not None
    whole = await view_flow(store, row, now=now, workers=workers)
    return whole, await view_row(store, row, now=now, workers=workers)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("standing")


@pytest.fixture(scope="module")
def seen(folder: Path) -> Any:
    """What stands in a store of some kind; each is made once."""

    @cache
    def see(kind: str) -> Seen:
        clock = Clock(utc_now())
        went, runs = clock.now, list[FlowView]()
        store = a_store(kind, folder, clock)

        async def look() -> None:
            runs.append((await views(store, "running", went + AFTER))[0])

        async def main() -> Seen:
            await store.open()
            try:
                await let_stand(store, clock, look)
                clock.now += AFTER
                flows = {case.flow: await views(store, case.flow, clock.now) for case in CASES}
            finally:
                await store.close()
            return Seen(went, flows, *runs)

        return asyncio.run(main())

    return see


KINDS = pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])


@KINDS
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.flow)
def test_flow_that_stands_says_why_and_what_helps(seen: Any, kind: str, case: Case) -> None:
    found: Seen = seen(kind)
    for view in found.flows[case.flow]:
        assert view.why is not None
        deepest = view.why.deepest
        assert (deepest.kind, view.why.fix, deepest.fix) == (case.kind, case.fix, case.fix)
        for name, expected in case.fields.items():
            moved = expected + found.went if name in TIMES and expected is not None else expected
            assert getattr(deepest, name) == moved, name
        line = why_line(view.why, found.went + AFTER)
        assert fnmatchcase(line, case.line.format(due=iso(found.went + HOUR))), line


def test_every_kind_has_a_flow_that_stands_for_it() -> None:
    waiting = {"signal", "timer", "child", "retry", "queued", "no_worker", "running", "lease_expired"}
    kinds = {case.kind for case in CASES} | {"child" for case in CASES if case.flow.startswith("child-")}
    assert kinds == waiting | set(BLOCKED_KINDS)


@pytest.mark.parametrize(
    ("depth", "line"),
    [
        (1, "waits for child c1, which waits for signal go"),
        (3, "waits for child c1, which waits for child c2, which waits for child c3, which waits for signal go"),
        (5, "waits for child c1, which leads over 3 more to child c5, which waits for signal go"),
    ],
)
def test_of_a_long_chain_of_children_the_first_and_the_last_are_named(depth: int, line: str) -> None:
    why = Why("signal", name="go")
    for number in range(depth, 0, -1):
        why = Why("child", child=f"c{number}", cause=why)
    assert why_line(why, 0) == line


@KINDS
def test_step_that_runs_is_named_while_its_worker_lives(seen: Any, kind: str) -> None:
    found: Seen = seen(kind)
    (step,) = found.runs.steps
    (attempt,) = step.tries
    assert (step.key, step.status, step.attempts, step.started_at) == ("charge", "running", 1, found.went)
    assert (attempt.n, attempt.worker, attempt.started_at, attempt.finished_at) == (1, "w5", found.went, None)
    assert found.runs.why is not None
    assert why_line(found.runs.why, found.went + AFTER) == "runs charge on w5, 1m00s, lease 59m00s left"


def test_inspect_of_a_file_says_the_same(seen: Any, folder: Path, ergon: Shell) -> None:
    found: Seen = seen("sqlite")
    flows = [case.flow for case in CASES]
    assert ergon("inspect", *flows, "--json", "--store", f"sqlite:///{folder}/ergon.db") == 0
    for flow, said in zip(flows, ergon.json, strict=True):
        why = found.flows[flow][0].why
        assert why is not None
        assert said["why"] == why.to_json(), flow
