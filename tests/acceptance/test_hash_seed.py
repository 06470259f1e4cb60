"""Workers and replays take over the hash seed of their store, whatever seed they were started under (L8)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from ergon_runtime import open_store
from tests.acceptance.processes import shop

FLOWS = """
from ergon_runtime import flow, step

@step
async def same(text: str) -> str:
    return text

@flow
async def ordered() -> list[str]:
    return [await same(text) for text in {str(n) for n in range(50)}]
"""
ORDER = "import json; print(json.dumps(list({str(n) for n in range(50)})))"


async def seed_of(url: str) -> str:
    async with open_store(url) as store:
        return (await store.identity()).hash_seed


def order_under(seed: str) -> object:
    environ = os.environ | {"PYTHONHASHSEED": seed}
    return json.loads(
        subprocess.run([sys.executable, "-c", ORDER], env=environ, capture_output=True, check=True).stdout
    )


def test_l8_worker_and_replay_run_under_the_seed_of_their_store(tmp_path: Path) -> None:
    (tmp_path / "flows.py").write_text(FLOWS)
    seed = asyncio.run(seed_of(f"sqlite:///{tmp_path}/ergon.db"))
    with shop(tmp_path, PYTHONHASHSEED=str((int(seed) + 1) % 2**32)) as here:
        here.run("schedule", "ordered", "--id", "f")
        here.run("worker", "--burst")
        assert here.json("inspect", "f")["result"] == order_under(seed)
        here.run("replay", "f")
