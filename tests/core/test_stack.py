"""Where suspended flow code stands, and where an error came from: the user's own innermost line."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Coroutine
from types import FrameType
from typing import Any

from ergon_runtime.core.stack import awaiting_line, frames, raising_line, running_frames


def line_with(text: str) -> str:
    lines = inspect.getsource(inspect.getmodule(line_with)).splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if line.rstrip().endswith("# " + text)]
    return f"{__file__}:{number}"


class Pause:
    def __await__(self) -> Any:
        yield  # in pause


async def inner() -> None:
    await Pause()  # in inner


async def outer() -> None:
    await inner()


async def items() -> AsyncIterator[int]:
    await Pause()
    yield 1


async def iterates() -> None:
    async for _ in items():  # iterates
        pass


class Wrapped:
    def __await__(self) -> Any:
        return (yield from outer().__await__())


async def awaits_by_hand() -> None:
    await Wrapped()


def suspended(coro: Coroutine[Any, Any, Any]) -> str | None:
    coro.send(None)
    try:
        return awaiting_line(coro)
    finally:
        coro.close()


def test_awaiting_line_is_the_innermost_of_the_users_own() -> None:
    assert suspended(outer()) == line_with("in pause")


def test_awaiting_line_leaves_out_asyncio() -> None:
    async def sleeps() -> None:
        await asyncio.sleep(0)  # asleep

    assert suspended(sleeps()) == line_with("asleep")


def test_awaiting_line_of_nothing_is_none() -> None:
    coro = outer()
    assert awaiting_line(None) is None
    coro.close()
    assert awaiting_line(coro) is None


def test_frames_come_outermost_first() -> None:
    coro = outer()
    coro.send(None)
    names = [frame.f_code.co_name for frame in frames(coro)]
    coro.close()
    assert names[:2] == ["outer", "inner"]


def test_awaiting_line_of_one_that_awaits_a_generator_is_inside_it() -> None:
    assert suspended(iterates()) == line_with("in pause")
    assert suspended(awaits_by_hand()) == line_with("in pause")


def test_running_frames_are_the_users_own_innermost_first_up_to_the_loop() -> None:
    found: list[FrameType] = []

    def deep() -> None:
        found.extend(running_frames())

    async def runs() -> None:
        asyncio.get_running_loop().call_soon(deep)
        await asyncio.sleep(0)

    asyncio.run(runs())
    assert [frame.f_code.co_name for frame in found] == ["deep"]


def test_raising_line_is_the_innermost_of_the_users_own() -> None:
    def fails() -> None:
        asyncio.Queue(1).get_nowait()  # fails here

    try:
        fails()
    except asyncio.QueueEmpty as error:
        assert raising_line(error) == line_with("fails here")


def test_raising_line_of_an_error_never_raised_is_none() -> None:
    assert raising_line(ValueError()) is None
