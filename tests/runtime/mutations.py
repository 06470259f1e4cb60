"""Edits of flow code, and what a replay has to say of each: the tables behind test_replay_mutations.py.

A case is a flow and an edit of its source, a text for another. In the new text the comment `# here` marks the line that
the report has to name. The steps that all flows share are in HEAD.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ergon_runtime.replay import Difference

Mode = Literal["waits", "ends", "cancelled"]

HEAD = """
import asyncio
from dataclasses import dataclass

from ergon_runtime import continue_as_new, flow, flow_type, invoke, patched, sleep, step, wait_signal


@step
async def charge(n: int) -> int:
    return n


@step
async def pack(n: int) -> int:
    return n


@step
async def ship(n: int) -> int:
    return n


@step
async def audit(n: int) -> int:
    return n


@step
async def note(text: str) -> None:
    pass


@step
async def move(source: str, target: str) -> str:
    return source + target


@step
async def dawdle(n: int) -> int:
    await asyncio.sleep(60)
    return n


@step
async def refuse(n: int) -> int:
    raise ValueError(f"no {n}")


@step(name="parcel")
async def parcel_step(n: int) -> int:
    return n


@flow
async def parcel(n: int) -> int:
    return n


@flow
async def crate(n: int) -> int:
    return n

"""

ORDER = """
@flow
async def main(n: int) -> int:
    await charge(n)
    await pack(n + 1)
    await ship(n + 2)
    return await wait_signal("go", int)
"""
NOTES = """
@flow
async def main(n: int) -> int:
    await charge(n)
    await note("packed")
    await ship(n)
    return await wait_signal("go", int)
"""
PARALLEL = """
@flow
async def main(n: int) -> int:
    await asyncio.gather(charge(n), pack(n))
    await ship(n)
    return await wait_signal("go", int)
"""
SERIAL = """
@flow
async def main(n: int) -> int:
    await charge(n)
    await pack(n)
    await ship(n)
    return await wait_signal("go", int)
"""
UNEVEN = """
@flow
async def main(n: int) -> int:
    await asyncio.gather(dawdle(n), pack(n + 1), ship(n + 2))
    return await wait_signal("go", int)
"""
RACE = """
@flow
async def main(n: int) -> int:
    try:
        async with asyncio.timeout(9):
            await dawdle(n)
    except TimeoutError:
        await charge(n)
    await ship(n)
    return await wait_signal("go", int)
"""
GROUP = """
async def branch(n: int) -> int:
    await charge(n)
    return await pack(n)


@flow
async def main(n: int) -> int:
    async with asyncio.TaskGroup() as group:
        group.create_task(branch(n))
        group.create_task(ship(n + 5))
    return await wait_signal("go", int)
"""
LOOP = """
@flow
async def main(n: int) -> int:
    for each in range(n, 4):
        await charge(each)
    await pack(n)
    return await wait_signal("go", int)
"""
BRANCH = """
@flow
async def main(n: int) -> int:
    if n > 0:
        await charge(n)
    else:
        await pack(n)
    await ship(n)
    return await wait_signal("go", int)
"""
TRANSFER = """
@flow
async def main(n: int) -> int:
    await move("a", "b")
    await charge(100)
    return await wait_signal("go", int)
"""
SLEEPS = """
@flow
async def main(n: int) -> int:
    await charge(n)
    await sleep(60)
    await ship(n)
    return await wait_signal("go", int)
"""
ASKS = """
@flow
async def main(n: int) -> int:
    await charge(n)
    approved = await wait_signal("approve", int)
    await ship(approved)
    return await wait_signal("go", int)
"""
CHILDREN = """
@flow
async def main(n: int) -> int:
    await charge(n)
    await invoke(parcel(n))
    await ship(n)
    return await wait_signal("go", int)
"""
SENDS_OFF = """
@flow
async def main(n: int) -> int:
    await charge(n)
    invoke(parcel(n), detached=True)
    return await wait_signal("go", int)
"""
PATCHED = """
@flow
async def main(n: int) -> int:
    await charge(n)
    if patched("packing"):
        await pack(n + 7)
    else:
        await audit(n)
    return await wait_signal("go", int)
