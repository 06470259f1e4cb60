"""--all and its filters: which flows they take, in which order, and what does not go together."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Annotated

import pytest
import typer

from ergon_cli.exits import CommandError
from ergon_cli.options import State, shared
from ergon_cli.selecting import Selection, selecting
from ergon_runtime import Status
from ergon_runtime.core.entries import Outcome
from tests.runtime.views import STARTED, Scene, error

HOUR = 3_600_000


async def failed(scene: Scene, flow: str, type_: str = "ValueError") -> None:
    await scene.place(flow, Status.FAILED, [STARTED], outcome=Outcome(Status.FAILED, error=error(type_)))


async def placed() -> Scene:
    """Flows of an hour's distance, oldest first, and the clock an hour after the last."""
    scene = Scene()
    for flow, type_ in (("a", "ValueError"), ("b", "TimeoutError"), ("c", "TimeoutError"), ("d", "OSError")):
        await failed(scene, flow, type_)
        scene.now += HOUR
    await scene.place("done", Status.COMPLETED, [STARTED], outcome=Outcome(Status.COMPLETED, "1"))
    await scene.place("stuck", Status.BLOCKED, [STARTED], note={"kind": "stuck", "message": "?"})
    scene.now += HOUR
    return scene


def chosen(selection: Selection, draw: Random | None = None) -> list[str]:
    async def walk() -> list[str]:
        scene = await placed()
        return [row.id async for row in selection.flows(scene.store, draw)]

    return asyncio.run(walk())


@pytest.mark.parametrize(
    ("selection", "flows"),
    [
        (Selection(), ["stuck", "done", "d", "c", "b", "a"]),
        (Selection(statuses=(Status.FAILED,)), ["d", "c", "b", "a"]),
        (Selection(types=("other",)), []),
        (Selection(errors=("TimeoutError", "OSError")), ["d", "c", "b"]),
        (Selection(since=3 * HOUR), ["stuck", "done", "d", "c"]),
        (Selection(before=3 * HOUR), ["c", "b", "a"]),
        (Selection(since=4 * HOUR, before=3 * HOUR), ["c", "b"]),
        (Selection(statuses=(Status.FAILED,), limit=2), ["d", "c"]),
        (Selection(sample=10), ["stuck", "done", "d", "c", "b", "a"]),
        (Selection().among([Status.BLOCKED]), ["stuck"]),
        (Selection(statuses=(Status.COMPLETED,)).among([Status.BLOCKED]), ["done"]),
    ],
)
def test_filters_take_what_matches_all_of_them(selection: Selection, flows: list[str]) -> None:
    assert chosen(selection) == flows


def test_sample_takes_each_flow_alike_and_keeps_the_order() -> None:
    every = chosen(Selection())
    draw, counts = Random(7), dict.fromkeys(every, 0)
    for _ in range(300):
        drawn = chosen(Selection(sample=2), draw)
        assert drawn == [flow for flow in every if flow in drawn]
        assert len(drawn) == 2
        for flow in drawn:
            counts[flow] += 1
    assert all(70 <= count <= 130 for count in counts.values()), counts  # 100 each, with this seed


def test_error_that_nobody_has_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen(Selection(errors=("TimeOutError",))) == []
    assert capsys.readouterr().err == "no flow failed with TimeOutError; did you mean: TimeoutError\n"
    assert chosen(Selection(errors=("Zzz",))) == []
    assert capsys.readouterr().err == "no flow failed with Zzz; there are: OSError, TimeoutError, ValueError\n"


def test_result_that_cannot_be_read_has_no_error() -> None:
    async def walk() -> list[str]:
        scene = Scene()
        await scene.place("odd", Status.FAILED, [STARTED], outcome=Outcome(Status.FAILED, error='{"no": "error"}'))
        return [row.id async for row in Selection(errors=("ValueError",)).flows(scene.store)]

    assert asyncio.run(walk()) == []


@pytest.mark.parametrize(
    ("selection", "ids", "said"),
    [
        (Selection(every=True), ["a"], "give flow ids or --all, not both"),
        (Selection(), None, "which flows?"),
        (Selection(statuses=(Status.FAILED,), limit=1), ["a"], "--status and --limit go with --all"),
        (Selection(sample=1), ["a"], "--sample goes with --all"),
        (Selection(every=True, sample=1, limit=1), None, "--limit and --sample both say how many"),
        (Selection(every=True, statuses=(Status.BLOCKED,), errors=("E",)), None, "--error goes with --status failed"),
        (Selection(every=True, since=1, before=1), None, "no flow is younger than --since and older than --before"),
    ],
)
def test_what_does_not_go_together_is_refused(selection: Selection, ids: list[str] | None, said: str) -> None:
    with pytest.raises(CommandError, match=said) as refused:
        selection.check(ids, "retry")
    assert refused.value.code == 2
    assert refused.value.hint


def test_command_that_selects_gets_its_selection_and_its_own_options() -> None:
    app, seen = typer.Typer(), list[object]()

    @app.command()
    @shared
    @selecting
    async def command(
        state: State, chosen: Selection, ids: Annotated[list[str] | None, typer.Argument()] = None, yes: bool = False
    ) -> None:
        seen.extend([state.json, chosen, ids, yes])

    words = "--all --status failed --flow A --flow B --error E --since 1d --before 1h --limit 3 --yes --json"
    typer.main.get_command(app).main(args=words.split(), standalone_mode=False)
    expected = Selection(True, (Status.FAILED,), ("A", "B"), ("E",), 24 * HOUR, HOUR, limit=3)
    assert seen == [True, expected, None, True]
