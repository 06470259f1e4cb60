"""Which line of flow code waits for which operation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ergon_runtime.core import asking
from ergon_runtime.core.asking import ChildRequest, machine_here
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.core.places import Places, in_place_of, scope_of
from tests.core.driver import Flow, fault_of, started


def line_with(text: str) -> str:
    lines = Path(__file__).read_text().splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if line.rstrip().endswith("# " + text)]
    return f"{__file__}:{number}"


def here() -> FlowMachine:
    machine = machine_here()
    assert machine is not None
    return machine


def run(name: str, digest: str = "d") -> Any:
    return asking.step_end(here(), name, digest, "[]", None)


async def branch() -> None:
    await run("ship")  # awaits in a task


async def everything() -> None:
    child = ChildRequest(here(), "parcel", None, "d", "[]", detached=False)
    async with asyncio.TaskGroup() as group:
        group.create_task(branch())
        group.create_task(child.end())
        group.create_task(asyncio.sleep(9))
        async with asyncio.timeout(99):
            await asyncio.gather(run("a"), run("b"))  # awaits two


async def waits() -> None:
    child = ChildRequest(here(), "parcel", None, "d", "[]", detached=False)
    await asyncio.gather(late(), asked(child), asking.signal(here(), "go", lambda text: True))  # gathers


async def late() -> None:
    await asyncio.sleep(9)  # sleeps


async def asked(child: ChildRequest) -> None:
    await child.end()  # awaits the child


@pytest.mark.parametrize(
    ("code", "key", "line"),
    [
        (everything, "1/ship", "awaits in a task"),
        (everything, "4/a", "awaits two"),
        (everything, "5/b", "awaits two"),
        (everything, "parcel", "awaits two"),
        (everything, "timeout", "awaits two"),
        (waits, "1/sleep", "sleeps"),
        (waits, "parcel", "awaits the child"),
        (waits, "3/go", "gathers"),
    ],
)
def test_place_of_an_operation_is_the_line_of_the_task_that_awaits_it(code: Any, key: str, line: str) -> None:
    machine = started(code).machine
    op = machine.open.get(key)
    assert op is not None, [each.key for each in machine.open]
    assert Places(machine.loop.alive()).of(op) == line_with(line)


def test_where_of_a_key_that_is_not_asked_for_is_the_line_of_what_stands_there() -> None:
    machine = started(everything).machine
    assert machine.where("1/charge") == line_with("awaits in a task")
    assert machine.where("charge") == line_with("awaits two")


def test_in_place_of_a_key_come_those_of_its_task_then_the_latest_and_alarms_last() -> None:
    machine = started(everything).machine
    keys = [op.key for op in in_place_of("1/charge", machine.open)]
    assert (keys[0], keys[-1], scope_of(keys[0])) == ("1/ship", "timeout", "1/")


async def another() -> None:
    await run("a", "e")  # another argument


async def twice() -> None:
    await run("a")
    await asyncio.gather(branch(), run("b"))


async def begun_otherwise() -> None:
    await asking.step_end(here(), "a", "e", "[]", None, at_most_once=True)  # runs when it stops


async def begun() -> None:
    await asking.step_end(here(), "a", "d", "[]", None, at_most_once=True)


def test_divergence_names_the_line_that_awaits_the_key() -> None:
    fault = fault_of(Flow(another, started(twice).end("a").go().journal).begin)
    assert (fault.key, fault.where) == ("a", line_with("another argument"))


def test_divergence_while_code_runs_names_the_line_that_runs() -> None:
    flow = started(begun)
    fault = fault_of(Flow(begun_otherwise, flow.journal).begin)
    assert (fault.key, fault.where) == ("a", line_with("runs when it stops"))


def test_where_without_a_key_is_the_line_of_the_task_created_last() -> None:
    assert started(waits).machine.where() == line_with("awaits the child")
