"""The agent of sample_flows/agent.py: what runs side by side, what waits for a person, and what the model is told."""

from __future__ import annotations

from typing import Any

import pytest

from ergon_runtime.core.entries import Continued, StepEnded
from sample_flows import agent as sample
from sample_flows.agent import TooManyTurns, agent
from tests.runtime.rigs import rig, stands, virtual

YES = {"ok": True, "by": "Ada"}


def text_of(question: str = "Is it warm?", **more: Any) -> str:
    """The agent's answer, with consent given."""

    async def main() -> str:
        async with rig(agent) as here:
            handle = await here.scheduler.schedule(agent(question, **more), id="f")
            await handle.signal("approve-tidy", YES)
            return (await handle.result()).text

    return virtual(main)


def test_dangerous_tool_is_used_only_after_consent() -> None:
    async def main() -> None:
        async with rig(agent) as here:
            handle = await here.scheduler.schedule(agent("Is it warm?"), id="f")
            await stands(handle, "waiting")
            assert await here.kinds() == ["step ask_model", "step 1/weather", "step 2/weather", "step ask_model#2"]
            await handle.signal("approve-tidy", YES)
            assert (await handle.result()).turns == 3
            assert (await here.kinds())[4:] == ["signal 3/approve-tidy", "step 3/tidy_up", "step ask_model#3"]

    virtual(main)


def test_conversation_of_many_messages_goes_on_in_a_life_of_its_own_and_asks_nothing_twice() -> None:
    async def main() -> None:
        async with rig(agent) as here:
            handle = await here.scheduler.schedule(agent("Is it warm?", fresh_after=2), id="f")
            await handle.signal("approve-tidy", YES)
            assert (await handle.result()).turns == 3
            entries = await here.entries()
            assert sum(isinstance(entry, Continued) for entry in entries) == 2
            names = [entry.name for entry in entries if isinstance(entry, StepEnded)]
            assert names == ["ask_model", "weather", "weather", "ask_model", "tidy_up", "ask_model"]

    virtual(main)


def test_tool_that_is_not_there_is_told_to_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sample.TOOLS, "tidy_up")
    assert text_of().endswith("There is no tidy_up.")


def test_error_of_a_tool_is_told_to_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(text: str) -> str:
        raise ValueError(f"no {text} here")

    monkeypatch.setitem(sample.TOOLS, "tidy_up", fail)
    assert text_of().endswith("It failed: no desk here")


def test_model_that_comes_to_no_end_is_stopped() -> None:
    with pytest.raises(TooManyTurns, match="no answer after 3 questions"):
        text_of("Go on forever", turns=3)
