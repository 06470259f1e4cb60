"""Edits that a replay has nothing to say of."""

from __future__ import annotations

from tests.runtime.edits.flows import ASKS, CLASS, FAILS, HELPERS, LOOP, ORDER, PARALLEL, SLEEPS, TELLS, TRANSFER
from tests.runtime.edits.table import ENDS, GO, Harmless, line

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
