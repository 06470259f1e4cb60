"""`ergon replay --stack`, `--until` and `--debug`, over a flow that waits, one that has ended, and changed code."""

from __future__ import annotations

import io
import json
import linecache
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ergon_runtime import registry
from tests.cli.shell import Shell, in_store

ROOT = Path(__file__).resolve().parents[2]
FLOWS = """
import asyncio
from ergon_runtime import flow, step, wait_signal

@step
async def pay(n: int) -> int:
    return n

async def asked(name: str, n: int) -> int:
    async with asyncio.timeout(86_400):
        return await wait_signal(name, int)

@flow
async def order(n: int) -> int:
    print("flow code prints")
    paid = await pay(n)
    first, second = await asyncio.gather(asked("boss", n), asked("client", n + 1))
    return paid + first + second

@flow
async def bill(n: int) -> int:
    return await pay(n)
"""
CHANGED = FLOWS.replace("await pay(n)\n    first", "await pay(n + 1)\n    first")
LINES = {line.strip(): number for number, line in enumerate(FLOWS.splitlines(), 1)}
GATHER = 'first, second = await asyncio.gather(asked("boss", n), asked("client", n + 1))'
WAIT = "return await wait_signal(name, int)"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store with the order `waits`, and the bill `done`, which has ended."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "flows.py").write_text(FLOWS)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ERGON_")}
    environ |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    for args in (
        ["schedule", "order", "-a", "n=1", "--id", "waits"],
        ["schedule", "bill", "-a", "n=3", "--id", "done"],
        ["worker", "--burst"],
    ):
        subprocess.run(
            [sys.executable, "-m", "ergon_cli", *args],
            cwd=folder,
            env=environ,
            check=True,
            capture_output=True,
            timeout=60,
        )
    return (folder / "ergon.db").read_bytes()


class Replays:
    """The store and a flows.py in a folder; every command runs in this process."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    def __call__(self, *args: str, flows: str = FLOWS, code: int = 0) -> list[list[str]]:
        """The cells that `ergon replay` writes."""
        (self.shell.folder / "flows.py").write_text(flows)
        linecache.clearcache()
        paths = list(sys.path)
        with registry.isolated():
            found = self.shell("replay", *args)
        sys.path[:] = paths
        sys.modules.pop("flows", None)
        assert found == code, (args, self.shell.out, self.shell.err)
        return self.shell.rows

    def json(self, *args: str, flows: str = FLOWS, code: int = 0) -> Any:
        self(*args, "--json", flows=flows, code=code)
        return json.loads(self.shell.out)


@pytest.fixture
def replays(ergon: Shell, recorded: bytes, monkeypatch: pytest.MonkeyPatch) -> Replays:
    (ergon.folder / "ergon.db").write_bytes(recorded)

    async def seed(store: Any) -> str:
        return (await store.identity()).hash_seed

    monkeypatch.setenv("PYTHONHASHSEED", in_store(seed))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return Replays(ergon)


def frame(line: str, function: str) -> list[str]:
    return ["frame", f"flows.py:{LINES[line]}", function, line]


def test_stack_of_a_waiting_flow_has_every_task_with_its_lines(replays: Replays) -> None:
    assert replays("waits", "--stack") == [
        ["STANDS", "order waits", "waiting, after 1 of 1 recorded completions"],
        ["task", "", "", "task 1/, task 2/"],
        frame(GATHER, "order"),
        ["task", "1/", "", "timer 1/timeout, signal 1/boss"],
        frame(WAIT, "asked"),
        ["task", "2/", "", "timer 2/timeout, signal 2/client"],
        frame(WAIT, "asked"),
    ]
    assert replays.shell.err == "flow code prints\n"


def test_stack_as_json_says_the_same(replays: Replays) -> None:
    found = replays.json("waits", "--stack")
    assert (found["id"], found["state"], found["status"]) == ("waits", "waits", "waiting")
    assert [task["scope"] for task in found["tasks"]] == ["", "1/", "2/"]
    (inner,) = found["tasks"][2]["frames"]
    assert (inner["function"], inner["line"], inner["source"]) == ("asked", LINES[WAIT], WAIT)
    assert inner["file"] == str(replays.shell.folder / "flows.py")


def test_stack_of_an_exported_flow_needs_no_store(replays: Replays) -> None:
    assert replays.shell("export", "waits") == 0
    (replays.shell.folder / "waits.jsonl").write_text(replays.shell.out)
    (replays.shell.folder / "ergon.db").unlink()
    assert replays("waits.jsonl", "--stack")[2] == frame(GATHER, "order")


def test_stack_of_a_flow_that_has_ended_says_how(replays: Replays) -> None:
    assert replays("done", "--stack") == [["ENDED", "bill done", "completed"]]


def test_stack_where_code_and_journal_differ_says_so_and_ends_with_5(replays: Replays) -> None:
    title, task, line = replays("waits", "--stack", flows=CHANGED, code=5)
    number = CHANGED.splitlines().index("    paid = await pay(n + 1)") + 1
    assert title[:2] == ["DIVERGED", "order waits"]
    assert title[2].endswith(f"the code asks for another pay, at flows.py:{number}")
    assert (task[3], line[3]) == ('step pay("n":2)', "paid = await pay(n + 1)")


def test_stack_of_what_is_not_there_or_not_served_is_an_error(replays: Replays) -> None:
    assert replays("nope", "waits", "--stack", code=3)[0][0] == "STANDS"
    assert "no flow 'nope'" in replays.shell.err
    (row,) = replays("waits", "--stack", flows=FLOWS.replace("def order", "def other"), code=3)
    assert row == ["UNSERVED", "order waits", "no flow order in the modules loaded"]


def test_until_shows_the_variables_where_a_step_is_asked_for(replays: Replays) -> None:
    rows = replays("waits", "--until", "client")
    assert rows[0] == ["REACHED", "order waits", "asks for 2/client, after 1 of 1 recorded completions"]
    assert rows[1:6] == [
        ["task", "", "", "task 1/, task 2/"],
        frame(GATHER, "order"),
        ["value", "n", "1"],
        ["value", "paid", "1"],
        ["task", "1/", "", "timer 1/timeout, signal 1/boss"],
    ]
    assert rows[-4:] == [
        ["task", "2/", "", "runs"],
        frame(WAIT, "asked"),
        ["value", "name", "'client'"],
        ["value", "n", "2"],
    ]
    found = replays.json("done", "--until", "pay")
    assert (found["state"], found["key"], found["position"]) == ("reached", "pay", 0)
    assert found["tasks"][0]["frames"][0]["values"] == {"n": "3"}


def test_until_what_is_never_asked_for_names_what_is_nearest_first(replays: Replays) -> None:
    assert replays("waits", "--until", "clients", code=3) == []
    assert replays.shell.err.splitlines()[-2:] == [
        "error: order waits never asks for clients, in 1 of 1 recorded completions",
        "  it asks for: 2/client, pay, 1/timeout, 1/boss, 2/timeout",
    ]


def debug(replays: Replays, monkeypatch: pytest.MonkeyPatch, until: str, *commands: str) -> str:
    """What the debugger prints to these commands."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{each}\n" for each in commands)))
    replays("waits", "--until", until, "--debug")
    return replays.shell.out


