"""Numbers: a parent flow measures three matrices and has a child flow analyse each. Needs numpy: pip install numpy

Shows numpy arrays as arguments and results, plain `def` steps (they run in threads), a loop over child flows, and flow
retries that keep what succeeded: batch 1 finds no machine at its first two tries, and is not centred again for that.

    ergon worker -m sample_flows/pipeline.py
    ergon schedule pipeline -m sample_flows/pipeline.py --id numbers --wait
    ergon inspect numbers/spectrum#2

It prints {"batches": 3, "largest": ..., "mean": ...}: of all singular values, just as numpy computes them in one go.
The second child flow shows `attempt 3`, with `centre` tried once. An array is stored as it is, up to 2 MiB; pass larger
ones as the path of a file. Without a worker, here and now:

    ergon run pipeline -m sample_flows/pipeline.py -a batches=5
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ergon_runtime import RetryPolicy, flow, invoke, step, step_info

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    batches: int
    largest: float
    mean: float


@step
def measure(batch: int, size: int) -> Array:
    """Stands for an instrument."""
    return np.random.default_rng(batch).standard_normal((size, size))


@step
def centre(matrix: Array) -> Array:
    centred: Array = matrix - matrix.mean(axis=0)
    return centred


@step
def decompose(batch: int, matrix: Array) -> Array:
    if batch == 1 and step_info().flow_attempt <= 2:
        raise ConnectionError("no machine is free")
    return np.asarray(np.linalg.svd(matrix, compute_uv=False), np.float64)


@step
def summarise(spectra: list[Array]) -> Summary:
    values = np.concatenate(spectra)
    return Summary(len(spectra), float(values.max()), float(values.mean()))


@flow(retry=RetryPolicy(max_attempts=5, initial=0.05))
async def spectrum(batch: int, matrix: Array) -> Array:
    return await decompose(batch, await centre(matrix))


@flow
async def pipeline(batches: int = 3, size: int = 30) -> Summary:
    spectra: list[Array] = []
    for batch in range(batches):
        matrix = await measure(batch, size)
        spectra.append(await invoke(spectrum(batch, matrix)))
    return await summarise(spectra)
