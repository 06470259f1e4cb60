"""The package's names: written three times, loaded when first asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ergon_runtime

SOURCE = Path(ergon_runtime.__file__)


def test_names_declared_listed_and_found_are_the_same() -> None:
    blocks = [node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If)]
    declared = [
        f"{statement.module}.{name.name}"
        for statement in blocks[0].body
        if isinstance(statement, ast.ImportFrom)
        for name in statement.names
    ]
    found = {name: getattr(ergon_runtime, name) for name in ergon_runtime.__all__}
    assert sorted(declared) == sorted(f"ergon_runtime.{home}.{name}" for name, home in ergon_runtime._HOMES.items())
    assert sorted(found) == sorted(ergon_runtime._HOMES)
    assert {"flow", "Worker", "open_store"} <= set(dir(ergon_runtime))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'stap'"):
        _ = ergon_runtime.stap  # type: ignore[attr-defined]  # that is the point


def test_package_alone_loads_nothing_heavy() -> None:
    assert loaded("import ergon_runtime") == "[]"


def test_store_addresses_load_no_store() -> None:
    assert loaded("from ergon_runtime.stores import open_store, parse; parse('redis://host')") == "[]"


def test_opened_store_loads_its_own_kind_alone() -> None:
    opening = "import asyncio; from ergon_runtime import open_store; asyncio.run(open_store('memory://').__aenter__())"
    assert loaded(opening) == "['asyncio']"


def loaded(code: str) -> str:
    """The heavy modules that are loaded after this code, in a new process."""
    look = f"{code}; import sys; print(sorted({{'pydantic', 'asyncio', 'redis', 'sqlite3'}} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", look], cwd=SOURCE.parents[1], capture_output=True, text=True, check=True
    )
    return run.stdout.strip()
