"""`ergon run`: one flow in this process, its result alone on stdout, and how it ends when the flow does not."""

from __future__ import annotations

import asyncio
import json

import pytest

from ergon_runtime import Store, open_store
from ergon_runtime.mail import send_signal_text
from tests.cli.shell import URL, Shell, in_store

FLOWS = """
import asyncio
from ergon_runtime import flow, invoke, sleep, step, wait_signal
print("the module prints")

@step
async def add(a: int, b: int) -> int:
    print("the step prints")
    return a + b

@flow
async def child(n: int) -> int:
    await sleep(0.01)
    return await add(n, 1)

@flow
async def parent(n: int = 1) -> dict[str, int]:
    print("the flow prints")
    return {"sum": await invoke(child(n)) + await add(n, 2)}

@flow(version="v1")
async def fails(why: str = "no luck") -> None:
    raise ValueError(why)

@flow
async def waits(name: str = "go") -> int:
    return await wait_signal(name, int)

@flow
async def waits_in_child() -> int:
    return await invoke(waits("deep"))

@flow
async def leaves() -> None:
    invoke(waits(), detached=True)

@step
async def endless() -> None:
    await asyncio.Event().wait()

@flow
async def long() -> None:
    await endless()

@flow
async def stuck() -> None:
    await asyncio.get_running_loop().create_future()

@flow
async def stuck_in_child() -> None:
    await invoke(stuck())
"""
MEMORY = ("--store", "memory://")


