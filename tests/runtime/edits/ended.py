"""Edits of how a flow ends, and of results."""

from __future__ import annotations

from tests.runtime.edits.flows import ASKS, CATCHES, CLEANS, FAILS, FAILS_TOGETHER, ORDER, ROUNDS, SERIAL
from tests.runtime.edits.table import ENDS, GO, PACK, SHIP, Mutation, line

ENDED = [
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
        "errors of a group that are no longer caught",
        FAILS_TOGETHER,
        line("    async with asyncio.TaskGroup() as group:")
        + line("        group.create_task(refuse(n))")
        + line("except* ValueError:"),
        line("    async with asyncio.TaskGroup() as group:  # here")
        + line("        group.create_task(refuse(n))")
        + line("except* KeyError:"),
        "end",
        "audit",
        'step audit("n":1)',
        "the end (failed: ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception))",
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
