"""Child flows in flow code: asked for at the call, awaited as often as wanted, cancelled with the await."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ergon_runtime.core.entries import Outcome
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.flows import Status
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.errors import DefinitionError, FlowCancelled
from ergon_runtime.primitives import invoke, sleep
from tests.harness import Drive


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    with registry.isolated():
        yield


class OrderError(Exception):
    """An error of the child."""


@step
async def echo(text: str) -> str:
    return text


@flow(name="test_children.kid")
async def kid(order: str) -> str:
    return order


def test_child_result_comes_decoded_as_often_as_awaited() -> None:
    @flow
    async def parent() -> list[object]:
        child = invoke(kid("a"))
        return [child.id, await child, await child.result(), await asyncio.gather(child, child)]

    drive = Drive(parent(), children={"test_children.kid": "sent"}, durations={"test_children.kid": 10})
    assert drive.result() == ["f1/test_children.kid", "sent", "sent", ["sent", "sent"]]
    assert drive.replayed() == drive.result()


def test_children_are_asked_for_at_the_call_and_numbered() -> None:
    @flow
    async def parent() -> None:
        invoke(kid("a"), detached=True)
        invoke(kid("b"), detached=True)

    drive = Drive(parent()).run()
    assert drive.created == ["f1/test_children.kid", "f1/test_children.kid#2"]
    assert drive.sent == []


def test_child_that_is_left_behind_is_cancelled() -> None:
    @flow
    async def parent() -> None:
        invoke(kid("a"))

    assert Drive(parent()).run().sent == [("f1/test_children.kid", "cancel")]


def test_child_error_is_raised_in_the_parent() -> None:
    @flow
    async def parent() -> str:
        try:
            return await invoke(kid("a"))
        except OrderError as error:
            return f"caught {error}"

    drive = Drive(parent(), children={"test_children.kid": OrderError("lost")})
    assert drive.result() == "caught lost"
    assert drive.replayed() == "caught lost"


def test_child_that_was_cancelled_raises_flow_cancelled() -> None:
    @flow
    async def parent() -> str:
        try:
            return await invoke(kid("a"))
        except FlowCancelled as error:
            return error.flow_id

    assert Drive(parent(), children={"test_children.kid": Outcome(Status.CANCELLED)}).result() == "f1/test_children.kid"


@pytest.mark.parametrize(("detached", "sent"), [(False, [("f1/test_children.kid", "cancel")]), (True, [])])
def test_cancelling_the_await_cancels_the_child_unless_detached(detached: bool, sent: list[Any]) -> None:
    @flow
    async def parent() -> str:
        try:
            async with asyncio.timeout(1):
                return await invoke(kid("a"), detached=detached)
        except TimeoutError:
            return await echo("gave up")

    drive = Drive(parent())
    assert drive.result() == "gave up"
    assert list(dict.fromkeys(drive.sent)) == sent
    assert drive.replayed() == "gave up"


def test_child_awaited_twice_with_one_cancelled_lives_on() -> None:
    @flow
    async def both() -> str:
        child = invoke(kid("a"))
        other, keeper = asyncio.create_task(child.result()), asyncio.create_task(child.result())
        await sleep(1)
        other.cancel()
        return await keeper

    drive = Drive(both(), children={"test_children.kid": "sent"}, durations={"test_children.kid": 5_000})
    assert drive.result() == "sent"
    assert drive.sent == []
    assert drive.replayed() == "sent"


def test_child_result_that_no_longer_fits_blocks_the_flow() -> None:
    @flow
    async def parent() -> object:
        try:
            return await invoke(kid("a"))
        except Exception:
            return "swallowed"

    with pytest.raises(Fault) as caught:
        Drive(parent(), children={"test_children.kid": 5}).run()
    assert (caught.value.kind, caught.value.key) == (FaultKind.UNREADABLE, "test_children.kid")


@pytest.mark.parametrize(("wrong", "hint"), [(kid, r"call it, kid\(\.\.\.\)"), (echo, "is a step"), (7, "not int")])
def test_invoke_of_no_flow_says_what_was_passed(wrong: Any, hint: str) -> None:
    @flow
    async def parent() -> None:
        invoke(wrong)

    with pytest.raises(DefinitionError, match=hint):
        Drive(parent()).result()