@pytest.fixture
def runs(ergon: Shell, flows: None, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """The command beside these flows, in a process that claims to run under its store's hash seed."""

    async def seed(store: Store) -> str:
        return (await store.identity()).hash_seed

    monkeypatch.setenv("PYTHONHASHSEED", in_store(seed))
    (ergon.folder / "flows.py").write_text(FLOWS)
    return ergon


def flow_count(shell: Shell) -> int:
    assert shell("list") == 0
    return len(shell.rows)


@pytest.mark.parametrize("store", [(), MEMORY])
def test_run_prints_the_result_alone_and_everything_else_on_stderr(runs: Shell, store: tuple[str, ...]) -> None:
    assert runs("run", "parent", "-a", "n=5", *store) == 0
    assert runs.out == '{"sum": 13}\n'
    for said in ("the module prints", "the flow prints", "the step prints"):
        assert said in runs.err
    assert flow_count(runs) == (0 if store else 2)


def test_run_with_json_is_one_object_with_id_and_status(runs: Shell) -> None:
    assert runs("run", "parent", "--id", "p", "--json") == 0
    common = {"id": "p", "flow": "parent", "version": None}
    assert runs.json == [common | {"status": "completed", "result": {"sum": 5}, "error": None}]


def test_run_of_a_flow_that_is_there_already_gives_its_end_again(runs: Shell) -> None:
    assert runs("schedule", "parent", "--id", "p") == 0
    for _ in range(2):
        assert runs("run", "parent", "--id", "p") == 0
        assert runs.out == '{"sum": 5}\n'
    assert flow_count(runs) == 2
    assert runs("run", "parent", "--id", "p", "-a", "n=2") == 2
    assert "exists already" in runs.err


def test_run_of_a_flow_that_fails_is_exit_4_with_its_error(runs: Shell) -> None:
    assert runs("run", "fails", "--id", "f") == 4
    assert runs.out == ""
    assert runs.err.endswith("error: flow f failed: ValueError: no luck\n  see: ergon inspect f\n")
    assert runs("run", "fails", "--id", "f", "--json") == 4
    assert (runs.json[0]["status"], runs.json[0]["error"]["type"]) == ("failed", "ValueError")


def test_run_in_memory_shows_where_the_flow_failed_since_nobody_can_inspect_it(runs: Shell) -> None:
    assert runs("run", "fails", "--id", "f", *MEMORY) == 4
    assert "raise ValueError(why)" in runs.err
    assert runs.err.endswith("error: flow f failed: ValueError: no luck\n")


@pytest.mark.parametrize(
    ("flow", "store", "said"),
    [
        ("stuck", (), "flow f is blocked (stuck): "),
        ("stuck_in_child", (), "flow f waits for child f/stuck for "),
        ("stuck", MEMORY, "flow f is blocked (stuck): "),
        ("waits", MEMORY, "flow f waits for signal go for "),
        ("waits_in_child", MEMORY, "which waits for signal deep for "),
    ],
)
def test_run_of_a_flow_that_nothing_can_wake_says_so_and_is_exit_4(
    runs: Shell, monkeypatch: pytest.MonkeyPatch, flow: str, store: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr("ergon_cli.waiting.LOOK", 0.05)
    assert runs("run", flow, "--id", "f", *store) == 4
    assert runs.out == ""
    assert said in runs.err.partition("error: ")[2]


def test_run_tells_which_signal_it_waits_for_and_takes_it(runs: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal is sent as soon as its command is told."""
    monkeypatch.setattr("ergon_cli.waiting.LOOK", 0.05)
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        assert "ergon signal deep PAYLOAD --flow f/waits" in text
        sending.append(asyncio.get_running_loop().create_task(send()))

    async def send() -> None:
        async with open_store(URL) as store:
            await send_signal_text(store, "deep", "7", flow="f/waits")

    sending: list[asyncio.Task[None]] = []
    monkeypatch.setattr("ergon_cli.waiting.note", tell)
    assert runs("run", "waits_in_child", "--id", "f") == 0
    assert (runs.out, len(told)) == ("7\n", 1)


def test_run_whose_step_outlives_the_grace_time_stops_at_once(runs: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergon_cli.commands.run.GRACE", 0.05)
    assert runs("run", "long", "--id", "f", "--timeout", "500ms") == 124
    assert "error: flow f has not ended in time: it is " in runs.err


def test_run_tells_of_children_that_outlive_the_flow(runs: Shell) -> None:
    assert runs("run", "leaves") == 0
    assert runs.err.endswith("children that have not ended: 1; a worker goes on with them: ergon worker\n")
    assert runs("run", "leaves", *MEMORY) == 0
    assert runs.err.endswith("children that have not ended: 1; memory:// keeps nothing of them\n")
    assert runs("run", "leaves", "--json") == 0
    assert "children" not in runs.err


def test_run_that_takes_too_long_is_exit_124_and_the_flow_is_kept(runs: Shell) -> None:
    assert runs("run", "waits", "--id", "f", "--timeout", "100ms", "-m", "flows.py") == 124
    assert runs.out == ""
    said = "error: flow f has not ended in time: it is waiting\n  it is kept, and goes on: ergon worker -m flows.py\n"
    assert runs.err.endswith(said)
    assert runs("inspect", "f", "--json") == 0
    assert runs.json[0]["status"] == "waiting"
    assert runs("run", "waits", "--id", "f", "--timeout", "100ms", "--json", *MEMORY) == 124
    error = json.loads(runs.err.splitlines()[-1])["error"]
    assert (error["code"], error["hint"]) == (124, "memory:// keeps nothing of it")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["nope"], 3, "unknown flow 'nope'"),
        (["parent", "-a", "n=x", "-a", "m=1"], 2, "not a whole number"),
        (["parent", "--input", "[]"], 2, "error: "),
        (["parent", "--id", "/p"], 2, "cannot be a flow id"),
        (["parent", "--timeout", "soon"], 2, "soon"),
        (["fails", "--version", "v2"], 3, "there is: v1"),
        ([], 2, "missing argument"),
        (["parent", "--store", "memory://x"], 2, "takes no path"),
    ],
)
def test_run_with_wrong_options_is_refused_as_schedule_does(runs: Shell, args: list[str], code: int, said: str) -> None:
    assert runs("run", *args) == code
    assert runs.out == ""
    assert said in runs.err
    assert flow_count(runs) == 0


def test_run_in_a_folder_without_flows_creates_no_store(ergon: Shell) -> None:
    assert ergon("run", "hello") == 2
    assert list(ergon.folder.iterdir()) == []


def test_no_other_command_takes_a_store_in_memory(runs: Shell) -> None:
    for line in (["schedule", "parent"], ["worker", "--burst"], ["list"], ["replay", "--all"]):
        assert runs(*line, *MEMORY) == 2
        assert "memory:// keeps nothing" in runs.err
