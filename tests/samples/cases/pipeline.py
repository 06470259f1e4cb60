"""Cases of sample_flows/pipeline.py, checked against numpy without any flow."""

from __future__ import annotations

from typing import Any

import numpy as np

from sample_flows.pipeline import pipeline
from tests.samples.cases import Case


def is_summary(found: Any) -> bool:
    matrices = [np.random.default_rng(batch).standard_normal((8, 8)) for batch in range(3)]
    values = np.concatenate([np.linalg.svd(m - m.mean(axis=0), compute_uv=False) for m in matrices])
    return found["batches"] == 3 and np.allclose((found["largest"], found["mean"]), (values.max(), values.mean()))


CASES = [
    Case(
        "pipeline whose second batch fails twice",
        "sample_flows.pipeline",
        lambda: pipeline(size=8),
        ("pipeline", "-a", "size=8"),
        result=is_summary,
        steps={"measure": 3, "centre": 3, "decompose": 5, "summarise": 1},
    ),
]
