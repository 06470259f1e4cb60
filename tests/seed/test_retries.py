"""Errors, retries, children, and what a worker does not know: d11, d13, d14, d15, d16."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Any

import pytest

from ergon_runtime import (
    CodecError,
    FlowCancelled,
    NonRetryableError,
    RetryPolicy,
    Scheduler,
    Status,
    Store,
    flow,
    flow_type,
    invoke,
    step,
    wait_signal,
)
from tests.seed.places import listens, on_each_store, run_all, working

ran: Counter[str] = Counter()
QUICK = RetryPolicy(max_attempts=3, initial=0.01)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


class Declined(NonRetryableError):
    """A card that is declined stays so."""


class Busy(Exception):
    """Might work next time."""

    def is_retryable(self) -> bool:
        return True


@step(retry=QUICK)
async def retry_declined() -> None:
    ran["declined"] += 1
    raise Declined("card 1234: declined")


@flow
async def retry_catches() -> str:
    try:
        await retry_declined()
    except Declined as error:
        said = str(error)
    for n in range(3):
        await wait_signal(f"go-{n}")
    return said


@on_each_store
async def test_d11_recorded_error_is_raised_in_each_replay_and_the_body_is_not_run(store: Store) -> None:
    """Three replays ran the body of a failed step three times."""
    handle = await Scheduler(store).schedule(retry_catches())
    for n in range(3):
        async with working(store, retry_catches):
            await listens(store, handle.id, f"signal:go-{n}")
        await handle.signal(f"go-{n}")
    async with working(store, retry_catches):
        assert await handle.result() == "card 1234: declined"
    assert ran == {"declined": 1}


@step(retry=QUICK)
async def retry_takes(value: Any) -> str:
    ran["takes"] += 1
    return "taken"


@step(retry=QUICK)
async def retry_gives() -> Any:
    ran["gives"] += 1
    return Lock()


@flow
async def retry_unstorable(argument: bool) -> None:
    await (retry_takes(Lock()) if argument else retry_gives())


@on_each_store
async def test_d13_argument_that_cannot_be_stored_is_an_error_before_the_body_runs(store: Store) -> None:
    """The step ran without any record, and again in each replay."""
    with pytest.raises(CodecError, match="retry_takes"):
        await run_all(store, retry_unstorable(True), serve=[retry_unstorable])
    assert ran == {}


@on_each_store
async def test_d13_result_that_cannot_be_stored_fails_the_step_after_one_run(store: Store) -> None:
    """The body ran once more for each try of the policy."""
    with pytest.raises(CodecError, match="retry_gives"):
        await run_all(store, retry_unstorable(False), serve=[retry_unstorable])
    assert ran == {"gives": 1}


@step
async def retry_not_asked_for() -> None:
    ran["step"] += 1
    raise Busy("busy")


@step(retry=QUICK)
async def retry_asked_for() -> None:
    ran["step"] += 1
    raise Busy("busy")


@flow
async def retry_flow(asked: bool) -> None:
    ran["flow"] += 1
    await (retry_asked_for() if asked else retry_not_asked_for())


@on_each_store
async def test_d14_without_a_policy_nothing_is_tried_again(store: Store) -> None:
    """All ran three times, though the pages said once."""
    with pytest.raises(Busy):
        await run_all(store, retry_flow(False), serve=[retry_flow])
    assert ran == {"flow": 1, "step": 1}


@on_each_store
async def test_d14_policy_of_a_step_is_not_multiplied_by_one_nobody_gave(store: Store) -> None:
    """Three tries of a step became nine."""
    with pytest.raises(Busy):
        await run_all(store, retry_flow(True), serve=[retry_flow])
    assert ran == {"flow": 1, "step": 3}


@flow(retry=QUICK)
async def retry_both() -> None:
    ran["flow"] += 1
    await retry_asked_for()


@on_each_store
async def test_d14_policies_multiply_only_where_both_were_given(store: Store) -> None:
    """They did so unasked. Whoever gives both asks for the product."""
    with pytest.raises(Busy):
        await run_all(store, retry_both(), serve=[retry_both])
    assert ran == {"flow": 3, "step": 9}


@flow(retry=QUICK)
async def retry_after_a_caught_error() -> str:
    try:
        await retry_declined()
    except Declined:
        ran["flow"] += 1
    if ran["flow"] < 3:
        raise Busy("the flow itself")
    return "done"


@on_each_store
async def test_d14_permanent_error_that_was_caught_does_not_forbid_a_flow_retry(store: Store) -> None:
    """One step that must not be tried again kept its whole flow from being tried again."""
    assert await run_all(store, retry_after_a_caught_error(), serve=[retry_after_a_caught_error]) == ["done"]
    assert ran["flow"] == 3


def test_d14_retry_policy_where_none_is_read_is_refused() -> None:
    """@flow_type took a policy and never read it."""
    with pytest.raises(TypeError, match="retry"):
        flow_type(retry=QUICK)  # type: ignore[call-overload]


@flow
async def retry_plain(n: int) -> int:
    ran[f"plain {n}"] += 1
    return n


@flow
async def retry_other() -> str:
    return "other"


@on_each_store
async def test_d15_worker_leaves_flows_of_types_it_does_not_know(store: Store) -> None:
    """A worker failed a flow for good because it did not know its type, though another did."""
    unknown = await Scheduler(store).schedule(retry_plain(1))
    async with working(store, retry_other):
        known = await Scheduler(store).schedule(retry_other())
        assert await known.result() == "other"
        assert await unknown.status() is Status.PENDING
    async with working(store, retry_plain):
        assert await unknown.result() == 1


@flow
async def retry_parent() -> list[int]:
    return [await invoke(retry_plain(1)), await invoke(retry_plain(1))]


@on_each_store
async def test_d16_flow_with_any_id_may_have_children(store: Store) -> None:
    """Only flows whose id was a UUID could have children."""
    handle = await Scheduler(store).schedule(retry_parent(), id="order-001")
    async with working(store, retry_parent, retry_plain):
        assert await handle.result() == [1, 1]


@on_each_store
async def test_d16_two_equal_children_are_two(store: Store) -> None:
    """They were one."""
    await run_all(store, retry_parent(), serve=[retry_parent, retry_plain])
    assert ran == {"plain 1": 2}


@flow
async def retry_failing_child() -> None:
    raise KeyError("Invalid card: 1234")


@flow
async def retry_asks_failing_child() -> str:
    try:
        await invoke(retry_failing_child())
    except KeyError as error:
        return f"{type(error).__name__} {error.args[0]}"
    return "no error"


@on_each_store
async def test_d16_childs_error_keeps_its_type_and_message(store: Store) -> None:
    """Its type was guessed from its message, up to the first colon."""
    served = [retry_asks_failing_child, retry_failing_child]
    assert await run_all(store, retry_asks_failing_child(), serve=served) == ["KeyError Invalid card: 1234"]


@flow
async def retry_waiting_child() -> str:
    return await wait_signal("never", str)


@flow
async def retry_dies_before_its_child() -> None:
    invoke(retry_waiting_child())
    await wait_signal("fail")
    raise ConnectionError("the parent failed")


@on_each_store
async def test_d16_child_of_a_parent_that_failed_is_cancelled(store: Store) -> None:
    """It ran on, for nobody."""
    parent = await Scheduler(store).schedule(retry_dies_before_its_child(), id="parent")
    async with working(store, retry_dies_before_its_child, retry_waiting_child):
        child = Scheduler(store).handle("parent/retry_waiting_child", str)
        await listens(store, parent.id, "signal:fail")
        await listens(store, child.id, "signal:never")
        await parent.signal("fail")
        with pytest.raises(ConnectionError, match="the parent failed"):
            await parent.result()
        with pytest.raises(FlowCancelled):
            await child.result()
