"""WHY: every kind of it, from flows as commits leave them."""

from __future__ import annotations

from typing import Any

import pytest

from ergon_runtime.core.entries import (
    Entry,
    Outcome,
    Retried,
)
from ergon_runtime.core.flows import Message, Status, WorkerRow
from ergon_runtime.view import FlowView, Why, iso, tree, view_row
from ergon_runtime.view.model import WhyKind
from ergon_runtime.view.why import signal_fix
from tests.runtime.views import LEASE, START, STARTED, Scene, error, run, tried, waits


def why_of(view: FlowView) -> Why:
    assert view.why is not None
    return view.why


def test_why_pending_with_a_worker_is_queued() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.create("a")
        await scene.serve()
        assert await scene.listed("a") == await scene.view("a")
        why = why_of(await scene.view("a"))
        assert (why.kind, why.since, why.fix) == ("queued", START, None)

    run(scenario(Scene()))


def test_why_pending_without_a_worker_names_the_type_to_serve() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.create("a")
        await scene.serve("other")
        why = why_of(await scene.view("a"))
        assert (why.kind, why.type, why.fix) == ("no_worker", "order", "ergon worker -m MODULE")

    run(scenario(Scene()))


def test_why_with_a_worker_that_fell_silent_is_no_worker() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.create("a")
        row = await scene.row("a")
        silent = WorkerRow("w", (row.lane,), "h", 1, 1, START - LEASE, START)
        view = await view_row(scene.store, row, now=START, workers=[silent])
        assert why_of(view).kind == "no_worker"

    run(scenario(Scene()))


def test_why_delayed_start_is_a_timer() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.create("a", due=START + 60_000)
        why = why_of(await scene.view("a"))
        assert (why.kind, why.due, why.since) == ("timer", START + 60_000, START)

    run(scenario(Scene()))


def test_why_signal_has_name_since_timeout_and_fix() -> None:
    async def scenario(scene: Scene) -> None:
        note = waits(
            {"kind": "signal", "key": "approve", "name": "approve A", "since": START - 500},
            {"kind": "timer", "key": "timeout", "sleep": False, "since": START, "due": START + 900},
        )
        await scene.place("a", waits=["signal:approve A"], due=START + 900, note=note)
        why = why_of(await scene.view("a"))
        assert (why.kind, why.name, why.since, why.until) == ("signal", "approve A", START, START + 900)
        assert why.fix == "ergon signal 'approve A' PAYLOAD --flow a"
        assert why.also == ()

    run(scenario(Scene()))


def test_command_for_a_signal_that_no_terminal_shows_is_written_for_bash() -> None:
    assert signal_fix("a", "it's 中") == """ergon signal 'it'"'"'s 中' PAYLOAD --flow a"""
    assert signal_fix("a", "\x1b\u202eit's\\") == r"ergon signal $'\x1b\U0000202eit\'s\\' PAYLOAD --flow a"


def test_why_signal_shows_messages_that_did_not_fit() -> None:
    async def scenario(scene: Scene) -> None:
        unfit = Message("m1", "signal:approve", b'"maybe"')
        other = Message("m2", "signal:other", b"1")
        await scene.place("a", waits=["signal:approve"], aside=(unfit, other))
        why = why_of(await scene.view("a"))
        assert [(each.id, each.payload) for each in why.aside] == [("m1", "maybe")]

    run(scenario(Scene()))


def test_why_waiting_without_a_usable_note_is_told_by_its_channels() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.place("a", waits=["signal:approve"], note="broken")
        why = why_of(await scene.view("a"))
        assert (why.kind, why.name) == ("signal", "approve")

    run(scenario(Scene()))


def test_why_sleep_is_a_timer() -> None:
    async def scenario(scene: Scene) -> None:
        sleep = {"kind": "timer", "key": "sleep", "sleep": True, "since": START, "due": START + 900}
        await scene.place("a", due=START + 900, note=waits(sleep))
        why = why_of(await scene.view("a"))
        assert (why.kind, why.key, why.due) == ("timer", "sleep", START + 900)

    run(scenario(Scene()))


