"""Running flows in the read model: the steps that their worker told of, with what journal and note say besides."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import pytest

from ergon_cli.why import why_line
from ergon_runtime.core.doing import MANY, RunningStep, pack_doing
from ergon_runtime.core.entries import Entry, Retried, StepBegun, StepStopped, pack
from ergon_runtime.core.flows import Beat, ClaimRequest, Commit, Lease, Status, lane
from ergon_runtime.view import StepView, Try, Why
from tests.runtime.views import LEASE, START, STARTED, Scene, beating, ended, error, run, tried, waits

LANE = lane("order", None)


def runs(key: str, attempt: int = 1, *, started: int = START - 2000, life: int = 1, flow: str = "a") -> RunningStep:
    return RunningStep(flow, life, key, attempt, started)


class Held(Scene):
    """A scene with flow `a`, which worker w1 holds, and whose lease it may renew while it tells what it does."""

    lease: Lease

    async def held(self, *entries: Entry, note: object = None) -> None:
        """Claim it and commit once."""
        await self.create("a")
        (claim,) = (await self.store.claim(ClaimRequest("w1", LEASE, 1, ids=("a",)))).claims
        self.lease = claim.lease
        await self.commit("c1", None, 0, *entries, note=note)

    async def commit(self, id_: str, before: str | None, start: int, *entries: Entry, note: object = None) -> None:
        text = None if note is None else json.dumps(note).encode()
        rows = tuple(pack(entry, 1) for entry in entries)
        await self.store.commit(Commit(id_, self.lease, before, start, LEASE, entries=rows, note=text))

    async def told(self, *steps: RunningStep, renew: bool = True, worker: str = "w1", extra: int = 0) -> None:
        """The worker's sign of life."""
        doing = pack_doing([*steps, *(runs(f"x{n}", flow="other") for n in range(extra))])
        leases = [self.lease] if renew else []
        await self.store.extend(leases, LEASE, Beat(worker, (LANE,), LEASE, concurrency=2, busy=1, doing=doing))

    async def why(self, *, listed: bool = False) -> Why:
        view = await (self.listed("a") if listed else self.view("a"))
        assert view.why is not None
        return view.why

    async def steps(self) -> dict[str, StepView]:
        return {step.key: step for step in (await self.view("a")).steps}

    async def line(self, *, listed: bool = False) -> str:
        return why_line(await self.why(listed=listed), self.now)


def scenario(work: Callable[[Held], Awaitable[None]]) -> Callable[[], None]:
    def test() -> None:
        async def main() -> None:
            await work(Held())

        run(main())

    test.__name__ = work.__name__
    return test


@scenario
async def test_running_step_is_shown_with_its_try_and_named_by_why(here: Held) -> None:
    await here.held(STARTED)
    here.now += 5000
    await here.told(runs("1/charge#2"))
    (step,) = (await here.view("a")).steps
    open_try = Try(1, "w1", START - 2000, None, None)
    assert step == StepView("1/charge#2", "step", "charge", "running", tries=(open_try,), started_at=START - 2000)
    for listed in (False, True):
        why = await here.why(listed=listed)
        assert (why.kind, why.key, why.name, why.since) == ("running", "1/charge#2", "charge", START - 2000)
        assert await here.line(listed=listed) == "runs 1/charge#2 on w1, 7.0s, lease 15.0s left"


@scenario
async def test_tries_that_failed_stand_before_the_one_that_runs(here: Held) -> None:
    await here.held(STARTED, tried("pay", 1, START + 100))
    await here.told(runs("pay", 2, started=START + 100))
    step = (await here.steps())["pay"]
    assert [(each.n, each.finished_at, each.started_at) for each in step.tries] == [
        (1, START + 10, START + 5),
        (2, None, START + 100),
    ]
    assert (step.status, step.attempts, step.due, step.started_at) == ("running", 2, None, START + 5)
    here.now += 300
    assert (await here.line()).startswith("runs pay on w1, 200ms, try 2, lease ")


@scenario
async def test_steps_and_tries_that_ended_since_the_report_are_not_running(here: Held) -> None:
    await here.held(STARTED)
    await here.told(runs("done"), runs("pay"), runs("still"))
    here.now += 10
    await here.commit("c2", "c1", 1, ended("done"), tried("pay", 1, START + 9000))
    steps = await here.steps()
    assert {key: step.status for key, step in steps.items()} == {
        "done": "completed",
        "pay": "waiting",
        "still": "running",
    }
    assert (await here.why()).key == "still"
    assert len(steps["pay"].tries) == 1


@scenario
async def test_list_names_no_step_of_a_report_that_a_commit_came_after(here: Held) -> None:
    await here.held(STARTED)
    await here.told(runs("done"))
    here.now += 10
    await here.commit("c2", "c1", 1, ended("done"))
    why = await here.why(listed=True)
    assert (why.key, why.open) == (None, None)
    assert await here.line(listed=True) == "runs on w1, lease 15.0s left"


@scenario
async def test_heartbeat_of_the_same_try_adds_its_detail(here: Held) -> None:
    await here.held(STARTED, note=beating("load", 1, {"row": 7}))
    await here.told(runs("load", started=START + 300))
    step = (await here.steps())["load"]
    assert step.tries == (Try(1, "w1", START + 300, None, None),)
    assert (step.detail, step.heartbeat_at, step.status) == ({"row": 7}, START + 200, "running")


@scenario
async def test_begun_step_gets_its_try(here: Held) -> None:
    await here.held(STARTED, StepBegun("once", START + 7, "d", "once"))
    await here.told(runs("once", started=START + 6))
    step = (await here.steps())["once"]
    assert (step.status, step.tries) == ("running", (Try(1, "w1", START + 6, None, None),))
    assert (await here.why()).since == START + 6


