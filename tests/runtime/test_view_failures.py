"""Where a flow's error came from: the step, down through failed children; and what the view of a step tells beside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from ergon_runtime import Status, flow, step, step_info
from ergon_runtime.core.entries import ChildCreated, ChildEnded, Continued, Entry, Forked, Outcome, Retried, StepStopped
from ergon_runtime.view import Failure, StepView, chain, failing_step, failures
from tests.runtime.rigs import rig, virtual
from tests.runtime.views import START, STARTED, Scene, ended, error, run


async def failed(scene: Scene, flow_id: str, text: str, entries: Sequence[Entry], parent: str | None = None) -> None:
    outcome = Outcome(Status.FAILED, None, text)
    await scene.place(flow_id, Status.FAILED, [STARTED, *entries], parent=parent, outcome=outcome)


async def found(scene: Scene, flow_id: str) -> tuple[Failure, ...]:
    view = await scene.view(flow_id)
    return await failures(scene.store, view, now=scene.now, workers=[])


def child(key: str, id_: str, text: str) -> list[Entry]:
    created = ChildCreated(key, START, "d", id_, "ship", None, "{}", False)
    return [created, ChildEnded(key, START, "d", "m", id_, Status.FAILED, None, text)]


def test_failure_is_followed_down_through_children_to_the_step_it_came_from() -> None:
    async def scenario(scene: Scene) -> None:
        await failed(scene, "a", error(), [ended("one"), *child("mid", "a/mid", error())])
        await failed(scene, "a/mid", error(), [*child("low", "a/mid/low", error()), ended("two")], "a")
        await failed(scene, "a/mid/low", error(), [ended("pay", None, error()), ended("undo")], "a/mid")
        chain_ = await found(scene, "a")
        assert [(each.flow.id, each.step and each.step.key) for each in chain_] == [
            ("a", "mid"),
            ("a/mid", "low"),
            ("a/mid/low", "pay"),
        ]

    run(scenario(Scene()))


def test_failure_of_a_child_that_is_gone_ends_with_the_parent() -> None:
    async def scenario(scene: Scene) -> None:
        await failed(scene, "a", error(), child("mid", "a/mid", error()))
        (only,) = await found(scene, "a")
        assert only.step is not None
        assert only.step.child == "a/mid"

    run(scenario(Scene()))


def wrapped(outer: str, cause: str) -> str:
    return json.dumps({**json.loads(error(outer)), "cause": json.loads(error(cause))})


STOPPED = StepStopped("late", START, "d", "late", "{}", 1, START, "w1")


@pytest.mark.parametrize(
    ("text", "key"),
    [(error("KeyError"), "first"), (wrapped("RuntimeError", "OSError"), "second"), (error("RuntimeError"), None)],
    ids=["its own error", "a cause of it", "the flow's own code"],
)
def test_failing_step_is_the_one_whose_error_the_flow_ended_with(text: str, key: str | None) -> None:
    async def scenario(scene: Scene) -> None:
        first, second = ended("first", None, error("KeyError")), ended("second", None, error("OSError"))
        await failed(scene, "a", text, [first, second, STOPPED])
        step_ = failing_step(await scene.view("a"))
        assert (step_ and step_.key) == key

    run(scenario(Scene()))


def test_of_several_steps_with_the_same_error_the_last_is_the_failing_one() -> None:
    async def scenario(scene: Scene) -> None:
        await failed(scene, "a", error(), [ended(f"try{n}", None, error()) for n in range(3)])
        step_ = failing_step(await scene.view("a"))
        assert step_ is not None
        assert step_.key == "try2"

    run(scenario(Scene()))


def test_chain_of_an_error_goes_from_it_to_its_first_cause() -> None:
    async def scenario(scene: Scene) -> None:
        await failed(scene, "a", wrapped("RuntimeError", "OSError"), [])
        view = await scene.view("a")
        assert [each.type for each in chain(view.error)] == ["RuntimeError", "OSError"]

    run(scenario(Scene()))


# --- what was recorded in which life, and as whose
async def steps_of(entries: Sequence[Entry]) -> tuple[Any, dict[str, StepView]]:
    scene = Scene()
    await scene.place("b", Status.WAITING, [STARTED, *entries])
    view = await scene.view("b")
    return view, {each.key: each for each in view.steps}


def test_idempotency_keys_carry_the_epoch_of_the_step() -> None:
    async def scenario() -> None:
        kept = Retried("", START, 2, 2, 1, True, START)
        anew = Continued("", START, 3, 2, "{}")
        view, steps = await steps_of([ended("pay"), kept, ended("pay"), anew, ended("pay")])
        keys = {key: view.idempotency_key(each) for key, each in steps.items()}
        assert keys == {
            "pay": "b:1:pay",
            "retried~2": None,
            "pay~2": "b:1:pay",
            "continued~3": None,
            "pay~3": "b:2:pay",
        }

    run(scenario())


def test_steps_a_fork_took_over_have_the_idempotency_keys_of_the_flow_they_ran_in() -> None:
    async def scenario() -> None:
        first, second = Forked("", START, 2, 1, "a", 2), Forked("", START, 3, 1, "fork", 4)
        view, steps = await steps_of([ended("pay"), first, ended("ship"), second, ended("mail")])
        keys = [(steps[key].ran_in, view.idempotency_key(steps[key])) for key in ("pay", "ship~2", "mail~3")]
        assert keys == [("a", "a:1:pay"), ("fork", "fork:1:ship"), (None, "b:1:mail")]

    run(scenario())


def test_idempotency_key_shown_is_the_one_that_the_body_was_given() -> None:
    with_key = step(_key)

    @flow
    async def told() -> str:
        return await with_key()

    async def scenario() -> None:
        async with rig(told) as made:
            given = await made.result(told(), "f")
            scene = Scene(made.store)
            view = await scene.view("f")
            assert view.idempotency_key(view.steps[0]) == given

    virtual(scenario)


async def _key() -> str:
    return step_info().idempotency_key