"""
HELPERS = """
async def deliver(n: int) -> int:
    await pack(n)
    return await ship(n + 1)


@flow
async def main(n: int) -> int:
    await charge(n)
    await deliver(n)
    return await wait_signal("go", int)
"""
CLASS = """
@dataclass
@flow_type(name="main")
class Main:
    n: int

    @step
    async def weigh(self, kilos: int) -> int:
        return kilos

    @flow
    async def run(self) -> int:
        await self.weigh(self.n)
        await ship(self.n)
        return await wait_signal("go", int)
"""
FAILS = """
@flow
async def main(n: int) -> int:
    await charge(n)
    return await refuse(n)
"""
CATCHES = """
@flow
async def main(n: int) -> int:
    try:
        await refuse(n)
    except ValueError:
        await audit(n)
    return await wait_signal("go", int)
"""
CLEANS = """
@flow
async def main(n: int) -> int:
    try:
        return await wait_signal("go", int)
    except asyncio.CancelledError:
        await charge(n)
        await ship(n)
        raise
"""
TELLS = """
@flow
async def main(n: int) -> dict[str, int]:
    await charge(n)
    return {"a": n, "b": n}
"""
ROUNDS = """
@flow
async def main(n: int) -> int:
    await charge(n)
    if n < 3:
        continue_as_new(main(n + 1))
    await ship(n)
    return n
