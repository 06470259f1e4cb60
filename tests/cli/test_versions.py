"""Versions of one flow type at the command line: which is scheduled, who serves it, what is said when nobody does."""

from __future__ import annotations

import sys

import pytest

from ergon_runtime import registry
from tests.cli.shell import Shell, in_store

GREET = """
from ergon_runtime import flow

@flow(name="hail", version="{version}")
async def hail_{version}(name: str) -> str:
    return "{version} " + name
"""


@pytest.fixture
def hailing(ergon: Shell, flows: None, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A folder with each version in a module of its own, and a flow of each."""
    for version in ("v1", "v2"):
        (ergon.folder / f"{version}.py").write_text(GREET.format(version=version))
    monkeypatch.setenv("PYTHONHASHSEED", in_store(lambda store: _seed(store)))
    both = ("-m", "v1", "-m", "v2")
    assert ergon("schedule", "hail", "-a", "name=x", "--id", "new", *both) == 0
    assert ergon.err == "no live worker serves hail version v2; start one: ergon worker -m v1 -m v2\n"
    assert ergon("schedule", "hail", "-a", "name=x", "--id", "old", "--version", "v1", *both) == 0
    assert "serves hail version v1" in ergon.err
    return ergon


async def _seed(store: object) -> str:
    seed: str = (await store.identity()).hash_seed  # type: ignore[attr-defined]  # a Store
    return seed


def test_worker_of_one_version_leaves_the_other_and_list_and_inspect_name_what_is_missing(hailing: Shell) -> None:
    del sys.modules["v2"]
    with registry.isolated():  # as in a process of its own
        assert hailing("worker", "--burst", "-m", "v2") == 0
    assert hailing.err.splitlines()[0].endswith(" · flows hail@v2")
    assert hailing("list") == 0
    rows = {row[0]: row for row in hailing.rows}
    assert rows["new"][2] == "completed"
    assert rows["old"][4].endswith("no live worker serves hail version v1")
    assert hailing("inspect", "old") == 0
    assert "no live worker serves hail version v1\n" in hailing.out
    assert "fix\tergon worker -m MODULE\n" in hailing.out
    assert hailing("inspect", "old", "--json") == 0
    assert [hailing.json[0]["why"][name] for name in ("kind", "type", "version")] == ["no_worker", "hail", "v1"]


def test_worker_of_both_versions_runs_each_on_its_own_code(hailing: Shell) -> None:
    assert hailing("worker", "--burst", "-m", "v1", "-m", "v2") == 0
    results: list[object] = []
    for flow in ("old", "new"):
        assert hailing("inspect", flow, "--json") == 0
        results.append(hailing.json[0]["result"])
    assert results == ["v1 x", "v2 x"]


def test_version_that_no_module_has_is_refused_with_those_that_there_are(hailing: Shell) -> None:
    assert hailing("schedule", "hail", "-a", "name=x", "--version", "v3", "-m", "v1", "-m", "v2") == 3
    assert hailing.err == "error: flow hail has no version 'v3'\n  there is: v1, v2\n"
