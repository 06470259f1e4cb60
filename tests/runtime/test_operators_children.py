"""The children of a flow that a person ends: all of them, however many there are."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ergon_runtime.core.flows import Status
from ergon_runtime.operators import children
from tests.stores.harness import Bench, Clock, make_store, new


@pytest.mark.parametrize("page", [1, 2, 5, 6])
def test_k4_all_children_that_have_not_ended_are_found_in_pages(
    page: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "CHILDREN", page)

    async def main() -> None:
        clock = Clock()
        bench = Bench(make_store("memory", tmp_path, clock), clock)
        held = await bench.begin("p")
        await held.commit(creates=tuple(new(f"p/{n}", parent="p") for n in range(5)))
        await (await bench.take("p/2")).end(status=Status.CANCELLED)
        assert sorted(await children.live_children(bench.store, "p")) == ["p/0", "p/1", "p/3", "p/4"]

    asyncio.run(main())
