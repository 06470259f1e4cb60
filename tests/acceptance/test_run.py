"""`ergon run` as a process: what is on stdout, and how it is stopped."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import Shop, until

FLOWS = """
import asyncio, os, subprocess, sys
from pathlib import Path
from ergon_runtime import flow, invoke, sleep, step

@step
async def talk(n: int) -> int:
    print("a step prints")
    subprocess.run([sys.executable, "-c", "print('a process prints')"], check=True)
    return n + 1

@flow
async def child(n: int) -> int:
    await sleep(0.05)
    return await talk(n)

@flow
async def parent(n: int) -> list[int]:
    print("a flow prints")
    return [await talk(n), await invoke(child(n))]

@flow
async def order() -> list[str]:
    return list({str(n) for n in range(50)})

@step
async def held() -> str:
    Path("begun").touch()
    while not Path("go on").exists():
        await asyncio.sleep(0.01)
    return "held"

@step
async def after() -> str:
    return "after"

@flow
async def two() -> list[str]:
    return [await held(), await after()]
"""


@pytest.fixture
def here(tmp_path: Path) -> Shop:
    (tmp_path / "flows.py").write_text(FLOWS)
    return Shop(tmp_path)


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(here: Shop) -> Iterator[Start]:
    """Begins a run, and waits until its first step has begun. What still runs at the end is killed."""
    begun: list[subprocess.Popen[str]] = []

    def begin(*args: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "ergon_cli", "run", *args]
        pipe = subprocess.PIPE
        process = subprocess.Popen(line, cwd=here.folder, env=here._environment(), stdout=pipe, stderr=pipe, text=True)
        begun.append(process)
        until((here.folder / "begun").exists, what="the first step")
        return process

    yield begin
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("store", [(), ("--store", "memory://")])
def test_result_alone_is_on_stdout_whoever_prints(here: Shop, store: tuple[str, ...]) -> None:
    done = here.run("run", "parent", "-a", "n=1", *store)
    assert done.stdout == "[2, 2]\n"
    for said in ("a flow prints", "a step prints", "a process prints"):
        assert said in done.stderr
    assert (here.folder / "ergon.db").exists() is not bool(store)


def test_run_and_worker_of_a_store_share_its_hash_seed(here: Shop) -> None:
    here.environ["PYTHONHASHSEED"] = "1"
    first = json.loads(here.run("run", "order", "--id", "a").stdout)
    here.environ["PYTHONHASHSEED"] = "2"
    here.run("schedule", "order", "--id", "b")
    here.run("worker", "--burst")
    assert here.json("inspect", "b")["result"] == first


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_first_signal_lets_the_step_end_and_tells_how_to_go_on(
    here: Shop, start: Start, number: signal.Signals, code: int
) -> None:
    process = start("two", "--id", "t", "-m", "flows.py")
    process.send_signal(number)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("draining: 1 running flows")
    (here.folder / "go on").touch()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "")
    said = "error: flow t was stopped: it is pending\n  it is kept, and goes on: ergon worker -m flows.py\n"
    assert err == said
    flow = here.json("inspect", "t")
    assert (flow["status"], [step["key"] for step in flow["steps"]]) == ("pending", ["held"])
    here.run(*shlex.split("worker -m flows.py --burst"))
    assert here.json("inspect", "t")["result"] == ["held", "after"]


def test_second_signal_stops_at_once(start: Start) -> None:
    process = start("two", "--id", "t")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err == "stopped at once; unfinished flows are taken over when their leases end\n"


def test_run_in_memory_that_is_stopped_leaves_nothing(here: Shop, start: Start) -> None:
    process = start("two", "--id", "t", "--store", "memory://")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    process.stderr.readline()  # it drains
    (here.folder / "go on").touch()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.endswith("error: flow t was stopped: it is pending\n  memory:// keeps nothing of it\n")
    assert sorted(path.name for path in here.folder.glob("*.db*")) == []


def test_kill_of_a_run_loses_no_flow(here: Shop, start: Start) -> None:
    config = here.folder / "ergon.toml"
    config.write_text('[worker]\nlease = "500ms"\n')
    process = start("two", "--id", "t")
    process.kill()
    process.communicate(timeout=30)
    (here.folder / "go on").touch()
    done = here.run("run", "two", "--id", "t")
    assert done.stdout == '["held", "after"]\n'
