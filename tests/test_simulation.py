"""A short turn of the simulation: `make rig-sim SEEDS=3000` takes longer ones. See tests/simulation."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.cross import differs, holds_renamed, notices, read, record
from tests.simulation.loop import Process, SimLoop
from tests.simulation.mutant import MUTANTS
from tests.simulation.mutants import noticed
from tests.simulation.options import TROUBLE, add_arguments, changed, options_of
from tests.simulation.regressions import REGRESSIONS
from tests.simulation.run import history, one, trace_of
from tests.simulation.shrink import shrunk

ROOT = Path(__file__).parent.parent
SEEDS = int(os.environ.get("ERGON_TEST_SEEDS", "60"))
CHUNK = 10


def loop_now() -> SimLoop:
    return SimLoop()  # type: ignore[abstract]  # a simulated process has no I/O


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_histories_over_the_memory_store_keep_every_promise(first: int) -> None:
    for seed in range(first, first + CHUNK):
        one(seed)


@pytest.mark.parametrize("first", range(100, 115, 5))
def test_histories_over_the_sqlite_store_keep_every_promise(first: int) -> None:
    for seed in range(first, first + 5):
        one(seed, "sqlite")


def test_histories_over_the_redis_store_keep_every_promise() -> None:
    for seed in range(200, 206):
        one(seed, "redis")


def test_history_of_a_seed_is_the_same_again() -> None:
    assert trace_of(one(4)) == trace_of(one(4))


def test_history_of_a_seed_is_the_same_under_every_hash_seed() -> None:
    command = [sys.executable, "-m", "tests.simulation.run", "4", "--first", "3000004", "--trace"]
    said = [_run(command, hash_seed).splitlines()[:4] for hash_seed in ("0", "1")]
    assert said[0] == said[1]
    assert all("seed 300000" in line for line in said[0])


@pytest.mark.parametrize("name", REGRESSIONS)
def test_history_that_once_found_a_fault_goes_well(name: str) -> None:
    history(REGRESSIONS[name])


def test_shrinking_leaves_what_the_failure_needs() -> None:
    left = shrunk(options_of(10), lambda each: each.depth >= 1 and "kills" not in each.without)
    assert (left.depth, left.flows, left.chaos, left.codes) == (1, 1, 0.0, 1)
    assert set(TROUBLE) - set(left.without) == {"kills"}


def test_command_of_a_history_repeats_it() -> None:
    options = replace(options_of(10), depth=1, jumps=True, without=("kills", "lost replies"))
    words = shlex.split(options.said())
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    said = parser.parse_args(words[words.index("--first") + 2 :])
    assert changed(options_of(10), said) == options


@pytest.mark.parametrize(
    "name",
    [
        "two_a_turn",
        "resend",
        "no_end_of_step",
        "claim_clock",
        "lost_wakeup",
        "no_pool",
        "one_need",
        "beats_unread",
        "cut_nothing",
    ],
)
def test_rule_switched_off_is_noticed(name: str) -> None:
    assert next(noticed(MUTANTS[name], range(40)), None) is not None


def test_journals_replay_alike_under_another_hash_seed(tmp_path: Path) -> None:
    journals = tmp_path / "journals.json"
    assert record(journals, range(1, 5)) > 10
    flows = read(journals)
    assert [found for flow in flows if (found := differs(flow))] == []
    command = [sys.executable, "-m", "tests.simulation.cross", "replay", str(journals)]
    _run(command, "4711")


def test_renamed_steps_are_noticed_by_every_journal_that_holds_one(tmp_path: Path) -> None:
    record(tmp_path / "journals.json", range(1, 5))
    flows = [flow for flow in read(tmp_path / "journals.json") if holds_renamed(flow)]
    assert flows
    assert all(notices(flow) for flow in flows)


def _run(command: list[str], hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_callbacks_of_a_dead_process_are_dropped() -> None:
    loop, process, seen = loop_now(), Process("p"), list[float]()
    loop.post(process, 1.0, lambda: seen.append(loop.now))
    loop.post(process, 3.0, lambda: seen.append(loop.now))
    loop.post(None, 2.0, lambda: setattr(process, "alive", False))
    loop.run(10.0, most=100)
    assert seen == [1.0]


def test_callbacks_of_a_frozen_process_wait_until_it_thaws() -> None:
    loop, process, seen = loop_now(), Process("p"), list[float]()
    loop.post(process, 1.0, lambda: process.freeze(loop.now, 5.0))
    loop.post(process, 2.0, lambda: seen.append(loop.now))
    loop.post(process, 7.0, lambda: seen.append(loop.now))
    loop.run(10.0, most=100)
    assert seen == [6.0, 7.0]


def test_task_resumes_in_the_process_that_awaits() -> None:
    loop, process, owners = loop_now(), Process("p"), list[Process | None]()

    async def sleep() -> None:
        await asyncio.sleep(1.0)
        owners.append(loop.owner)

    with loop.as_owner(process):
        loop.create_task(sleep())
    loop.run(10.0, most=100)
    assert owners == [process]
