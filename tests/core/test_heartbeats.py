"""Heartbeats (T6) in the core: the last of each open step, and which commits tell them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from ergon_runtime.core import loop
from ergon_runtime.core.decide import Park, block, decide
from ergon_runtime.core.drafts import Draft
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.heartbeats import Heartbeat, Heartbeats, heartbeats_in, read_note
from tests.core.asks import signal, step
from tests.core.driver import Flow, fault_of, started


def beat(key: str = "s", detail: str | None = "1", **given: Any) -> Heartbeat:
    return replace(Heartbeat(key, "d", detail, 1, "w", 5, 6), **given)


def note_of(beats: Heartbeats, life: int = 1) -> bytes:
    return json.dumps({"life": life, **beats.fields()}).encode()


def holding(*found: Heartbeat) -> Heartbeats:
    beats = Heartbeats()
    for each in found:
        beats.record(each)
    return beats


# --- what is held
def test_last_heartbeat_counts_and_a_detail_stays_when_none_follows() -> None:
    beats = holding(beat(detail="1"), beat(detail="2"), beat(detail=None, at=9))
    assert beats.last("s", "d") == beat(detail="2", at=9)
    assert beats.last("s", "other arguments") is None
    assert beats.last("t", "d") is None


def test_detail_of_other_arguments_is_not_kept() -> None:
    assert holding(beat(), beat(detail=None, digest="e")).last("s", "e") == beat(detail=None, digest="e")


def test_untold_until_a_commit_has_told_and_again_after_the_next() -> None:
    beats = holding(beat())
    known = beats.count
    beats.record(beat(detail="2"))  # while the commit is on its way
    beats.told(known)
    assert beats.untold
    beats.told(beats.count)
    beats.told(known)
    assert not beats.untold
    beats.record(beat(detail="3"))
    beats.drop("s")
    assert not beats.untold  # nothing is left to tell


def test_restored_heartbeats_are_those_of_the_note_and_already_told() -> None:
    given = [beat("a"), beat("b", None, attempt=2)]
    beats = Heartbeats()
    beats.restore(note_of(holding(*given)), 1)
    assert [beats.last("a", "d"), beats.last("b", "d")] == given
    assert not beats.untold


@pytest.mark.parametrize("life", [1, 3])
def test_heartbeats_of_another_life_are_not_restored(life: int) -> None:
    beats = Heartbeats()
    beats.restore(note_of(holding(beat()), life), 2)
    assert beats.fields() == {}


@pytest.mark.parametrize(
    "wrong",
    [{"key": 1}, {"digest": None}, {"detail": 5}, {"attempt": "1"}, {"worker": []}, {"started": None}, {"at": 1.5}],
)
def test_row_with_a_wrong_field_is_passed_over(wrong: dict[str, Any]) -> None:
    rows = [{**beats_row(), **wrong}, beats_row()]
    assert heartbeats_in({"heartbeats": rows}) == [beat()]


def beats_row() -> dict[str, Any]:
    found: dict[str, Any] = holding(beat()).fields()["heartbeats"][0]
    return found


# --- what commits tell
async def two() -> None:
    await asyncio.gather(step("s"), step("t"))
    await signal("go")


def tell(flow: Flow, key: str, detail: str) -> None:
    flow.machine.open.heartbeats.record(beat(key, detail, digest="null"))


def draft(flow: Flow, *, due: bool = False) -> Draft | None:
    found = decide(flow.machine, replace(flow.situation(), beat=due))
    assert isinstance(found, Draft | Park)
    return found if isinstance(found, Draft) else None


def told(found: Draft | None) -> dict[str, str | None]:
    assert found is not None
    return {each.key: each.detail for each in heartbeats_in(read_note(found.note))}


def test_t6_commit_of_heartbeats_alone_is_made_only_when_due_and_holds_no_entry() -> None:
    flow = started(two)
    tell(flow, "1/s", "7")
    assert draft(flow) is None
    found = draft(flow, due=True)
    assert told(found) == {"1/s": "7"}
    assert found is not None
    assert (found.entries, found.release, found.status, found.waits) == ((), False, "running", frozenset())
    assert found.heartbeats == 1


def test_t6_next_commit_tells_what_is_new_and_leaves_out_steps_that_end_in_it() -> None:
    flow = started(two)
    tell(flow, "1/s", "7")
    tell(flow, "2/t", "8")
    assert told(draft(flow.try_failed("1/s", again=1000))) == {"1/s": "7", "2/t": "8"}
    flow.go().machine.open.heartbeats.told(2)
    assert told(draft(flow.end("2/t"))) == {"1/s": "7"}


def test_t6_commit_without_news_has_no_note() -> None:
    flow = started(two)
    tell(flow, "1/s", "7")
    flow.machine.open.heartbeats.told(1)
    found = draft(flow.end("2/t"))
    assert found is not None
    assert found.note is None


def test_t6_suspended_flow_keeps_the_heartbeats_of_steps_that_wait_for_their_next_try() -> None:
    flow = started(two)
    tell(flow, "1/s", "7")
    tell(flow, "2/t", "8")
    flow.try_failed("1/s", again=1000).end("2/t").go()
    assert flow.drafts[-1].release
    assert told(flow.drafts[-1]) == {"1/s": "7"}


def test_t6_flow_that_is_over_tells_no_heartbeats() -> None:
    flow = started(two)
    tell(flow, "1/s", "7")
    flow.machine.open.heartbeats.told(1)
    flow.end("1/s").end("2/t").go().signal("go").go()
    assert flow.outcome is not None
    assert told(flow.drafts[-1]) == {}


@pytest.mark.parametrize("loaded", [True, False], ids=["with a machine", "before it is loaded"])
def test_t6_blocked_flow_keeps_its_heartbeats(loaded: bool) -> None:
    flow = started(two)
    tell(flow, "1/s", "7")
    before = decide(flow.machine, replace(flow.situation(), beat=True))
    assert isinstance(before, Draft)
    fault = Fault(FaultKind.DIVERGED, "m")
    found = block(flow.machine if loaded else None, 5, fault, "code", before.note)
    assert told(found) == {"1/s": "7"}
    assert read_note(found.note)["life"] == 1
    assert told(block(None, 5, fault, "code", found.note)) == {"1/s": "7"}


def test_t6_flow_blocked_amid_a_commit_has_no_heartbeats_of_steps_that_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "SPIN", 100)

    async def spins() -> None:
        await step("s")
        while True:
            await asyncio.sleep(0)

    flow = started(lambda: _both(spins(), step("t")))
    tell(flow, "1/s", "7")
    tell(flow, "2/t", "8")
    fault = fault_of(flow.end("1/s").end("2/t").go)
    assert fault.kind is FaultKind.SPINNING
    assert flow.keys("step") == ["1/s", "2/t"]
    assert told(block(flow.machine, 5, fault, "code", None)) == {}


async def _both(*things: Any) -> None:
    await asyncio.gather(*things)
