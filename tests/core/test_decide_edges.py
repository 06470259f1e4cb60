"""When a flow may not be given back, and when it has begun: drains, full commits, clocks that were set back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ergon_runtime.core.decide import Begin, decide
from ergon_runtime.core.drafts import Draft
from ergon_runtime.core.flows import Status
from tests.core.asks import signal, step
from tests.core.driver import START, Flow


async def steps() -> None:
    await step("a")


async def naps() -> None:
    await asyncio.sleep(1)


async def never() -> None:
    await signal("never")


def begun(flow: Flow) -> Flow:
    assert isinstance(flow.decide(), Begin)
    return flow.begin()


def test_draining_flow_with_a_step_that_was_not_started_is_handed_back_as_pending() -> None:
    flow = begun(Flow(steps))
    draft = decide(flow.machine, replace(flow.situation(), draining=True))
    assert isinstance(draft, Draft)
    assert (draft.status, draft.release) == (Status.PENDING, True)


def test_c3_flow_is_kept_while_more_is_due_than_its_commit_can_hold() -> None:
    flow = begun(Flow(naps))
    draft = decide(flow.machine, replace(flow.situation(), clock=START + 5000, limit=1))
    assert isinstance(draft, Draft)
    assert ([entry.kind for entry in draft.entries], draft.release) == (["started"], False)


def test_p3_cancel_of_a_life_that_has_begun_reaches_the_code_though_the_clock_was_set_back() -> None:
    flow = Flow(never).play(stop=2)
    assert flow.kinds() == ["started"]
    flow.clock = START - 1000
    assert isinstance(flow.load().cancel().decide(), Begin)
