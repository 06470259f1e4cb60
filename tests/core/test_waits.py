"""What commits say of the channels that a flow waits on (C3): all of them once, from then on what has changed."""

from __future__ import annotations

import asyncio

from ergon_runtime.core.decide import Park
from ergon_runtime.core.drafts import Draft
from tests.core.asks import signal, step
from tests.core.driver import Flow, started


def draft_of(flow: Flow) -> Draft:
    draft = flow.decide()
    assert isinstance(draft, Draft)
    return draft


async def waits_for_signals() -> None:
    await asyncio.gather(signal("a"), signal("b"))


async def never() -> None:
    await signal("never")


def test_c3_waits_are_committed_when_asked_for_and_when_dropped() -> None:
    async def code() -> None:
        task = asyncio.create_task(never())
        await step("a")
        task.cancel()
        await step("b")

    flow = started(code)
    assert flow.waits == {"signal:never"}
    assert not flow.drafts[-1].release
    flow.end("a").go()
    assert (flow.waits, flow.drafts[-1].dropped, flow.drafts[-1].entries) == (frozenset(), {"signal:never"}, ())
    assert isinstance(flow.decide(), Park)


def test_c3_wait_that_a_message_of_this_commit_ends_is_not_among_its_waits() -> None:
    flow = started(waits_for_signals)
    assert flow.waits == {"signal:a", "signal:b"}
    flow.signal("a")
    assert (draft_of(flow).waits, draft_of(flow).dropped) == (frozenset(), {"signal:a"})


def test_c3_wait_of_two_on_one_name_lasts_until_both_have_theirs() -> None:
    async def code() -> None:
        await asyncio.gather(signal("a"), signal("a"))

    draft = draft_of(started(code).signal("a"))
    assert (draft.waits, draft.dropped) == ({"signal:a"}, frozenset())


def test_c3_commits_of_a_wide_flow_say_only_which_waits_have_changed() -> None:
    async def code() -> None:
        await asyncio.gather(*(signal(f"s{n}") for n in range(1000)))

    flow = started(code)
    for n in range(10):
        flow.signal(f"s{n}").go()
        assert [(draft.waits, draft.dropped) for draft in flow.drafts[-2:]] == [
            (frozenset(), {f"signal:s{n}"}),
            (frozenset(), frozenset()),
        ]
    assert len(flow.waits) == 990


def test_c3_first_commit_after_a_load_states_all_waits() -> None:
    flow = started(waits_for_signals)
    draft = draft_of(flow.load().begin())
    assert (draft.waits, draft.dropped) == ({"signal:a", "signal:b"}, None)
