"""The smallest useful flow: two steps with a durable pause between them.

Shows what a worker's death changes: nothing. `greet` is done once; the pause ends when it would have ended anyway.

Start a worker, and in another terminal schedule the flow and wait for it:

    ergon worker -m sample_flows/hello.py
    ergon schedule hello -m sample_flows/hello.py -a name=Ada --wait

It prints the flow's id, then its result, "Hello, Ada! Goodbye, Ada!". With `-a pause=60` there is time to kill the
worker (kill -9), to look at the flow (ergon inspect), and to start another worker, which goes on in the middle.
"""

from __future__ import annotations

import asyncio

from ergon_runtime import flow, step


@step
async def greet(name: str) -> str:
    print(f"greeting {name}")  # what a step does happens on the worker; this goes to its output
    return f"Hello, {name}!"


@step
def say_goodbye(name: str) -> str:
    print(f"leaving {name}")
    return f"Goodbye, {name}!"


@flow
async def hello(name: str = "world", pause: float = 0.5) -> str:
    greeting = await greet(name)
    await asyncio.sleep(pause)
    return f"{greeting} {await say_goodbye(name)}"
