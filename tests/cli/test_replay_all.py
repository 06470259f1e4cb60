"""`ergon replay --all`: every flow of the store, and which patches the flows that are not over still need."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from typing import Any

import pytest

from ergon_runtime import FlowRow, Store, open_store, registry
from ergon_runtime.histories import FlowHistory, read_history
from tests.cli.shell import URL, Shell, in_store

FLOWS = """
from ergon_runtime import flow, patched, step, wait_signal
print("the module prints")

@step
async def pay(n: int) -> int:
    return n

@step
async def ship(n: int) -> int:
    return n

@flow
async def order(n: int) -> int:
    print("flow code prints")
    await pay(n)
    await ship(n)
    return await wait_signal("go", int)

@flow
async def bill(n: int) -> int:
    return n

@flow(version="v2")
async def hold(n: int) -> int:
    return await wait_signal("go", int)
"""
CHANGED = FLOWS.replace("    await ship(n)", "    await ship(n + 1)")
PATCHED = FLOWS.replace("    await ship(n)", '    await ship(n + 1 if patched("one more") else n)')
"""Flows that have shipped already keep to the old path."""
NEW_ONLY = FLOWS.replace("    await ship(n)", '    patched("one more")\n    await ship(n + 1)')
CALL_GONE = CHANGED
NO_BILLS = FLOWS.replace("async def bill", "async def invoice")


class Orders:
    """A folder with a store in it; every command runs in this process, on the flows.py that it is given."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    def run(self, *args: str, flows: str = FLOWS, code: int = 0) -> None:
        (self.shell.folder / "flows.py").write_text(flows)
        paths = list(sys.path)
        with registry.isolated():
            found = self.shell(*args)
        sys.path[:] = paths
        sys.modules.pop("flows", None)
        assert found == code, (args, self.shell.out, self.shell.err)

    def replay(self, *args: str, flows: str = FLOWS, code: int = 0) -> list[str]:
        """The lines that `ergon replay` writes."""
        self.run("replay", *args, flows=flows, code=code)
        return self.shell.out.splitlines()

    def json(self, *args: str, flows: str = FLOWS, code: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
        """The reports by id, in their order, and the last line."""
        *reports, last = map(json.loads, self.replay(*args, "--json", flows=flows, code=code))
        return {report["id"]: report for report in reports}, last

    def damage(self, flow: str, seq: int) -> None:
        with closing(sqlite3.connect("ergon.db")) as connection, connection:
            connection.execute("UPDATE journal SET entry = x'7b' WHERE flow = ? AND seq = ?", (flow, seq))


@pytest.fixture
def orders(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> Orders:
    """An order that waits, one that is completed, a bill that is completed, and a hold that waits."""

    async def seed(store: Store) -> str:
        return (await store.identity()).hash_seed

    monkeypatch.setenv("PYTHONHASHSEED", in_store(seed))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Orders(ergon)
    for args in (
        ["schedule", "order", "-a", "n=1", "--id", "done"],
        ["signal", "go", "7", "--flow", "done"],
        ["schedule", "order", "-a", "n=2", "--id", "waits"],
        ["schedule", "bill", "-a", "n=3", "--id", "bill"],
        ["schedule", "hold", "-a", "n=4", "--id", "hold"],
        ["worker", "--burst"],
    ):
        made.run(*args)
    return made


def patch_of(last: dict[str, Any]) -> tuple[object, ...]:
    (row,) = last["patches"]
    return tuple(row[name] for name in ("id", "flow", "verdict", "old", "new", "remembered"))


def test_all_that_is_the_same_is_one_line_and_prints_of_modules_and_flows_are_no_data(orders: Orders) -> None:
    assert orders.replay("--all") == ["4 flows replayed: 4 same"]
    assert orders.shell.err == "the module prints\n" + 2 * "flow code prints\n"


def test_flows_that_differ_are_a_line_each_and_the_exit_code_is_5(orders: Orders) -> None:
    where = f"flows.py:{CHANGED.splitlines().index('    await ship(n + 1)') + 1}"
    assert orders.replay("--all", flows=CHANGED, code=5) == [
        f"DIVERGED  order {name} after 1 of {total} recorded completions: "
        f"step ship is asked for with other arguments, at {where}"
        for name, total in (("waits", 2), ("done", 3))
    ] + ["4 flows replayed: 2 same, 2 diverged"]
    assert "both sides of each: ergon replay waits done\n" in orders.shell.err
    assert orders.json("--all", flows=CHANGED, code=5)[1]["differing"] == ["waits", "done"]


def test_unreadable_journal_in_the_middle_stops_nothing(orders: Orders) -> None:
    orders.damage("waits", 1)
    lines = orders.replay("--all", code=5)
    assert lines[0].startswith("UNREADABLE  order waits: journal entry 1 cannot be read")
    assert lines[1:] == ["4 flows replayed: 3 same, 1 unreadable"]


def test_json_is_a_line_a_flow_live_ones_first_and_a_last_line_without_id(orders: Orders) -> None:
    reports, last = orders.json("--all")
    assert [(each["id"], each["status"]) for each in reports.values()] == [
        ("hold", "waiting"),
        ("waits", "waiting"),
        ("bill", "completed"),
        ("done", "completed"),
    ]
    summary = {"same": 4, "diverged": 0, "unreadable": 0, "unserved": 0}
    assert last == {"summary": summary, "differing": [], "patches": []}


def test_flows_of_other_types_are_counted_and_no_fault(orders: Orders) -> None:
    said = ["3 flows replayed: 3 same; 1 of types that are not loaded"]
    assert orders.replay("--all", flows=NO_BILLS) == said
    reports, last = orders.json("--all", flows=NO_BILLS)
    assert set(reports) == {"hold", "waits", "done"}
    assert last["summary"]["unserved"] == 1
    assert orders.replay("--all", flows=FLOWS.replace('version="v2"', 'version="v3"')) == said


def test_status_and_flow_narrow_it_and_repeat(orders: Orders) -> None:
    assert set(orders.json("--all", "--status", "waiting")[0]) == {"hold", "waits"}
    assert set(orders.json("--all", "--flow", "bill", "--flow", "hold")[0]) == {"hold", "bill"}
    narrow = ["--flow", "order", "--status", "completed", "--status", "failed"]
    assert set(orders.json("--all", *narrow)[0]) == {"done"}
    assert orders.replay("--all", "--status", "blocked") == ["0 flows replayed: 0 same"]
    assert set(orders.json("--all", "--limit", "1")[0]) == {"hold"}
    assert orders.replay("--all", "--sample", "3") == ["3 flows replayed: 3 same"]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ([], 2, "which flows?"),
        (["--json"], 2, "which flows?"),
        (["--all", "waits"], 2, "not both"),
        (["waits", "--flow", "order"], 2, "goes with --all"),
        (["waits", "--status", "waiting"], 2, "goes with --all"),
        (["--all", "--status", "asleep"], 2, "asleep"),
        (["--all", "--flow", "odrer"], 3, "did you mean: order"),
    ],
)
def test_wrong_options_are_refused(orders: Orders, args: list[str], code: int, said: str) -> None:
    assert orders.replay(*args, code=code) == []
    assert said in orders.shell.err