def test_why_waiting_flow_that_is_due_waits_for_a_worker() -> None:
    async def scenario(scene: Scene) -> None:
        sleep = {"kind": "timer", "key": "sleep", "sleep": True, "since": START, "due": START + 900}
        await scene.place("a", due=START + 900, note=waits(sleep))
        scene.now += 900
        assert why_of(await scene.view("a")).kind == "no_worker"
        await scene.serve()
        why = why_of(await scene.view("a"))
        assert (why.kind, why.since) == ("queued", START + 900)

    run(scenario(Scene()))


def test_why_retry_has_attempt_due_and_last_error_in_lists_too() -> None:
    async def scenario(scene: Scene) -> None:
        retry = {"kind": "retry", "key": "pay", "name": "pay", "attempt": 2, "due": START + 900, "since": START}
        entries: list[Entry] = [STARTED, tried("pay", 1, START + 20), tried("pay", 2, START + 900, "gone")]
        await scene.place("a", entries=entries, due=START + 900, note=waits(retry))
        for view in (await scene.view("a"), await scene.listed("a")):
            why = why_of(view)
            assert (why.kind, why.key, why.attempt, why.due) == ("retry", "pay", 2, START + 900)
            assert why.error is not None
            assert (why.error.type, why.error.message) == ("OSError", "gone")

    run(scenario(Scene()))


def test_why_flow_retry_has_the_error_of_the_failed_life_and_counts_the_next_attempt() -> None:
    async def scenario(scene: Scene) -> None:
        due = START + 900
        entries: list[Entry] = [STARTED, Retried("", START, 2, 2, 1, True, due, error("ValueError", "first"))]
        await scene.place("a", entries=entries, due=due, note=waits({"kind": "retry", "key": None, "attempt": 1}))
        for view in (await scene.view("a"), await scene.listed("a")):
            why = why_of(view)
            assert (why.kind, why.key, why.due, view.attempt) == ("retry", None, due, 2)
            assert why.error is not None
            assert why.error.message == "first"

    run(scenario(Scene()))


def child_wait(key: str, child: str) -> dict[str, Any]:
    return {"kind": "child", "key": key, "child": child, "since": START}


def test_why_child_is_followed_to_the_deepest_cause() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.place("a", note=waits(child_wait("b", "a/b")), waits=["child:a/b"])
        await scene.place("a/b", note=waits(child_wait("c", "a/b/c")), waits=["child:a/b/c"], parent="a")
        await scene.place("a/b/c", waits=["signal:go"], parent="a/b")
        why = why_of(await scene.view("a"))
        assert (why.kind, why.child) == ("child", "a/b")
        assert why.cause is not None
        assert (why.cause.flow_id, why.cause.kind, why.cause.child) == ("a/b", "child", "a/b/c")
        assert (why.deepest.flow_id, why.deepest.kind, why.deepest.name) == ("a/b/c", "signal", "go")
        assert why.fix == "ergon signal go PAYLOAD --flow a/b/c"

    run(scenario(Scene()))


def test_why_is_found_as_many_generations_down_as_trees_are_read() -> None:
    async def scenario(scene: Scene) -> None:
        for depth in range(tree.DEPTH):
            below = f"f{depth + 1}"
            await scene.place(f"f{depth}", note=waits(child_wait("c", below)), waits=[f"child:{below}"])
        await scene.place(f"f{tree.DEPTH}", waits=["signal:go"])
        assert why_of(await scene.view("f0")).fix == f"ergon signal go PAYLOAD --flow f{tree.DEPTH}"

    run(scenario(Scene()))


def test_why_child_that_retries_has_the_error_of_its_last_try() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.place("a", note=waits(child_wait("b", "a/b")), waits=["child:a/b"])
        retry = {"kind": "retry", "key": "pay", "name": "pay", "attempt": 1, "due": START + 900, "since": START}
        entries: list[Entry] = [STARTED, tried("pay", 1, START + 900, "gone")]
        await scene.place("a/b", entries=entries, due=START + 900, note=waits(retry), parent="a")
        cause = why_of(await scene.view("a")).deepest
        assert (cause.kind, cause.error and cause.error.message) == ("retry", "gone")

    run(scenario(Scene()))


