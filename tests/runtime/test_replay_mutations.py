"""Replays of edited code: each edit of edits/ is found, named rightly, at its own line; harmless ones are not."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.definitions import FlowDefinition, registry
from ergon_runtime.histories import FlowHistory, read_history
from ergon_runtime.replay import ReplayReport, replay_history
from tests.runtime.edits.added import ADDED
from tests.runtime.edits.changed import CHANGED
from tests.runtime.edits.columns import COLUMNS
from tests.runtime.edits.ended import ENDED
from tests.runtime.edits.flows import HEAD
from tests.runtime.edits.harmless import HARMLESS
from tests.runtime.edits.removed import REMOVED
from tests.runtime.edits.replaced import REPLACED
from tests.runtime.edits.table import Harmless, Mode, Mutation
from tests.runtime.rigs import rig, virtual

MARK = "# here"
MUTATIONS = [*ADDED, *REMOVED, *REPLACED, *CHANGED, *ENDED]
numbers = itertools.count(1)


@contextmanager
def loaded(source: str, folder: Path) -> Iterator[Path]:
    """The source as a module of its own, whose flows are the only ones registered."""
    name = f"edited_{next(numbers)}"
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with registry.isolated():
            spec.loader.exec_module(module)
            yield path
    finally:
        del sys.modules[name]


def flows() -> list[FlowDefinition]:
    return [found for name in ("main", "parcel", "crate") if (found := registry.get(name, None)) is not None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("edited")


def stands_there(row: FlowRow, mode: Mode) -> bool:
    return row.status.ended if mode != "waits" else "signal:go" in {wait.channel for wait in row.waits}


@cache
def recorded(flow: str, mode: Mode, mail: tuple[str, ...], folder: Path) -> FlowHistory:
    """The history of a flow that ran once, until it waits for `go` or to its end."""

    async def scenario() -> FlowHistory:
        async with rig(*flows()) as made:
            main = flows()[0]
            handle = await made.scheduler.schedule(main.value(n=1), id="f")
            for name in (*mail, *(["go"] if mode == "ends" else [])):
                await handle.signal(name, 5)
            if mode == "cancelled":
                while not stands_there(await made.row(), "waits"):
                    await asyncio.sleep(0.01)
                await handle.cancel()
            while not stands_there(await made.row(), mode):
                await asyncio.sleep(0.01)
            return await read_history(made.store, await made.row())

    with loaded(HEAD + flow, folder):
        return virtual(scenario)


def replayed(history: FlowHistory, *, check_result: bool = False) -> ReplayReport:
    async def scenario() -> ReplayReport:
        return await replay_history(history, registry.get, check_result=check_result)

    return virtual(scenario)


CASES = [pytest.param(case, mode, id=f"{case.name}, {mode}") for case in MUTATIONS for mode in case.modes]


@pytest.mark.parametrize(("case", "mode"), CASES)
def test_replay_of_an_edit_names_its_kind_both_sides_and_the_line(case: Mutation, mode: Mode, folder: Path) -> None:
    history = recorded(case.flow, mode, case.mail, folder)
    source = edited(case)
    with loaded(source, folder) as path:
        report = replayed(history, check_result=case.check_result)
    assert report.difference == case.difference, report
    assert (report.key, report.recorded, report.current[0]) == (case.key, case.recorded, case.current)
    assert case.says in ("", report.message)
    (line,) = [n for n, text in enumerate(source.splitlines(), 1) if MARK in text]
    assert (report.where, report.lines[0]) == (f"{path}:{line}", f"{path}:{line}")
    check_columns(report, history.row.status)
    if (columns := COLUMNS.get(f"{case.name}, {mode}")) is not None:
        assert drawn(report) == [line.strip() for line in columns.strip().splitlines()]


def test_what_a_history_from_a_file_waits_for_is_known_by_its_note(folder: Path) -> None:
    (case,) = [each for each in MUTATIONS if each.name == "the last step removed"]
    history = recorded(case.flow, "waits", (), folder)
    with loaded(edited(case), folder):
        report = replayed(replace(history, row=replace(history.row, waits=())))
        unknown = replayed(replace(history, row=replace(history.row, waits=(), note=None)))
    assert (report.difference, unknown.difference) == ("missing", "step")


FLOWS = sorted({(case.flow, mode, case.mail) for case in MUTATIONS for mode in case.modes})


@pytest.mark.parametrize(("flow", "mode", "mail"), FLOWS, ids=[f"{n}, {each[1]}" for n, each in enumerate(FLOWS)])
def test_whatever_entry_is_not_where_it_was_the_difference_and_the_line_are_named(
    flow: str, mode: Mode, mail: tuple[str, ...], folder: Path
) -> None:
    history = recorded(flow, mode, mail, folder)
    found: set[str | None] = set()
    with loaded(HEAD + flow, folder):
        for entries in damaged(history.entries):
            row = replace(history.row, length=history.row.base + len(entries))
            report = replayed(replace(history, entries=entries, row=row))
            if report.verdict == "same":
                continue  # a marker, or the last that is known of a flow that waits
            found.add(report.difference)
            assert report.where is not None, report
            assert [row.equal for row in report.rows].count(False) >= 1
    assert None not in found
    assert found


def damaged(entries: tuple[bytes, ...]) -> Iterator[tuple[bytes, ...]]:
    """The journal with an entry left out, twice there, or exchanged with the next one."""
    for n in range(1, len(entries)):
        yield entries[:n] + entries[n + 1 :]
        yield entries[:n] + entries[n : n + 1] + entries[n:]
        yield entries[:n] + entries[n : n + 2][::-1] + entries[n + 2 :]


HARMLESS_CASES = [pytest.param(case, mode, id=f"{case.name}, {mode}") for case in HARMLESS for mode in case.modes]


@pytest.mark.parametrize(("case", "mode"), HARMLESS_CASES)
def test_replay_of_a_harmless_edit_is_same(case: Harmless, mode: Mode, folder: Path) -> None:
    history = recorded(case.flow, mode, case.mail, folder)
    with loaded(edited(case), folder):
        report = replayed(history, check_result=case.check_result)
    assert (report.verdict, report.message) == ("same", None)
    assert (report.difference, report.rows, report.fixes) == (None, (), ())
    assert report.position == report.total > 0


def edited(case: Mutation | Harmless) -> str:
    """The source after the edit. Each text to replace is there once."""
    for text, (old, new) in ((case.flow, (case.old, case.new)), (HEAD, case.head)):
        assert not old or text.count(old) == 1
        assert old != new or not old
    return HEAD.replace(*case.head) + case.flow.replace(case.old, case.new)


def drawn(report: ReplayReport) -> list[str]:
    return [
        f"{row.position or ''} {'=' if row.equal else '!'} {row.recorded or '-'} | {row.current or '-'}".strip()
        for row in report.rows
    ]


def check_columns(report: ReplayReport, status: Status) -> None:
    """The rows agree up to the first difference, which stands where the report says."""
    first = next(n for n, row in enumerate(report.rows) if not row.equal)
    assert [row.recorded for row in report.rows[:first]] == list(report.delivered[-3:])
    assert not any((report.recorded or "").startswith(f"{said} =") for said in report.delivered)
    row = report.rows[first]
    assert report.recorded in (row.recorded, None) or report.current[0] == row.current
    assert row.current != report.current[0] or row.where == report.where
    assert len(report.rows) <= first + 5
    assert len(report.fixes) >= 2
    adopt = "for this flow alone, once it is blocked, take the code as it is: ergon retry f --adopt"
    assert (adopt in report.fixes) is (not status.ended and report.difference != "result")