"""


@dataclass(frozen=True)
class Harmless:
    """An edit that replay has nothing to say of."""

    name: str
    flow: str
    old: str = ""
    new: str = ""
    modes: tuple[Mode, ...] = ("waits", "ends")
    mail: tuple[str, ...] = ()
    head: tuple[str, str] = ("", "")
    check_result: bool = False


@dataclass(frozen=True)
class Mutation:
    """An edit that replay has to find. `mail` are signals that the flow gets, besides `go` if it is to end."""

    name: str
    flow: str
    old: str
    new: str
    difference: Difference
    key: str | None
    recorded: str
    current: str
    modes: tuple[Mode, ...] = ("waits", "ends")
    mail: tuple[str, ...] = ()
    check_result: bool = False
    says: str = ""
    head: tuple[str, str] = ("", "")


def line(text: str) -> str:
    return f"    {text}\n"


ENDS: tuple[Mode, ...] = ("ends",)
WAITS: tuple[Mode, ...] = ("waits",)
CHARGE, PACK, SHIP = 'step charge("n":1)', 'step pack("n":2)', 'step ship("n":3)'
GO = line('return await wait_signal("go", int)')

MUTATIONS = [
    # --- added
    Mutation(
        "a step added at the start",
        ORDER,
        line("await charge(n)"),
        line("await audit(n)  # here") + line("await charge(n)"),
        "extra",
        "charge",
        CHARGE,
        'step audit("n":1)',
        says="step audit was added before step charge",
    ),
    Mutation(
        "a step added in the middle whose result nobody knows",
        ORDER,
        line("await pack(n + 1)"),
        line("await audit(9)  # here") + line("await pack(n + 1)"),
        "extra",
        "pack",
        PACK,
        'step audit("n":9)',
        says="step audit was added before step pack, or put in place of it",
    ),
    Mutation(
        "a step without a result added in the middle",
        ORDER,
        line("await pack(n + 1)"),
        line('await note("soon")  # here') + line("await pack(n + 1)"),
        "extra",
        "pack",
        PACK,
        'step note("text":"soon")',
        says="step note was added before step pack",
    ),
    Mutation(
        "a step added before the last wait",
        ORDER,
        GO,
        line('await note("soon")  # here') + GO,
        "extra",
        "go",
        "signal go",
        'step note("text":"soon")',
        ENDS,
    ),
    Mutation(
        "a step added at the end",
        ORDER,
        GO,
        line('await wait_signal("go", int)') + line("return await audit(n)  # here"),
        "extra",
        None,
        "the end (completed)",
        'step audit("n":1)',
        ENDS,
    ),
    Mutation(
        "a sleep added",
        ORDER,
        line("await pack(n + 1)"),
        line("await sleep(5)  # here") + line("await pack(n + 1)"),
        "extra",
        "pack",
        PACK,
        "timer sleep",
        says="timer sleep was added before step pack",
    ),
    Mutation(
        "a wait for a signal added",
        ORDER,
        line("await pack(n + 1)"),
        line('await wait_signal("ready")  # here') + line("await pack(n + 1)"),
        "extra",
        "pack",
        PACK,
        "signal ready",
    ),
    Mutation(
        "a child added",
        ORDER,
        line("await pack(n + 1)"),
        line("await invoke(parcel(n))  # here") + line("await pack(n + 1)"),
        "extra",
        "pack",
        PACK,
        'child parcel("n":1)',
    ),
    Mutation(
        "another round of a loop at its end",
        LOOP,
        "range(n, 4):\n        await charge(each)",
        "range(n, 5):\n        await charge(each)  # here",
        "extra",
        "pack",
        'step pack("n":1)',
        'step charge#4("n":4)',
    ),
    Mutation(
        "another round of a loop at its start",
        LOOP,
        "range(n, 4):\n        await charge(each)",
        "range(n - 1, 4):\n        await charge(each)  # here",
        "extra",
        "charge",
        CHARGE,
        'step charge("n":0)',
    ),
    Mutation(
        "a retry in code",
        FAILS,
        line("return await refuse(n)"),
        line("try:")
        + line("    return await refuse(n)")
        + line("except ValueError:")
        + line("    return await refuse(n)  # here"),
        "extra",
        None,
        "the end (failed)",
        'step refuse#2("n":1)',
        ENDS,
    ),
    # --- removed
    Mutation(
        "the first step removed",
        ORDER,
        line("await charge(n)") + line("await pack(n + 1)"),
        line("await pack(n + 1)  # here"),
        "missing",
        "charge",
        CHARGE,
        PACK,
    ),
    Mutation(
        "a step in the middle removed",
        ORDER,
        line("await pack(n + 1)") + line("await ship(n + 2)"),
        line("await ship(n + 2)  # here"),
        "missing",
        "pack",
        PACK,
        SHIP,
    ),
    Mutation(
        "the last step removed",
        ORDER,
        line("await ship(n + 2)") + GO,
        line('return await wait_signal("go", int)  # here'),
        "missing",
        "ship",
        SHIP,
        "signal go",
    ),
    Mutation(
        "all that comes after a step removed",
        ORDER,
        line("await ship(n + 2)") + GO,
        line("return n  # here"),
        "missing",
        "ship",
        SHIP,
        "the end",
    ),
    Mutation(
        "an early return",
        ORDER,
        line("await pack(n + 1)"),
        line("if n == 1:") + line("    return n  # here") + line("await pack(n + 1)"),
        "missing",
        "pack",
        PACK,
        "the end",
    ),
    Mutation(
        "everything removed",
        ORDER,
        line("await charge(n)") + line("await pack(n + 1)") + line("await ship(n + 2)") + GO,
        line("return n  # here"),
        "missing",
        "charge",
        CHARGE,
        "the end",
    ),
    Mutation(
        "a call that is no longer awaited",
        NOTES,
        line('await note("packed")') + line("await ship(n)"),
        line('note("packed").close()') + line("await ship(n)  # here"),
        "missing",
        "note",
        'step note("text":"packed")',
        'step ship("n":1)',
    ),
    Mutation(
        "a sleep removed",
        SLEEPS,
        line("await sleep(60)") + line("await ship(n)"),
        line("await ship(n)  # here"),
        "missing",
        "sleep",
        "timer sleep",
        'step ship("n":1)',
    ),
    Mutation(
        "a wait for a signal removed",
        ASKS,
        line('approved = await wait_signal("approve", int)') + line("await ship(approved)"),
        line("await ship(7)  # here"),
        "missing",
        "approve",
        "signal approve",
        'step ship("n":7)',
        mail=("approve",),
    ),
    Mutation(
        "the last round of a loop removed",
        LOOP,
        "range(n, 4):\n        await charge(each)\n    await pack(n)",
        "range(n, 3):\n        await charge(each)\n    await pack(n)  # here",
        "missing",
        "charge#3",
        'step charge#3("n":3)',
        'step pack("n":1)',
    ),
    Mutation(
        "the first round of a loop removed",
        LOOP,
        "range(n, 4):\n        await charge(each)",
        "range(n + 1, 4):\n        await charge(each)  # here",
        "missing",
        "charge",
        CHARGE,
        'step charge("n":2)',
        says="step charge is asked for with the arguments that are recorded for charge#2: "
        "the call before it was removed",
    ),
    Mutation(
        "a child that nobody awaits removed",
        SENDS_OFF,
        line("invoke(parcel(n), detached=True)") + GO,
        line('return await wait_signal("go", int)  # here'),
        "missing",
        "parcel",
        'child parcel("n":1)',
        "signal go",
        WAITS,
    ),
    Mutation(
        "the call of patched removed with its old branch",
        PATCHED,
        line('if patched("packing"):')
        + line("    await pack(n + 7)")
        + line("else:")
        + line("    await audit(n)")
        + GO,
        line("await pack(n + 7)") + line('return await wait_signal("go", int)  # here'),
        "missing",
        "packing",
        "patched packing",
        "signal go",
        WAITS,
    ),
    Mutation(
        "a step removed, and one with the same arguments added later",
        ORDER,
        line("await pack(n + 1)") + line("await ship(n + 2)"),
        line("await ship(n + 2)  # here") + line("await audit(n + 1)"),
        "missing",
        "pack",
        PACK,
        SHIP,
    ),
    # --- another in its place
    Mutation(
        "a step renamed",
        ORDER,
        line("await pack(n + 1)"),
        line("await audit(n + 1)  # here"),
        "step",
        "pack",
        PACK,
        'step audit("n":2)',
        says="step audit stands in place of step pack, with the same arguments: renamed, it seems",
    ),
    Mutation(
        "a step replaced by another with other arguments",
        ORDER,
        line("await pack(n + 1)"),
        line("await audit(99)  # here"),
        "step",
        "pack",
        PACK,
        'step audit("n":99)',
    ),
    Mutation(
        "a step replaced by one without a result",
        ORDER,
        line("await pack(n + 1)"),
        line('await note("x")  # here'),
        "step",
        "pack",
        PACK,
        'step note("text":"x")',
        says="step note stands in place of step pack",
    ),
    Mutation(
        "a branch flipped",
        BRANCH,
        line("if n > 0:") + line("    await charge(n)") + line("else:") + line("    await pack(n)"),
        line("if n < 0:") + line("    await charge(n)") + line("else:") + line("    await pack(n)  # here"),
        "step",
        "charge",
        CHARGE,
        'step pack("n":1)',
        says="step pack stands in place of step charge, with the same arguments: another branch, or renamed",
    ),
    Mutation(
        "the old branch of a patch taken",
        PATCHED,
        line('if patched("packing"):') + line("    await pack(n + 7)") + line("else:") + line("    await audit(n)"),
        line("await audit(n)  # here"),
        "step",
        "pack",
        'step pack("n":8)',
        'step audit("n":1)',
        says="step audit stands in place of step pack, or was added before it; "
        "the code no longer calls patched('packing')",
    ),
    Mutation(
        "a signal renamed",
        ASKS,
        'approved = await wait_signal("approve", int)',
        'approved = await wait_signal("confirm", int)  # here',
        "step",
        "approve",
        "signal approve",
        "signal confirm",
        mail=("approve",),
        says="signal confirm stands in place of signal approve: renamed, it seems",
    ),
    Mutation(
        "a child of another type",
        CHILDREN,
        line("await invoke(parcel(n))"),
        line("await invoke(crate(n))  # here"),
        "step",
        "parcel",
        'child parcel("n":1)',
        'child crate("n":1)',
    ),
    Mutation(
        "a step made a child",
        ORDER,
        line("await pack(n + 1)"),
        line("await invoke(parcel(n + 1))  # here"),
        "step",
        "pack",
        PACK,
        'child parcel("n":2)',
    ),
    Mutation(
        "a step moved into a task",
        ORDER,
        line("await pack(n + 1)"),
        line("await asyncio.create_task(pack(n + 1))  # here"),
        "step",
        "pack",
        PACK,
        'step 1/pack("n":2)',
        says="step pack is asked for as 1/pack now: its call has moved to another task",
    ),
    Mutation(
        "a step moved into a later task",
        ORDER,
        line("await pack(n + 1)") + line("await ship(n + 2)"),
        line("await ship(n + 2)") + line("await asyncio.create_task(pack(n + 1))  # here"),
        "step",
        "pack",
        PACK,
        'step 1/pack("n":2)',
    ),
    Mutation(
        "parallel steps made serial",
        PARALLEL,
        line("await asyncio.gather(charge(n), pack(n))"),
        line("await charge(n)  # here") + line("await pack(n)"),
        "step",
        "1/charge",
        'step 1/charge("n":1)',
        CHARGE,
    ),
    Mutation(
        "serial steps made parallel",
        SERIAL,
        line("await charge(n)") + line("await pack(n)"),
        line("await asyncio.gather(charge(n), pack(n))  # here"),
        "step",
        "charge",
        CHARGE,
        'step 1/charge("n":1)',
    ),
    # --- order
    Mutation(
        "two steps swapped",
        ORDER,
        line("await pack(n + 1)") + line("await ship(n + 2)"),
        line("await ship(n + 2)  # here") + line("await pack(n + 1)"),
        "order",
        "pack",
        PACK,
        SHIP,
        says="step ship is asked for before step pack, which was recorded first",
    ),
    Mutation(
        "calls of one step swapped",
        LOOP,
        "for each in range(n, 4):\n        await charge(each)",
        "for each in (2, 1, 3):\n        await charge(each)  # here",
        "order",
        "charge",
        CHARGE,
        'step charge("n":2)',
        says="step charge is asked for with the arguments that are recorded for charge#2: the calls were swapped",
    ),
    Mutation(
        "gathered steps in another order",
        PARALLEL,
        line("await asyncio.gather(charge(n), pack(n))"),
        line("await asyncio.gather(pack(n), charge(n))  # here"),
        "order",
        "1/charge",
        'step 1/charge("n":1)',
        'step 2/charge("n":1)',
        says="step 1/charge is asked for as 2/charge now: tasks are started in another order",
    ),
    # --- arguments
    Mutation(
        "an argument changed",
        ORDER,
        line("await pack(n + 1)"),
        line("await pack(n + 5)  # here"),
        "arguments",
        "pack",
        PACK,
        'step pack("n":6)',
    ),
    Mutation(
        "arguments in another order",
        TRANSFER,
        line('await move("a", "b")'),
        line('await move("b", "a")  # here'),
        "arguments",
        "move",
        'step move("source":"a","target":"b")',
        'step move("source":"b","target":"a")',
    ),
    Mutation(
        "a literal changed",
        TRANSFER,
        line("await charge(100)"),
        line("await charge(  # here") + line("    101") + line(")"),
        "arguments",
        "charge",
        'step charge("n":100)',
        'step charge("n":101)',
    ),
    Mutation(
        "the argument of a child changed",
        CHILDREN,
        line("await invoke(parcel(n))"),
        line("await invoke(parcel(n + 1))  # here"),
        "arguments",
        "parcel",
        'child parcel("n":1)',
        'child parcel("n":2)',
    ),
    Mutation(
        "an argument changed in a helper",
        HELPERS,
        line("return await ship(n + 1)"),
        line("return await ship(n + 2)  # here"),
        "arguments",
        "ship",
        'step ship("n":2)',
        SHIP,
    ),
    Mutation(
        "an argument changed in a task of a group",
        GROUP,
        line("return await pack(n)"),
        line("return await pack(n + 1)  # here"),
        "arguments",
        "1/pack",
        'step 1/pack("n":1)',
        'step 1/pack("n":2)',
    ),
    Mutation(
        "an argument changed in a task that is a step",
        GROUP,
        "group.create_task(ship(n + 5))",
        "group.create_task(ship(n + 6))  # here",
        "arguments",
        "2/ship",
        'step 2/ship("n":6)',
        'step 2/ship("n":7)',
    ),
    Mutation(
        "an argument changed of a method",
        CLASS,
        "await self.weigh(self.n)",
        "await self.weigh(self.n * 2)  # here",
        "arguments",
        "weigh",
        'step weigh("kilos":1)',
        'step weigh("kilos":2)',
    ),
    # --- what ends in another order than it was asked for
    Mutation(
        "the slowest of gathered steps renamed",
        UNEVEN,
        line("await asyncio.gather(dawdle(n), pack(n + 1), ship(n + 2))"),
        line("await asyncio.gather(audit(n), pack(n + 1), ship(n + 2))  # here"),
        "step",
        "1/dawdle",
        'step 1/dawdle("n":1)',
        'step 1/audit("n":1)',
        says="step 1/audit stands in place of step 1/dawdle, with the same arguments: renamed, it seems",
    ),
    Mutation(
        "the arguments of the last of gathered steps changed",
        UNEVEN,
        line("await asyncio.gather(dawdle(n), pack(n + 1), ship(n + 2))"),
        line("await asyncio.gather(dawdle(n), pack(n + 1), ship(n + 5))  # here"),
        "arguments",
        "3/ship",
        'step 3/ship("n":3)',
        'step 3/ship("n":6)',
    ),
    Mutation(
        "the slowest of gathered steps removed",
        UNEVEN,
        line("await asyncio.gather(dawdle(n), pack(n + 1), ship(n + 2))"),
        line("await asyncio.gather(pack(n + 1), ship(n + 2))  # here"),
        "order",
        "2/pack",
        'step 2/pack("n":2)',
        'step 1/pack("n":2)',
        says="step 2/pack is asked for as 1/pack now: tasks are started in another order",
    ),
    Mutation(
        "what follows a timeout removed",
        RACE,
        line("    await charge(n)") + line("await ship(n)"),
        line("    pass") + line("await ship(n)  # here"),
        "missing",
        "charge",
        CHARGE,
        'step ship("n":1)',
    ),
    Mutation(
        "a timeout removed around a step that it stopped",
        RACE,
        line("try:")
        + line("    async with asyncio.timeout(9):")
        + line("        await dawdle(n)")
        + line("except TimeoutError:")
        + line("    await charge(n)"),
        line("await dawdle(n)  # here"),
        "missing",
        "timeout",
        "timer timeout",
        'step dawdle("n":1)',
        says="the code no longer asks for timer timeout",
    ),
    # --- kind
    Mutation(
        "a step made a child of the same name",
        CHILDREN,
        line("await invoke(parcel(n))"),
        line("await parcel_step(n)  # here"),
        "kind",
        "parcel",
        'child parcel("n":1)',
        'step parcel("n":1)',
    ),
    # --- the end
    Mutation(
        "an error instead of a step",
        ORDER,
        line("await pack(n + 1)"),
        line('raise ValueError("no more")  # here'),
        "end",
        "pack",
        PACK,
        "the end (failed: ValueError: no more)",
    ),
    Mutation(
        "an error instead of a result",
        ORDER,
        GO,
        line('await wait_signal("go", int)') + line('raise ValueError("no more")  # here'),
        "end",
        None,
        "the end (completed)",
        "the end (failed: ValueError: no more)",
        ENDS,
    ),
    Mutation(
        "an error that is no longer caught",
        CATCHES,
        line("    await refuse(n)") + line("except ValueError:"),
        line("    await refuse(n)  # here") + line("except KeyError:"),
        "end",
        "audit",
        'step audit("n":1)',
        "the end (failed: ValueError: no 1)",
    ),
    Mutation(
        "a new life sooner",
        ROUNDS,
        line("if n < 3:") + line("    continue_as_new(main(n + 1))"),
        line("if n < 4:") + line("    continue_as_new(main(n + 1))  # here"),
        "end",
        "ship",
        SHIP,
        "the end (continues as new)",
        ENDS,
    ),
    Mutation(
        "a cleanup that no longer comes to its end",
        CLEANS,
        line("    await ship(n)") + line("    raise"),
        line("    raise  # here"),
        "end",
        "ship",
        'step ship("n":1)',
        "the end (cancelled)",
        ("cancelled",),
    ),
    Mutation(
        "a cancel that is not handed on",
        CLEANS,
        line("    raise"),
        line("    return n  # here"),
        "end",
        None,
        "the end (cancelled)",
        "the end (completed)",
        ("cancelled",),
    ),
    # --- results
    Mutation(
        "another result",
        ORDER,
        GO,
        line('got = await wait_signal("go", int)') + line("return got + 1  # here"),
        "result",
        None,
        "the end (completed: 5)",
        "the end (completed: 6)",
        ENDS,
        check_result=True,
    ),
    Mutation(
        "another error",
        FAILS,
        line("return await refuse(n)"),
        line("try:")
        + line("    return await refuse(n)")
        + line("except ValueError:")
        + line('    raise KeyError("x") from None  # here'),
        "result",
        None,
        "the end (failed: ValueError: no 1)",
        "the end (failed: KeyError: 'x')",
        ENDS,
        check_result=True,
    ),
    Mutation(
        "another message of an error",
        FAILS,
        line("return await refuse(n)"),
        line("try:")
        + line("    return await refuse(n)")
        + line("except ValueError as error:")
        + line('    raise ValueError("never") from error  # here'),
        "result",
        None,
        "the end (failed: ValueError: no 1)",
        "the end (failed: ValueError: never)",
        ENDS,
        check_result=True,
    ),
    Mutation(
        "another type of a step's result",
        SERIAL,
        line("await pack(n)"),
        line("await pack(n)  # here"),
        "result",
        "pack",
        'step pack("n":1) = 1',
        'step pack("n":1) -> str',
        head=("async def pack(n: int) -> int:", "async def pack(n: int) -> str:"),
        says="result of step pack cannot be read under the hint str: it is 1",
    ),
    Mutation(
        "another type of a signal",
        ASKS,
        'approved = await wait_signal("approve", int)',
        'approved = await wait_signal("approve", bytes)  # here',
        "result",
        "approve",
        "signal approve = 5",
        "signal approve -> what the code takes",
        mail=("approve",),
        says="payload of signal approve no longer fits the type that the code waits for",
    ),
]

REORDERED = """
@flow
async def main(n: int) -> int:
    await charge(n)
    await deliver(n)
    return await wait_signal("go", int)