def test_why_of_several_children_follows_the_one_that_needs_help() -> None:
    async def scenario(scene: Scene) -> None:
        note = waits(child_wait("x", "a/x"), child_wait("y", "a/y"), child_wait("z", "a/z"))
        await scene.place("a", note=note, waits=["child:a/x", "child:a/y", "child:a/z"])
        await scene.place("a/x", Status.RUNNING, parent="a")
        await scene.place("a/y", Status.BLOCKED, parent="a", note={"why": {"kind": "stuck", "message": "m"}})
        await scene.place("a/z", Status.COMPLETED, outcome=Outcome(Status.COMPLETED, "1"))  # its mail is on the way
        why = why_of(await scene.view("a"))
        assert (why.child, why.deepest.kind) == ("a/y", "stuck")
        assert [each.child for each in why.also] == ["a/x", "a/z"]

    run(scenario(Scene()))


def test_why_of_several_children_follows_the_one_without_a_worker_before_those_that_wait() -> None:
    async def scenario(scene: Scene) -> None:
        note = waits(child_wait("x", "a/x"), child_wait("y", "a/y"))
        await scene.place("a", note=note, waits=["child:a/x", "child:a/y"])
        await scene.place("a/x", waits=["signal:go"], parent="a")
        await scene.create("a/y", parent="a")
        assert why_of(await scene.view("a")).child == "a/y"
        await scene.serve()
        assert why_of(await scene.view("a")).child == "a/x"

    run(scenario(Scene()))


def test_why_running_names_worker_and_lease_end() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.create("a")
        await scene.claim("a")
        why = why_of(await scene.view("a"))
        assert (why.kind, why.worker, why.lease_until) == ("running", "w-old", START + LEASE)

    run(scenario(Scene()))


def test_why_lease_expired_names_the_worker_that_fell_silent() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.create("a")
        await scene.claim("a")
        scene.now += LEASE
        why = why_of(await scene.view("a"))
        assert (why.kind, why.worker, why.since, why.fix) == (
            "lease_expired",
            "w-old",
            START + LEASE,
            "ergon worker -m MODULE",
        )
        await scene.serve()
        assert why_of(await scene.view("a")).fix is None

    run(scenario(Scene()))


@pytest.mark.parametrize(
    ("kind", "fix"),
    [
        ("diverged", "ergon replay a -m MODULE"),
        ("unreadable", "ergon replay a -m MODULE"),
        ("spinning", "ergon replay a -m MODULE"),
        ("stuck", "ergon replay a -m MODULE"),
        ("crash_loop", "ergon retry a"),
        ("conflict", "ergon retry a"),
        ("paused", "ergon retry a"),
    ],
)
def test_why_blocked_has_its_kind_details_and_a_command(kind: WhyKind, fix: str) -> None:
    async def scenario(scene: Scene) -> None:
        why = {
            "kind": kind,
            "message": "text",
            "since": START,
            "key": "b",
            "recorded": "step b()",
            "current": ["step c()"],
            "where": "flows.py:3",
        }
        await scene.place("a", Status.BLOCKED, due=START + 5000, note={"why": why})
        assert why_of(await scene.view("a")) == Why(
            kind,
            key="b",
            since=START,
            due=START + 5000,
            message="text",
            recorded="step b()",
            current=("step c()",),
            where="flows.py:3",
            fix=fix,
        )

    run(scenario(Scene()))


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_why_of_an_ended_flow_is_none(status: Status) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.place("a", status, outcome=Outcome(status))
        assert (await scene.view("a")).why is None

    run(scenario(Scene()))


def test_why_as_json_holds_only_what_is_set() -> None:
    why = Why("child", child="a/b", since=START, cause=Why("timer", flow_id="a/b", due=START + 1))
    assert why.to_json() == {
        "kind": "child",
        "child": "a/b",
        "since": iso(START),
        "cause": {"kind": "timer", "flow_id": "a/b", "due": iso(START + 1)},
    }
