"""Flow code of the core's tests: what it asks for, and the errors it gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from ergon_runtime.core import asking
from ergon_runtime.core.entries import ChildEnded
from ergon_runtime.core.flows import Status
from ergon_runtime.core.loop import FlowLoop
from ergon_runtime.core.machine import FlowMachine


class StepFailed(Exception):
    """What a failed step raises in flow code."""


class StepUnknown(Exception):
    """What an at-most-once step of unknown outcome raises in flow code."""


class ChildFailed(Exception):
    """What a child that did not complete raises in flow code."""


def here() -> FlowMachine:
    machine = asking.machine_here()
    assert machine is not None
    return machine


def loop_here() -> FlowLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FlowLoop)
    return loop


async def step(name: str = "work", arg: object = None, *, once: bool = False) -> Any:
    """A step's value; its arguments are its digest."""
    args = json.dumps(arg)
    end = await asking.step_end(here(), name, args, args, None, at_most_once=once)
    if end.unknown:
        raise StepUnknown(end.error)
    if end.error is not None:
        raise StepFailed(end.error)
    return json.loads(end.value or "null")


async def signal(name: str, accepts: Callable[[str], bool] = lambda value: True) -> Any:
    return json.loads((await asking.signal(here(), name, accepts)).value)


def child(name: str = "kid", arg: object = None, *, detached: bool = False) -> asking.ChildRequest:
    args = json.dumps(arg)
    return asking.ChildRequest(here(), name, None, args, args, detached=detached)


async def invoke(name: str = "kid", arg: object = None) -> Any:
    return value_of(await child(name, arg).end())


def value_of(end: ChildEnded) -> Any:
    if end.status is not Status.COMPLETED:
        raise ChildFailed(end.status)
    return json.loads(end.value or "null")