def test_no_store_is_not_found_and_creates_nothing(ergon: Shell) -> None:
    assert ergon("replay", "--all") == 3
    assert list(ergon.folder.iterdir()) == []


def test_flow_that_was_pruned_meanwhile_is_left_out(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    async def prunes_first(store: Store, row: FlowRow) -> FlowHistory:
        async with open_store(URL) as other:
            await other.prune(await other.now() + 1)
        return await read_history(store, row)

    monkeypatch.setattr("ergon_cli.sources.read_history", prunes_first)
    assert orders.replay("--all", "--status", "completed") == ["0 flows replayed: 0 same"]


def test_life_of_a_patch_from_both_branches_to_none(orders: Orders) -> None:
    """Each stage is what the verdict before it allowed, and the next one would be too early."""
    live = ["--all", "--status", "waiting"]
    reports, last = orders.json("--all", flows=PATCHED)
    assert reports["waits"]["patches"] == [{"id": "one more", "path": "old", "recorded": False}]
    assert patch_of(last) == ("one more", "order", "keep", 1, 0, 0)
    orders.replay(*live, flows=NEW_ONLY, code=5)

    orders.run("schedule", "order", "-a", "n=5", "--id", "new", flows=PATCHED)
    orders.run("signal", "go", "7", "--flow", "waits")
    orders.run("worker", "--burst", flows=PATCHED)  # the last flow on the old path ends, and a new one begins
    said = "the old branch can go; keep the call: 1 live flow remembers it"
    assert orders.replay("--all", flows=PATCHED)[-1].split("\t") == ["one more", "order", "0", "1", said]
    orders.replay(*live, flows=NEW_ONLY)
    orders.replay(*live, flows=CALL_GONE, code=5)
    assert orders.replay("new", flows=CALL_GONE, code=5)[-1] == (
        "patch one more: recorded, but the code did not ask for it"
    )

    orders.run("signal", "go", "7", "--flow", "new")
    orders.run("worker", "--burst", flows=NEW_ONLY)  # the last flow that remembers it ends
    assert patch_of(orders.json("--all", flows=PATCHED)[1]) == ("one more", "order", "remove", 0, 0, 0)
    orders.replay(*live, flows=CALL_GONE)


def test_flow_on_either_path_is_told_so_by_its_id(orders: Orders) -> None:
    assert orders.replay("waits", flows=PATCHED)[1:] == ["patch one more: old path"]
    late = FLOWS.replace("    return await wait_signal", '    patched("late")\n    return await wait_signal')
    assert orders.replay("waits", flows=late)[1:] == ["patch late: new path, not recorded yet"]


def test_verdict_is_open_when_live_flows_were_left_out_or_could_not_be_replayed(orders: Orders) -> None:
    last = orders.replay("--all", "--status", "completed", flows=PATCHED)[-1]
    assert last.endswith("\tcannot tell: flows that are not over were left out")
    orders.damage("waits", 0)
    last = orders.replay("--all", flows=PATCHED, code=5)[-1]
    assert last.endswith("\t0\t0\tcannot tell: 1 live flow could not be replayed")


def always(stream: object) -> bool:
    return True


def test_progress_is_for_a_person_alone(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    orders.replay("--all")
    assert "looked at" not in orders.shell.err
    monkeypatch.setattr("ergon_cli.progress.is_terminal", always)
    orders.replay("--all", "--status", "waiting")
    assert "flows looked at: 2\x1b[K\r" in orders.shell.err, "how many wait, nobody knows beforehand"
    orders.replay("--all")
    assert f"flows looked at: [{'#' * 30}] 4 of 4\x1b[K\r" in orders.shell.err
    assert orders.shell.err.endswith("\x1b[K"), "no line is left behind"
