"""What is in a store is data: reading it loads and runs nothing; and commands load only what they were told to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import Shop, shop

FLOWS = """
from ergon_runtime import flow, step

class Boom(Exception): ...

@step
async def told(text: str) -> str: return text

@flow
async def hooked_flow(text: str):
    await told(text)
    raise Boom(text)
"""
EVIL = "open('evil.was.here', 'w').close()\nclass Boom(Exception): ...\n"
LOOKING = (
    *("list", "list --json", "inspect f1", "inspect f1 --view error", "export f1 -o out.jsonl", "import out.jsonl"),
    *("retry f1 --dry-run", "fork f1 --from told --dry-run", "signal go 1", "cancel f1"),
    "store copy sqlite:///ergon.db sqlite:///c.db",
)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Shop]:
    """A folder with modules that nobody names beside the one that is named, and a failed flow."""
    (tmp_path / "named.py").write_text(FLOWS)
    for name in ("evil", "other", "flows", "conftest", "sitecustomize_not"):
        (tmp_path / f"{name}.py").write_text(EVIL)
    with shop(tmp_path, PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1") as made:
        made.run("schedule", "hooked_flow", "-a", "text=evil:Boom", "--id", "f1", "-m", "named.py")
        made.run("worker", "--burst", "-m", "named.py")
        yield made


def hooked(here: Shop, *args: str, seed: str = "0") -> Any:
    place = here.place()
    place["env"] |= {"PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.hooked", *args],
        **place,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_decoding_hostile_texts_loads_opens_and_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text(EVIL)
    assert hooked(Shop(tmp_path), "decode") == []
    assert not (tmp_path / "evil.was.here").exists()


def test_commands_that_look_load_no_module_of_the_folder(here: Shop) -> None:
    assert hooked(here, "cli", *LOOKING) == []


def test_commands_that_run_code_load_the_named_module_alone(here: Shop) -> None:
    seed = str(json.loads(here.run("export", "f1").stdout)["hash_seed"])
    lines = ("replay f1 -m named.py", "replay f1 --stack -m named.py", "schedule hooked_flow -a text=x -m named.py")
    assert hooked(here, "cli", *lines, "worker --burst -m named.py", seed=seed) == ["named.py"]
    assert not (here.folder / "evil.was.here").exists()
