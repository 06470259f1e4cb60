"""Determinism: random programs, stopped at random commits and resumed with other latencies, replay to the same."""

from __future__ import annotations

from random import Random

import pytest

from tests.core.driver import Flow, replayed
from tests.core.programs import answers, program

SEEDS = 400


def latencies(random: Random) -> dict[str, int]:
    return {f"s{n}": random.choice([1, 7, 40, 300]) for n in range(6)}


def set_out(flow: Flow, random: Random) -> None:
    """Other latencies, and some mail."""
    times = latencies(random)
    flow.latency = lambda key: times.get(key.rpartition("/")[2].partition("#")[0], 10)
    for _ in range(random.randint(0, 2)):
        flow.signal("go", random.randint(0, 9))
    if random.random() < 0.05:
        flow.cancel()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_program_cut_anywhere_goes_on_and_replays_to_the_same(seed: int) -> None:
    random = Random(seed)
    code = program(seed)
    retries, keep = random.choice([0, 0, 1, 3]), random.random() < 0.75
    flow = Flow(code, limit=random.choice([1, 3, 100]), retries=retries, keep=keep)
    flow.answer = lambda key, attempt: answers(f"{key} in life {flow.machine.life}", attempt)
    set_out(flow, random)
    for _ in range(random.randint(0, 4)):
        flow.play(stop=len(flow.drafts) + random.randint(1, 8))
        if flow.outcome is not None or not flow.machine.begun:
            break
        before = flow.delivered
        assert flow.load().begin().delivered == before
        set_out(flow, random)
    flow.play()
    assert flow.outcome is not None
    assert flow.reports == [] or all("never retrieved" in report["message"] for report in flow.reports)
    again = replayed(code, flow.journal, ended=True)
    assert again.machine.done or flow.kinds() == ["cancel"]
    assert again.delivered == flow.delivered
    if flow.outcome.status == "completed":
        assert again.machine.main is not None
        assert again.machine.main.result() == flow.machine.main.result()
