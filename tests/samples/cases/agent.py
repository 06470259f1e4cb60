"""Cases of sample_flows/agent.py: with consent, without, over several lives, and without an end."""

from __future__ import annotations

from sample_flows.agent import agent
from tests.samples.cases import Case

FOUND = "Rome: 24 degrees; Oslo: 11 degrees."
YES = ("approve-tidy", {"ok": True, "by": "Ada"})
NO = ("approve-tidy", {"ok": False, "by": "Ada"})
STEPS = {"ask_model": 3, "weather": 2}

CASES = [
    Case(
        "agent that may tidy up",
        "sample_flows.agent",
        lambda: agent("Is it warm?"),
        ("agent", "-a", "question=Is it warm?"),
        signals=(YES,),
        result={"text": f"{FOUND} The desk is tidy.", "turns": 3},
        steps={**STEPS, "tidy_up": 1},
    ),
    Case(
        "agent that may not tidy up",
        "sample_flows.agent",
        lambda: agent("Is it warm?"),
        ("agent", "-a", "question=Is it warm?"),
        signals=(NO,),
        result={"text": f"{FOUND} Ada says no to tidy_up.", "turns": 3},
        steps=STEPS,
    ),
    Case(
        "agent whose conversation goes on in new lives",
        "sample_flows.agent",
        lambda: agent("Is it warm?", fresh_after=2),
        ("agent", "-a", "question=Is it warm?", "-a", "fresh_after=2"),
        signals=(YES,),
        result={"text": f"{FOUND} The desk is tidy.", "turns": 3},
        steps={**STEPS, "tidy_up": 1},
    ),
    Case(
        "agent that does not come to an end",
        "sample_flows.agent",
        lambda: agent("Go on forever", turns=2),
        ("agent", "-a", "question=Go on forever", "-a", "turns=2"),
        error="TooManyTurns",
        steps={"ask_model": 2, "weather": 4},
    ),
]