async def deliver(n: int) -> int:
    await pack(n)
    return await ship(n + 1)
"""
APPROVED = 'approved = await wait_signal("approve", int)\n    await ship(approved)'

HARMLESS = [
    Harmless(
        "steps moved into a helper that is awaited",
        ORDER,
        line("await charge(n)") + line("await pack(n + 1)") + line("await ship(n + 2)") + GO,
        line("await deliver(n)") + GO + "\n\nasync def deliver(n: int) -> None:\n"
        "    await charge(n)\n    await pack(n + 1)\n    await ship(n + 2)\n",
    ),
    Harmless(
        "a helper written out", HELPERS, line("await deliver(n)"), line("await pack(n)") + line("await ship(n + 1)")
    ),
    Harmless(
        "a method extracted",
        CLASS,
        "        await ship(self.n)\n" + line('    return await wait_signal("go", int)'),
        "        await self.send()\n"
        + line('    return await wait_signal("go", int)')
        + "\n"
        + line("async def send(self) -> None:")
        + line("    await ship(self.n)"),
    ),
    Harmless("definitions in another order", HELPERS, HELPERS, REORDERED),
    Harmless("a print added", ORDER, line("await pack(n + 1)"), line('print("packing")') + line("await pack(n + 1)")),
    Harmless("a docstring added", ORDER, line("await charge(n)"), line('"""Sends it."""') + line("await charge(n)")),
    Harmless("a variable renamed", ASKS, APPROVED, APPROVED.replace("approved", "pieces"), mail=("approve",)),
    Harmless("arguments by name", ORDER, "await pack(n + 1)", "await pack(n=n + 1)"),
    Harmless(
        "other formatting", ORDER, "await pack(n + 1)", "await (\n        pack(\n            1 + n,\n        )\n    )"
    ),
    Harmless("hints removed", ORDER, "main(n: int) -> int:", "main(n):"),
    Harmless("an argument with a default added", ORDER, "main(n: int)", 'main(n: int, colour: str = "red")'),
    Harmless("another loop with the same rounds", LOOP, "range(n, 4)", "[n, n + 1, n + 2]"),
    Harmless(
        "a timeout added around a step",
        ORDER,
        line("await pack(n + 1)"),
        line("async with asyncio.timeout(99):") + line("    await pack(n + 1)"),
    ),
    Harmless("a timeout added to a wait", ORDER, '"go", int)', '"go", int, timeout=999)'),
    Harmless("a longer sleep that is over", SLEEPS, "sleep(60)", "sleep(90)"),
    Harmless(
        "a step run at most once from now on",
        ORDER,
        head=("@step\nasync def pack", "@step(at_most_once=True)\nasync def pack"),
    ),
    Harmless("another body of a step", TRANSFER, head=("return source + target", "return target")),
    Harmless(
        "gather made a group",
        PARALLEL,
        line("await asyncio.gather(charge(n), pack(n))"),
        line("async with asyncio.TaskGroup() as group:")
        + line("    group.create_task(charge(n))")
        + line("    group.create_task(pack(n))"),
    ),
    Harmless(
        "an error caught that never comes",
        ORDER,
        line("await pack(n + 1)"),
        line("try:") + line("    await pack(n + 1)") + line("except OSError:") + line("    await audit(n)"),
    ),
    Harmless(
        "new code behind patched",
        ORDER,
        line("await pack(n + 1)"),
        line('if patched("audit"):') + line("    await audit(n)") + line("await pack(n + 1)"),
    ),
    Harmless(
        "a step added where the flow has not come to",
        ORDER,
        GO,
        line('got = await wait_signal("go", int)') + line("return await audit(got)"),
        ("waits",),
    ),
    Harmless("another wait where the flow stands", ORDER, '"go", int)', '"start", int)', ("waits",)),
    Harmless("another result, which is not looked at", ORDER, "return await", "return 1 + await"),
    Harmless("a result in another order", TELLS, '{"a": n, "b": n}', '{"b": n, "a": n}', ENDS, check_result=True),
    Harmless("an error from elsewhere", FAILS, "await refuse(n)", "(await refuse(n=n))", ENDS, check_result=True),
]

COLUMNS = {
    "a step without a result added in the middle, ends": """
        1 = step charge("n":1) | step charge("n":1)
          ! - | step note("text":"soon")
        2 = step pack("n":2) | step pack("n":2)
        3 = step ship("n":3) | step ship("n":3)
        4 = signal go | signal go
          = the end (completed) | the end
        """,
    "a step added in the middle whose result nobody knows, ends": """
        1 = step charge("n":1) | step charge("n":1)
        2 ! step pack("n":2) | step audit("n":9)
        """,
    "a wait for a signal removed, waits": """
        1 = step charge("n":1) | step charge("n":1)
        2 ! signal approve | -
        3 ! step ship("n":5) | step ship("n":7)
          = signal go | signal go
        """,
    "an early return, ends": """
        1 = step charge("n":1) | step charge("n":1)
        2 ! step pack("n":2) | -
        3 ! step ship("n":3) | -
        4 ! signal go | -
          = the end (completed) | the end
        """,
    "two steps swapped, waits": """
        1 = step charge("n":1) | step charge("n":1)
        2 ! step pack("n":2) | step ship("n":3)
        3 ! step ship("n":3) | step pack("n":2)
          = signal go | signal go
        """,
    "an argument changed in a task that is a step, waits": """
        1 = step 1/charge("n":1) | step 1/charge("n":1)
        2 ! step 2/ship("n":6) | step 2/ship("n":7)
        3 = step 1/pack("n":1) | step 1/pack("n":1)
          = signal go | signal go
        """,
    "another round of a loop at its start, ends": """
          ! - | step charge("n":0)
        1 ! step charge("n":1) | step charge#2("n":1)
        2 ! step charge#2("n":2) | step charge#3("n":2)
        3 ! step charge#3("n":3) | step charge#4("n":3)
        4 = step pack("n":1) | step pack("n":1)
        """,
    "another result, ends": """
        2 = step pack("n":2) | step pack("n":2)
        3 = step ship("n":3) | step ship("n":3)
        4 = signal go | signal go
          ! the end (completed: 5) | the end (completed: 6)
        """,
}
"""The rows of some of these cases: position, equal or not, recorded, current."""
