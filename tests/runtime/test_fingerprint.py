"""What counts as the code of a worker: a change to it frees the flows that diverged under the old one (P4)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ergon_runtime.definitions import FlowDefinition, flow, flow_definition, registry
from ergon_runtime.fingerprint import fingerprint


@pytest.fixture
def flows() -> Iterator[list[FlowDefinition]]:
    with registry.isolated():

        @flow
        async def pay() -> None: ...

        yield [flow_definition(pay)]


@pytest.fixture
def prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module beside that of the flow types, in no package of theirs."""
    return loaded("prices", tmp_path / "prices.py", monkeypatch)


def loaded(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("PRICE = 1\n")
    module = ModuleType(name)
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, name, module)
    return path


def test_fingerprint_of_unchanged_code_stays(flows: list[FlowDefinition], prices: Path) -> None:
    assert fingerprint(flows) == fingerprint(flows)


def test_fingerprint_follows_a_module_that_flow_code_uses_and_comes_back_with_it(
    flows: list[FlowDefinition], prices: Path
) -> None:
    before = fingerprint(flows)
    prices.write_text("PRICE = 2\n")
    assert fingerprint(flows) != before
    prices.write_text("PRICE = 1\n")
    assert fingerprint(flows) == before


def test_fingerprint_leaves_installed_libraries_out(
    flows: list[FlowDefinition], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = loaded("somebodys", tmp_path / "site" / "somebodys.py", monkeypatch)
    monkeypatch.setattr("ergon_runtime.fingerprint._LIBRARIES", (f"{tmp_path / 'site'}/",))
    before = fingerprint(flows)
    library.write_text("PRICE = 2\n")
    assert fingerprint(flows) == before


def test_fingerprint_tells_settings_apart(flows: list[FlowDefinition]) -> None:
    assert fingerprint(flows, 1) != fingerprint(flows, 2)
