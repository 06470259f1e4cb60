"""The table of mutants stays true: every break applies, every rig exists, no rule of the store contract is left out. A
few are killed here; `python -m tests.mutants.run` kills them all."""

from __future__ import annotations

import ast
import re
import shlex

import pytest

from tests.mutants.all import everything
from tests.mutants.mutant import ROOT, TABLE, Copy, Patch, SourceMutant
from tests.mutants.page import PAGE, text
from tests.mutants.rigs import judge

CONTRACT = (
    "R1",
    "R2",
    "R3",
    "R4",
    "R5",
    "R6",
    "R7",
    "R8",
    "R9",
    "R10",
    "S1",
    "S2",
    "C1",
    "C3",
    "C4",
    "C5",
    "P2",
    "P6",
    "R17",
)
KEPT_BY = {
    "memory": ("memory", "rules"),
    "sqlite": ("sqlite", "sqlite_file", "rules"),
    "redis": ("redis", "redis_link"),
}
"""Per store, the files of breaks that concern it."""
EXEMPT = {("memory", "R8"), ("memory", "R10")}
"""It keeps Python's own objects, and only while the process lives."""
BY_NAME = {each.name: each for each in TABLE}


def test_every_break_applies_once_and_can_be_run() -> None:
    assert [said for each in TABLE if (said := wrong_with(each))] == []


def wrong_with(each: SourceMutant) -> str | None:
    """What keeps a mutant from being planted, if anything does."""
    broken: dict[str, str] = {}
    try:
        for patch in each.patches:
            before = broken.get(patch.file) or (ROOT / patch.file).read_text()
            broken[patch.file] = patch.applied(before)
            if broken[patch.file] == before:
                return f"{each.name} changes nothing in {patch.file}"
        for file, source in broken.items():
            if file.endswith(".py"):
                ast.parse(source)
    except (ValueError, OSError, SyntaxError) as error:
        return f"{each.name}: {error}"
    return None


def test_every_killer_is_there() -> None:
    words = {word for each in TABLE for word in shlex.split(each.killer) if word.startswith("tests/")}
    assert [word for word in sorted(words) if not is_there(word)] == []


def is_there(node: str) -> bool:
    """Whether a test file has the test that is named."""
    file, _, test = node.partition("::")
    name = re.split(r"::|\[", test)[0]
    return (ROOT / file).is_dir() or ((ROOT / file).is_file() and name in (ROOT / file).read_text())


def test_names_of_mutants_are_unique() -> None:
    names = [each.name for each in everything()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("store", KEPT_BY)
def test_every_rule_of_the_contract_is_broken_in_each_store(store: str) -> None:
    broken = {each.rule for each in TABLE if each.part in KEPT_BY[store]}
    assert [rule for rule in CONTRACT if rule not in broken and (store, rule) not in EXEMPT] == []


def test_page_is_that_of_the_table() -> None:
    assert PAGE.read_text() == text(), "write it anew: python -m tests.mutants.run --page"


# --- the rigs


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("copy"))


@pytest.mark.parametrize("name", ["sqlite_suspend", "redis_give_back", "core_keep"])
def test_mutant_is_killed_and_leaves_the_copy_as_it_was(copy: Copy, name: str) -> None:
    each = BY_NAME[name]
    with copy.broken(each):
        assert judge(copy.root, each.killer).kind == "killed"
    for patch in each.patches:
        assert (copy.root / patch.file).read_text() == (ROOT / patch.file).read_text()


def test_break_that_nobody_looks_for_survives(copy: Copy) -> None:
    with copy.broken(BY_NAME["redis_give_back"]):
        assert judge(copy.root, "tests/core/test_retry.py").kind == "survived"


def test_rig_that_cannot_run_kills_nothing(copy: Copy) -> None:
    assert judge(copy.root, "tests/core/test_nothing.py").kind == "broken"
    assert judge(copy.root, "tests.mutants.nothing").kind == "broken"


@pytest.mark.parametrize("text", ["", "old old"])
def test_patch_that_does_not_apply_once_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="say anew"):
        Patch("file", "old", "new").applied(text)


def test_checkout_itself_is_never_broken(copy: Copy) -> None:
    assert ROOT.resolve() not in copy.root.resolve().parents
