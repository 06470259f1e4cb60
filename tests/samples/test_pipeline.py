"""The pipeline of sample_flows/pipeline.py: what a child flow keeps when it is tried again; how arrays are stored."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from ergon_runtime import Executor, open_store
from ergon_runtime.core.entries import Retried, StepEnded
from sample_flows.pipeline import pipeline
from tests.samples.running import journal


def test_batch_that_fails_twice_is_centred_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_store(f"sqlite:///{tmp_path}/ergon.db") as store:
            summary = await Executor(pipeline(size=8), store, id="p").run()
            assert summary.batches == 3
            tried = {}
            for child in ("p/spectrum", "p/spectrum#2", "p/spectrum#3"):
                entries = await journal(store, child)
                ends = [entry.name for entry in entries if isinstance(entry, StepEnded)]
                tried[child] = ends, sum(isinstance(entry, Retried) for entry in entries)
            once = ["centre", "decompose"], 0
            assert tried == {
                "p/spectrum": once,
                "p/spectrum#2": (["centre", "decompose", "decompose", "decompose"], 2),
                "p/spectrum#3": once,
            }

    asyncio.run(asyncio.wait_for(main(), 60))


def test_arrays_are_stored_as_data_that_is_read_without_pickle(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_store(f"sqlite:///{tmp_path}/ergon.db") as store:
            await Executor(pipeline(batches=1, size=4), store, id="p").run()
            measured = next(e for e in await journal(store, "p") if isinstance(e, StepEnded) and e.name == "measure")
            assert measured.value is not None
            assert measured.value.startswith('{"$ndarray":')
            assert np.float64(0).dtype.str in measured.value

    asyncio.run(asyncio.wait_for(main(), 60))
