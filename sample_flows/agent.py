"""An agent: a model is asked what to do, its tools are used, the answers go back to it, until it has an answer.

Each question to the model and each use of a tool is a step: once its answer is recorded it is not asked again, whatever
dies. Tools that the model asks for together run side by side. A dangerous one waits for a person. The model here is a
script that works offline; to use a real one, change the body of `ask_model`.

    ergon worker -m sample_flows/agent.py
    ergon schedule agent -m sample_flows/agent.py -a 'question=Is Rome warmer than Oslo? Then tidy up.' --id weather
    ergon inspect weather
    ergon signal approve-tidy '{"ok": true, "by": "Ada"}' --flow weather
    ergon inspect weather

It ends with {"text": "Rome: 24 degrees; Oslo: 11 degrees. The desk is tidy.", "turns": 3}; if Ada says {"ok": false,
"by": "Ada"}, with "... Ada says no to tidy_up.". A model that comes to no end is stopped after `turns` questions. As
each question carries the whole conversation, a long one would make a large journal: every `fresh_after` messages the
flow begins anew (continue_as_new) with an empty one; this is also the place to shorten what was said.

    ergon run agent -m sample_flows/agent.py -a question=Weather? --id asked

needs no worker, prints the answer, and waits for the signal as well, sent to `--flow asked` from another terminal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from ergon_runtime import NonRetryableError, RetryPolicy, continue_as_new, flow, step, wait_signal


@dataclass(frozen=True)
class ToolCall:
    id: str
    tool: str
    text: str


@dataclass(frozen=True)
class Turn:
    """A message of the conversation; `calls` are the tools that the model wants, `of` is the call that it answers."""

    role: str
    text: str
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    of: str | None = None


@dataclass(frozen=True)
class Answer:
    text: str
    turns: int


@dataclass(frozen=True)
class Consent:
    """The payload of the signal `approve-<id of the call>`."""

    ok: bool
    by: str


class TooManyTurns(NonRetryableError):
    """The model would go on for ever."""


@step(retry=RetryPolicy.STANDARD, timeout=120)
async def ask_model(talk: list[Turn]) -> Turn:
    """The one place to put a real model: send it `talk`, and make a Turn of its answer."""
    asked = sum(turn.role == "model" for turn in talk)
    found = [turn.text for turn in talk if turn.role == "tool"]
    if "forever" in talk[0].text or asked == 0:
        return Turn("model", "", [ToolCall("rome", "weather", "Rome"), ToolCall("oslo", "weather", "Oslo")])
    if asked == 1:
        return Turn("model", "", [ToolCall("tidy", "tidy_up", "desk")])
    return Turn("model", f"{'; '.join(found[:-1])}. {found[-1]}")


@step(retry=RetryPolicy.STANDARD, timeout=30)
async def weather(place: str) -> str:
    known = {"Rome": 24, "Oslo": 11}  # stands for a service
    return f"{place}: {known[place]} degrees" if place in known else f"Nobody knows {place}"


@step
async def tidy_up(what: str) -> str:
    return f"The {what} is tidy."


TOOLS: dict[str, Callable[[str], Coroutine[object, None, str]]] = {"weather": weather, "tidy_up": tidy_up}
DANGEROUS = {"tidy_up"}


async def use(call: ToolCall) -> Turn:
    """Flow code, not a step: it may wait for a person. What goes wrong is told to the model, for it to think again."""
    if call.tool not in TOOLS:
        return Turn("tool", f"There is no {call.tool}.", of=call.id)
    if call.tool in DANGEROUS:
        consent = await wait_signal(f"approve-{call.id}", Consent)
        if not consent.ok:
            return Turn("tool", f"{consent.by} says no to {call.tool}.", of=call.id)
    try:
        return Turn("tool", await TOOLS[call.tool](call.text), of=call.id)
    except (OSError, ValueError) as error:
        return Turn("tool", f"It failed: {error}", of=call.id)


@flow
async def agent(question: str, turns: int = 20, fresh_after: int = 50, talk: list[Turn] | None = None) -> Answer:
    begun = talk or [Turn("user", question)]
    talk = list(begun)
    while (asked := sum(turn.role == "model" for turn in talk)) < turns:
        if len(talk) - len(begun) >= fresh_after:
            continue_as_new(agent(question, turns, fresh_after, talk))
        reply = await ask_model(talk)
        talk.append(reply)
        if not reply.calls:
            return Answer(reply.text, asked + 1)
        talk += await asyncio.gather(*(use(call) for call in reply.calls))
    raise TooManyTurns(f"no answer after {turns} questions to the model")
