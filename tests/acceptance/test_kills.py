"""kill -9 at random instants while a folder is indexed: the report is right, and no completed step runs again.

ERGON_TEST_KILLS says how many kills; `make kills KILLS=50` sets it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.processes import ROOT, Shop, shop, until
from tests.seed.places import address

KILLS = int(os.environ.get("ERGON_TEST_KILLS", "6"))
FILES = 250 * KILLS


@pytest.fixture(params=["sqlite", "redis"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    environ = {
        "ERGON_STORE": address(request.param, tmp_path),
        "ERGON_LEDGER": str(tmp_path / "ledger"),
        "ERGON_MODULES": str(ROOT / "sample_flows/index_files.py"),
        "ERGON_DELAY": "0.02",
    }
    with shop(tmp_path, **environ) as made:
        yield made


def make_files(folder: Path) -> None:
    draw = random.Random(1)
    for n in range(FILES):
        path = folder / f"d{n % 7}" / f"file-{n}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\n".join(draw.randbytes(30) for _ in range(draw.randrange(20))))


def completed_keys(here: Shop) -> set[str]:
    """The steps that the journal holds a result of."""
    steps = here.json("inspect", "index")["steps"]
    return {step["key"] for step in steps if step["kind"] == "step" and step["status"] == "completed"}


def effects(here: Shop) -> Counter[str]:
    path = here.folder / "ledger"
    lines = path.read_text().splitlines() if path.exists() else []
    return Counter(line.split()[1] for line in lines)


@pytest.mark.timeout(60 + 6 * KILLS)
def test_index_killed_at_random_instants_is_right_and_repeats_no_completed_step(here: Shop) -> None:
    folder = here.folder / "files"
    make_files(folder)
    here.run("schedule", "index_files", "-a", f"folder={folder}", "-a", "batch=5", "--id", "index")
    draw, frozen, unfinished = random.Random(50), dict[str, int](), 0
    for _ in range(KILLS):
        worker = here.worker("--lease", "500ms")
        until(lambda seen=worker: "worker" in seen.text())
        time.sleep(draw.random() * 0.9)  # the instant of the kill is what is random here
        worker.kill()
        counts = effects(here)
        unfinished += len(counts) < FILES
        for key in completed_keys(here):
            assert frozen.setdefault(key, counts[key]) == counts[key], f"{key} ran again after it was recorded"
    assert here.worker("--burst", "--lease", "500ms").end(120) == 0
    shown = here.json("inspect", "index")
    assert shown["status"] == "completed", shown["why"]
    final = effects(here)
    assert all(final[key] == n for key, n in frozen.items())
    assert unfinished > KILLS // 2, "the index was done before most of the kills: make it longer"
    repeated = sum(final.values()) - len(final)
    print(f"{KILLS} kills, {unfinished} amid the work; {len(final)} steps, {repeated} effects repeated, none recorded")
    report = {entry["path"]: entry for entry in json.loads(json.dumps(shown["result"]))["files"]}
    assert len(report) == FILES
    for path in folder.rglob("*.txt"):
        data, entry = path.read_bytes(), report[str(path.relative_to(folder))]
        found = (entry["sha256"], entry["size"], entry["lines"])
        assert found == (hashlib.sha256(data).hexdigest(), len(data), data.count(b"\n"))