def test_debugger_looks_at_variables_up_to_the_flow_function(replays: Replays, monkeypatch: pytest.MonkeyPatch) -> None:
    said = debug(replays, monkeypatch, "client", "p name, n + 40", "up", "p paid * 100", "up", "down", "p name", "q")
    assert said.startswith("the flow asks for 2/client here; look around, q ends\n")
    assert "('client', 42)\n" in said
    assert "order()\n" in said
    assert "100\n" in said
    assert "*** Oldest frame\n" in said
    assert said.count("'client'") == 2


def test_debugger_shows_frames_of_the_user_alone(replays: Replays, monkeypatch: pytest.MonkeyPatch) -> None:
    said = debug(replays, monkeypatch, "client", "where", "q")
    assert re.findall(r"flows\.py\(\d+\)(\w+)\(\)", said) == ["asked", "order", "asked"]
    assert "ergon_runtime/" not in said


def test_debugger_lets_nothing_run_and_ends_with_its_input(replays: Replays, monkeypatch: pytest.MonkeyPatch) -> None:
    said = debug(replays, monkeypatch, "pay", "next", "step", "break 1", "jump 1", "p n")
    assert said.count("the flow only stands here, and goes no further") == 4
    assert "1\n" in said
    assert debug(replays, monkeypatch, "pay", "c", "p n").count("(ergon)") == 1


def test_result_is_compared_only_when_asked_for(replays: Replays) -> None:
    other = FLOWS.replace("    return await pay(n)", "    return 1 + await pay(n)")
    assert replays("done", flows=other)[0] == ["same  bill done: 1 of 1 recorded completions delivered"]
    rows = replays("done", "--check-result", flows=other, code=5)
    assert rows[-1][0].endswith("(another result)")
    assert replays.json("done", "--check-result", flows=other, code=5)["difference"] == "result"
    assert replays("done", "--check-result")[0][0].startswith("same")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["waits", "--debug"], "--debug goes with --until"),
        (["waits", "done", "--until", "pay", "--debug"], "--debug is for one flow"),
        (["waits", "--until", "pay", "--debug", "--json"], "--debug is for one flow"),
        (["--all", "--stack"], "not for --all"),
        (["waits", "--stack", "--github"], "--stack and --until do not"),
        (["waits", "--until", "pay", "--junit", "x.xml"], "--stack and --until do not"),
    ],
)
def test_options_that_do_not_go_together_are_refused(replays: Replays, args: list[str], said: str) -> None:
    assert replays(*args, code=2) == []
    assert said in replays.shell.err


def always(stream: object) -> bool:
    return True


def test_person_sees_stacks_as_tracebacks_are_and_long_lines_cut(
    replays: Replays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ergon_cli.screens.look.is_terminal", always)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    replays("waits", "--until", "client")
    lines = replays.shell.out.splitlines()
    assert lines[:6] == [
        "REACHED  order waits  asks for 2/client, after 1 of 1 recorded completions",
        "main task waits for task 1/, task 2/",
        f"    flows.py:{LINES[GATHER]}  in order",
        '        first, second = await asyncio.gather(asked("boss", …',
        "        │ n = 1",
        "        │ paid = 1",
    ]
    assert lines[-5] == "task 2/ runs"
