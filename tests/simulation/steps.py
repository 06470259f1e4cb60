"""The steps that random flows call: async, sync, stubborn, bitter and slow ones, that fail as often as they are told.

A body asks the present ledger at its start whether it may run at all, how long it takes and whether it fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import step
from ergon_runtime.primitives import StepInfo, step_info
from tests.simulation.loop import SimLoop

Call: TypeAlias = Callable[[str, int], Coroutine[object, None, str]]
"""A step of a random flow: what it depends on, and how often it fails."""


class Boom(Exception):
    """A step's own failure."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One try of a step: how long it takes, after which it fails or gives `value`. `say` may tell a heartbeat."""

    seconds: float
    fails: bool
    value: str
    say: Callable[[], None]


class Ledger(Protocol):
    """Writes down effects, and sees those that must not be."""

    def begin(self, info: StepInfo, name: str, told: str, fails: int, once: bool) -> Execution: ...
    def after(self, info: StepInfo, needs: Sequence[str]) -> None:
        """The body of a step begins that needs other steps of its scope."""
        ...

    def kills(self, info: StepInfo) -> bool:
        """Whether this body takes its worker down, which has then happened."""
        ...


class _NoLedger:
    def begin(self, info: StepInfo, name: str, told: str, fails: int, once: bool) -> Execution:
        raise AssertionError(f"{info.flow_id} {info.key} starts, and nothing may run")

    def after(self, info: StepInfo, needs: Sequence[str]) -> None:
        return

    def kills(self, info: StepInfo) -> bool:
        return False


present: list[Ledger] = [_NoLedger()]
"""The ledger of the simulation that runs now."""


@lru_cache(None)
def make_step(name: str, kind: str, tries: int = 1, once: bool = False) -> Call:
    """A step by name. `kind` is async, sync, stubborn (ends in its own time when asked to stop), bitter (fails then),
    slow (its tries time out), unfit (its result cannot be stored), or poison
    (it takes its worker down)."""
    retry = RetryPolicy(max_attempts=tries, initial=0.2, multiplier=2) if tries > 1 else None
    options: dict[str, Any] = {"name": name, "retry": retry, "at_most_once": once}
    made = _SYNC if kind == "sync" else _ASYNC
    call: Call = made(name, kind, once, options)
    return call


def _make_sync(name: str, kind: str, once: bool, options: dict[str, Any]) -> Any:
    @step(**options)
    def body(told: str, fails: int) -> str:
        return _sync_body(name, told, fails, once)

    return body


def _make_async(name: str, kind: str, once: bool, options: dict[str, Any]) -> Any:
    @step(**options, timeout=0.4 if kind == "slow" else None)
    async def body(told: str, fails: int) -> str:
        return await _async_body(name, kind, told, fails, once)

    return body


def make_method(name: str, kind: str, tries: int, fails: int, needs: Sequence[str], told: str | None) -> Any:
    """A step of a DAG, which needs others and is told what one of them gave; it begins by saying that it is after them.
    With no tries it is at most once."""
    retry = RetryPolicy(max_attempts=tries, initial=0.2, multiplier=2) if tries > 1 else None
    inputs, once = None if told is None else {"told": told}, tries == 0
    options: dict[str, Any] = {
        "name": name,
        "retry": retry,
        "at_most_once": once,
        "depends_on": needs,
        "inputs": inputs,
    }
    every = [*needs, *(inputs or {}).values()]

    def sync_body(self: object, told: str = "", fails: int = fails) -> str:
        present[0].after(step_info(), every)
        return _sync_body(name, told, fails, once)

    async def async_body(self: object, told: str = "", fails: int = fails) -> str:
        present[0].after(step_info(), every)
        return await _async_body(name, kind, told, fails, once)

    body: Any = sync_body if kind == "sync" else async_body
    return step(**options, timeout=0.4 if kind == "slow" else None)(body)


def _sync_body(name: str, told: str, fails: int, once: bool) -> str:
    run = present[0].begin(step_info(), name, told, fails, once)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    loop.spent = run.seconds
    run.say()
    return _end(run)


async def _async_body(name: str, kind: str, told: str, fails: int, once: bool) -> str:
    run = present[0].begin(step_info(), name, told, fails, once)
    if kind == "poison" and present[0].kills(step_info()):
        await asyncio.get_running_loop().create_future()
    end = asyncio.get_running_loop().time() + run.seconds
    while (left := end - asyncio.get_running_loop().time()) > 0:
        run.say()
        try:
            await asyncio.sleep(min(left, 0.3))
        except asyncio.CancelledError:
            if kind == "bitter":
                raise Boom(name) from None
            if kind != "stubborn":
                await asyncio.sleep(run.seconds % 0.05)
                raise
    return object() if kind == "unfit" else _end(run)  # type: ignore[return-value]  # on purpose


_SYNC, _ASYNC = _make_sync, _make_async


def _end(run: Execution) -> str:
    run.say()
    if run.fails:
        raise Boom(run.value)
    return run.value
