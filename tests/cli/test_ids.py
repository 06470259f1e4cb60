"""Flow ids as people shorten them."""

from __future__ import annotations

import asyncio

import pytest

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.ids import resolve
from tests.runtime.views import Scene


def resolved(part: str, *flows: str) -> str:
    """What a part means in a store of these flows; those with a slash are children."""

    async def scenario() -> str:
        scene = Scene()
        for flow in flows:
            await scene.create(flow, parent=flow.rpartition("/")[0] or None)
        return (await resolve(scene.store, part)).id

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("part", "flows", "means"),
    [
        ("A-17", ["A-17", "A-171"], "A-17"),
        ("17", ["A-17", "B-2"], "A-17"),
        ("17", ["A-17", "A-17/ship", "A-17/ship/label"], "A-17"),
        ("ship", ["A-17", "A-17/ship", "A-17/ship/label"], "A-17/ship"),
        ("pruned", ["pruned/ship"], "pruned/ship"),
    ],
)
def test_part_that_one_flow_has_means_that_flow(part: str, flows: list[str], means: str) -> None:
    assert resolved(part, *flows) == means


def test_part_of_several_ids_is_a_usage_error_that_names_them() -> None:
    with pytest.raises(CommandError) as caught:
        resolved("A", "A-1", "A-2")
    assert caught.value.code is ExitCode.USAGE
    assert "A-1" in caught.value.message
    assert "A-2" in caught.value.message


@pytest.mark.parametrize("part", ["x", "", "%"])
def test_part_of_no_id_is_not_found(part: str) -> None:
    with pytest.raises(CommandError) as caught:
        resolved(part, "A-1")
    assert caught.value.code is ExitCode.NOT_FOUND
