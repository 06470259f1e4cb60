"""What each command loads. Most of the time that a short command takes goes into modules, so none loads what it does
not need. Each command line runs in a process of its own, which then names what it has loaded.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shell import FLOWS

ROOT = Path(__file__).parents[2]
NEVER = {
    *("redis", "hiredis", "ergon_runtime.stores.redis.store", "ergon_runtime.stores.memory"),
    *("rich", "numpy", "cryptography", "multiprocessing", "ergon_runtime.testing"),
    *("http.client", "http.server", "urllib.request", "fastapi", "starlette", "uvicorn", "httpx"),
    *("opentelemetry", "prometheus_client"),
}
"""Not on a SQLite store, while stdout is no terminal."""
LOOKING = NEVER | {
    *("pydantic", "importlib.metadata", "email"),
    *("ergon_runtime.worker", "ergon_runtime.runner", "ergon_runtime.client", "ergon_runtime.definitions"),
    *("ergon_runtime.core.machine", "ergon_runtime.core.loop", "ergon_runtime.codec.tagged"),
    *("ergon_runtime.replay", "ergon_runtime.audit", "ergon_runtime.histories"),
}
"""Not by commands that run no flow code and read no hints."""
HELPING = LOOKING | {"sqlite3", "aiosqlite", "ergon_runtime.stores", "ergon_runtime.core", "ergon_runtime.view"}
VERSION = HELPING | {"typer", "asyncio", "json", "logging", "dataclasses", "ergon_runtime", "argparse", "subprocess"}

NAME_THEM = """
import sys
from ergon_cli.app import main
code = main(sys.argv[1:])
print(code, *sys.modules, file=open("loaded", "w"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a flow waits in a store."""
    place = tmp_path_factory.mktemp("imports")
    (place / "flows.py").write_text(FLOWS)
    assert loaded(place, "schedule", "greet", "-a", "name=x", "--id", "one") >= {
        "pydantic",
        "ergon_runtime.definitions",
    }
    return place


def loaded(folder: Path, *args: str) -> set[str]:
    """The modules that are loaded after a command line."""
    command = [sys.executable, "-c", NAME_THEM, *args]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=60
    )
    code, *modules = (folder / "loaded").read_text().split()
    assert code == "0", done.stderr
    return set(modules)


@pytest.mark.parametrize(
    ("args", "banned"),
    [
        (["--version"], VERSION),
        (["--help"], HELPING),
        (["list"], LOOKING),
        (["list", "--json", "-n", "5"], NEVER),  # Typer reads a number with pydantic
        (["list", "--help"], LOOKING),
        (["inspect", "one"], LOOKING),
        (["signal", "name", '{"some": [1, "payload"]}'], LOOKING),
        (["schedule", "greet", "-a", "name=x", "--id", "one"], NEVER),
        (["cancel", "one"], LOOKING - {"ergon_runtime.core.machine", "ergon_runtime.core.loop"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_command_loads_nothing_that_it_does_not_need(folder: Path, args: list[str], banned: set[str]) -> None:
    assert json.dumps(sorted(loaded(folder, *args) & banned)) == "[]"
