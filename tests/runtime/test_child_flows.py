"""Child flows under real workers: their errors in the parent, children of children, and who is cancelled with whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ergon_runtime.core.entries import Retried
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.errors import FlowCancelled, NonRetryableError, RetryableError
from ergon_runtime.primitives import invoke, sleep, wait_signal
from tests.runtime.rigs import Rig, rig, stands, virtual

log: list[Any] = []


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    with registry.isolated():
        yield


class OutOfStock(NonRetryableError):
    """An error with something to say."""

    def __init__(self, item: str, left: int) -> None:
        super().__init__(f"{item}: {left} left")
        self.item, self.left = item, left


class Moody(Exception):
    """Says itself whether to try again; what it was made with comes along."""

    def __init__(self, again: bool) -> None:
        super().__init__("moody")
        self.again = again

    def is_retryable(self) -> bool:
        return self.again


# --- errors (K)
@pytest.mark.parametrize("depth", [1, 3])
def test_childs_error_arrives_as_itself_with_its_attributes_and_cause(depth: int) -> None:
    @step
    async def reserve() -> None:
        try:
            raise KeyError("shelf 7")
        except KeyError as error:
            raise OutOfStock("lamp", 0) from error

    @flow
    async def kid(depth: int) -> None:
        if depth > 1:
            await invoke(kid(depth - 1))
        await reserve()

    @flow
    async def parent() -> list[Any]:
        try:
            await invoke(kid(depth))
        except OutOfStock as error:
            return [str(error), error.item, error.left, repr(error.__cause__)]
        return []

    async def main() -> None:
        async with rig(parent, kid) as here:
            assert await here.result(parent()) == ["lamp: 0 left", "lamp", 0, "KeyError('shelf 7')"]

    virtual(main)


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (ValueError("x"), [10, 20]),
        (RetryableError("x"), [10, 20]),
        (RetryableError("x", retry_after=5), [5, 5]),
        (Moody(again=True), [10, 20]),
        (Moody(again=False), []),
        (NonRetryableError("x"), []),
        (OutOfStock("lamp", 0), []),
    ],
    ids=repr,
)
@pytest.mark.parametrize("depth", [1, 2])
def test_childs_error_is_tried_again_by_the_parent_as_if_it_were_its_own(
    error: Exception, waits: list[int], depth: int
) -> None:
    @flow
    async def kid(depth: int) -> None:
        if depth > 1:
            await invoke(kid(depth - 1))
        raise error

    @flow(retry=RetryPolicy(max_attempts=3, initial=10))
    async def parent() -> None:
        log.append("life")
        await invoke(kid(depth))

    async def main() -> None:
        async with rig(parent, kid) as here:
            with pytest.raises(type(error)):
                await here.result(parent())
            found = [e.due - e.at for e in await here.entries() if isinstance(e, Retried)]
            assert found == [1000 * wait for wait in waits]

    virtual(main)
    assert len(log) == len(waits) + 1


def test_childs_error_of_a_class_that_is_not_loaded_is_tried_again_as_its_nearest_base_says() -> None:
    class Elsewhere(NonRetryableError):
        pass

    @flow
    async def kid() -> None:
        raise Elsewhere("gone")

    @flow(retry=RetryPolicy(max_attempts=3, initial=10))
    async def parent() -> None:
        log.append("life")
        await invoke(kid())

    async def main() -> None:
        async with rig(parent, kid) as here:
            with pytest.raises(NonRetryableError, match="gone"):
                await here.result(parent())

    virtual(main)
    assert log == ["life"]


def test_child_has_a_policy_of_its_own_and_its_parent_sees_only_the_end() -> None:
    @flow(retry=RetryPolicy(max_attempts=3, initial=1))
    async def kid() -> str:
        log.append("try")
        if len(log) < 3:
            raise ValueError
        return "third"

    @flow
    async def parent() -> str:
        return await invoke(kid())

    async def main() -> None:
        async with rig(parent, kid) as here:
            assert await here.result(parent()) == "third"
            assert await here.kinds() == ["created kid", "child kid"]

    virtual(main)


def test_parent_tried_again_starts_its_failed_child_anew_under_an_id_of_its_own() -> None:
    @flow
    async def kid() -> str:
        log.append("kid")
        if len(log) == 1:
            raise ValueError
        return "passed"

    @flow(retry=RetryPolicy(max_attempts=2, initial=1))
    async def parent() -> list[str]:
        child = invoke(kid())
        return [child.id, await child]

    async def main() -> None:
        async with rig(parent, kid) as here:
            assert await here.result(parent()) == ["f/kid~2", "passed"]
            assert [(await here.row(id_)).status for id_ in ("f/kid", "f/kid~2")] == ["failed", "completed"]

    virtual(main)


# --- the same child, several times
def test_same_child_asked_for_twice_is_two_flows() -> None:
    @step
    async def work(name: str) -> int:
        log.append(name)
        return len(log)

    @flow
    async def kid(name: str) -> int:
        return await work(name)

    @flow
    async def parent() -> list[Any]:
        one, two = invoke(kid("a")), invoke(kid("a"))
        return [one.id, two.id, sorted(await asyncio.gather(one, two))]

    async def main() -> None:
        async with rig(parent, kid) as here:
            assert await here.result(parent()) == ["f/kid", "f/kid#2", [1, 2]]

    virtual(main)


@pytest.mark.parametrize("fails", [False, True])
def test_several_that_await_one_child_all_get_its_end(fails: bool) -> None:
    @flow
    async def kid() -> list[int]:
        log.append("kid")
        await sleep(5)
        if fails:
            raise OutOfStock("lamp", 2)
        return [1]

    @flow
    async def parent() -> list[str]:
        child = invoke(kid())

        async def late() -> Any:
            await sleep(9)
            return await child

        found = await asyncio.gather(child, child.result(), late(), return_exceptions=True)
        return [str(each) for each in found]

    async def main() -> None:
        async with rig(parent, kid) as here:
            assert await here.result(parent()) == (["lamp: 2 left"] if fails else ["[1]"]) * 3

    virtual(main)
    assert log == ["kid"]


# --- cancels (K4)
@flow(name="test_child_flows.leaf")
async def leaf() -> None:
    log.append("begun")
    try:
        await wait_signal("never")
    except asyncio.CancelledError:
        await sleep(3)
        log.append("cleaned up")
        raise


@flow(name="test_child_flows.middle")
async def middle() -> None:
    await invoke(leaf())


async def family(here: Rig) -> list[str]:
    """How the flow f, its child and its grandchild stand."""
    ids = ["f", "f/test_child_flows.middle", "f/test_child_flows.middle/test_child_flows.leaf"]
    return [str((await here.row(id_)).status) for id_ in ids]


def test_k4_cancel_goes_down_the_tree_and_each_flow_cleans_up() -> None:
    @flow
    async def parent() -> None:
        await invoke(middle())

    async def main() -> None:
        async with rig(parent, middle, leaf) as here:
            handle = await here.scheduler.schedule(parent(), id="f")
            while not log:
                await asyncio.sleep(1)
            await handle.cancel()
            with pytest.raises(FlowCancelled):
                await handle.result()
            while await family(here) != ["cancelled"] * 3:
                await asyncio.sleep(1)

    virtual(main)
    assert log == ["begun", "cleaned up"]


def test_k4_cancelled_await_cancels_the_tree_below_and_the_parent_goes_on() -> None:
    @flow
    async def parent() -> str:
        try:
            async with asyncio.timeout(10):
                await invoke(middle())
        except TimeoutError:
            await sleep(20)
        return "went on"

    async def main() -> None:
        async with rig(parent, middle, leaf) as here:
            assert await here.result(parent()) == "went on"
            assert await family(here) == ["completed", "cancelled", "cancelled"]

    virtual(main)
    assert log == ["begun", "cleaned up"]


def test_k4_parent_that_fails_cancels_the_tree_that_it_leaves_behind() -> None:
    @flow
    async def parent() -> None:
        invoke(middle())
        await sleep(10)
        raise ValueError("enough")

    async def main() -> None:
        async with rig(parent, middle, leaf) as here:
            with pytest.raises(ValueError, match="enough"):
                await here.result(parent())
            while await family(here) != ["failed", "cancelled", "cancelled"]:
                await asyncio.sleep(1)

    virtual(main)
    assert log == ["begun", "cleaned up"]


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_detached_child_outlives_its_parent_however_that_ends(end: str) -> None:
    @flow
    async def kid() -> str:
        await sleep(100)
        log.append("done")
        return "alone"

    @flow
    async def parent() -> None:
        invoke(kid(), detached=True)
        await sleep(10)
        if end == "failed":
            raise ValueError
        if end == "cancelled":
            await sleep(1000)

    async def main() -> None:
        async with rig(parent, kid) as here:
            handle = await here.scheduler.schedule(parent(), id="f")
            await asyncio.sleep(20)
            if end == "cancelled":
                await handle.cancel()
            await stands(handle, end)
            assert log == []
            assert await here.scheduler.handle("f/kid").result() == "alone"

    virtual(main)


def test_detached_child_whose_await_is_cancelled_goes_on_and_can_be_awaited_again() -> None:
    @flow
    async def kid() -> str:
        await sleep(50)
        return "done"

    @flow
    async def parent() -> list[Any]:
        child = invoke(kid(), detached=True)
        try:
            async with asyncio.timeout(5):
                await child
        except TimeoutError:
            log.append("gave up")
        return [await child]

    async def main() -> None:
        async with rig(parent, kid) as here:
            assert await here.result(parent()) == ["done"]

    virtual(main)