@scenario
async def test_report_of_another_life_is_not_used(here: Held) -> None:
    retried = Retried("", START, 2, 2, 1, True, START, error())
    await here.held(STARTED, retried)
    await here.told(runs("old"), runs("new", life=2))
    assert [step.key for step in (await here.view("a")).steps if step.kind == "step"] == ["new~2"]
    assert (await here.why()).key == "new"
    await here.told(runs("new", life=2))
    assert (await here.why(listed=True)).key == "new"


@scenario
async def test_step_that_was_given_up_since_the_report_is_not_running(here: Held) -> None:
    await here.held(STARTED)
    await here.told(runs("slow"))
    here.now += 10
    await here.commit("c2", "c1", 1, StepStopped("slow", START + 5, "d", "slow", "{}", 0, None, "w1"))
    assert (await here.steps())["slow"].status == "failed"
    assert (await here.why()).key is None


@scenario
async def test_report_from_before_the_lease_began_is_not_used(here: Held) -> None:
    await here.held(STARTED)
    await here.told(runs("pay"))
    await here.commit("c2", "c1", 1)
    await here.store.commit(
        Commit("c3", here.lease, "c2", 1, LEASE, status=Status.WAITING, due=START + 50, release=True)
    )
    here.now += 50
    await here.store.claim(ClaimRequest("w1", LEASE, 1, ids=("a",)))
    assert (await here.view("a")).steps == ()
    assert await here.line() == "runs on w1, lease 15.0s left"


@scenario
async def test_report_of_a_worker_that_lost_the_flow_is_not_used(here: Held) -> None:
    await here.held(STARTED)
    here.now += LEASE
    await here.told(runs("pay"), renew=False)
    await here.store.claim(ClaimRequest("w2", LEASE, 1, ids=("a",)))
    assert (await here.view("a")).steps == ()
    assert (await here.why()).worker == "w2"


@scenario
async def test_flow_whose_lease_is_over_runs_nothing(here: Held) -> None:
    await here.held(STARTED)
    await here.told(runs("pay"))
    here.now += LEASE - 1
    await here.told(runs("pay"), renew=False)
    assert (await here.why()).key == "pay"
    here.now += 1
    assert (await here.view("a")).steps == ()
    assert (await here.why()).kind == "lease_expired"


@scenario
async def test_worker_that_runs_none_of_its_steps_runs_its_code(here: Held) -> None:
    await here.held(STARTED)
    assert await here.line() == "runs on w1, lease 15.0s left", "it has not told anything yet"
    here.now += 1
    await here.told(runs("elsewhere", flow="b"))
    for listed in (False, True):
        assert (await here.why(listed=listed)).open == 0
        assert await here.line(listed=listed) == "runs flow code on w1, lease 15.0s left"


@scenario
async def test_report_that_leaves_steps_out_does_not_say_that_there_are_none(here: Held) -> None:
    await here.held(STARTED)
    await here.told(extra=MANY + 1)
    assert (await here.why()).open is None


@scenario
async def test_of_several_steps_the_longest_is_named_first(here: Held) -> None:
    await here.held(STARTED)
    await here.told(runs("late", started=START - 1), runs("early", started=START - 500))
    why = await here.why()
    assert (why.key, [each.key for each in why.also], why.open) == ("early", ["late"], None)
    assert await here.line() == "runs early on w1, 500ms, lease 15.0s left; and 1 more"
    await here.told(*(runs(f"s{n:02}", started=START - 100 + n) for n in range(30)))
    why = await here.why()
    assert (why.key, len(why.also), why.open) == ("s00", 19, 30)
    assert await here.line() == "runs s00 on w1, 100ms, lease 15.0s left; and 29 more"


@scenario
async def test_child_that_runs_names_its_step_too(here: Held) -> None:
    await here.held(STARTED)
    await here.told(runs("charge"))
    child = {"kind": "child", "key": "c", "child": "a", "since": START}
    await here.place("p", note=waits(child), waits=["child:a"])
    view = await here.view("p")
    assert view.why is not None
    assert (view.why.deepest.kind, view.why.deepest.key) == ("running", "charge")


def workers(*rows: tuple[str, int, int]) -> Iterable[Beat]:
    return [Beat(name, (LANE,), LEASE, concurrency=room, busy=busy) for name, room, busy in rows]


@pytest.mark.parametrize(
    ("live", "line", "fix"),
    [
        ([("w1", 8, 8)], ": 1 worker serves order, it is full (8 of 8)", "ergon worker -m MODULE"),
        ([("w1", 8, 8), ("w2", 8, 8)], ": 2 workers serve order, all full (16 of 16)", "ergon worker -m MODULE"),
        ([("w1", 8, 8), ("w2", 8, 7)], "", None),
        ([("w1", 0, 0)], "", None),
    ],
)
def test_queued_says_when_every_worker_that_serves_it_is_full(
    live: list[tuple[str, int, int]], line: str, fix: str | None
) -> None:
    async def main() -> None:
        here = Held()
        await here.create("a")
        for beat in workers(*live):
            await here.store.extend([], LEASE, beat)
        await here.store.extend([], LEASE, replace(beat, worker="other", lanes=("else",), busy=0))
        why = await here.why()
        assert (why.kind, why.workers, why.fix) == ("queued", len(live), fix)
        assert why_line(why, here.now + 2000) == f"waits for a free worker for 2.0s{line}"

    run(main())
