"""`ergon replay`: run today's flow code over recorded journals. No step runs, nothing is written.

The process begins again under the store's hash seed first, so that sets iterate as they did for the workers (rule L8).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, assert_never

import typer

from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.hashseed import under_hash_seed
from ergon_cli.ids import resolve
from ergon_cli.loading import load_flows
from ergon_cli.options import State, shared
from ergon_cli.render import note, say, say_json, show_table
from ergon_cli.stores import existing_store
from ergon_runtime import Store, registry
from ergon_runtime.replay import ReplayReport, replay_flow

app = typer.Typer()
CONTEXT = 3
"""Completions shown before the one that differs."""
COLUMNS = ("#", "", "RECORDED", "CURRENT CODE")


@app.command("replay", epilog="Example: ergon replay A-17 -m flows")
@shared
async def replay(
    state: State, ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Flow ids, or unique parts of them.")]
) -> ExitCode:
    """Check that the flow code of today fits what is recorded. No step runs, nothing is written."""
    config = state.load()
    async with existing_store(config, read_only=True) as store:
        identity = await store.identity()
    under_hash_seed(identity.hash_seed)
    worst = ExitCode.OK
    async with existing_store(config, read_only=True) as store:
        load_flows(config, registry)
        for part in ids:
            try:
                report = await _replay(store, part)
            except CommandError as error:
                show_error(error, as_json=state.json)
                worst = max(worst, error.code)
                continue
            if state.json:
                say_json(report.to_json())
            else:
                _show(report)
            worst = max(worst, _code(report))
    return worst


async def _replay(store: Store, part: str) -> ReplayReport:
    row = await resolve(store, part)
    with contextlib.redirect_stdout(sys.stderr):  # what flow code prints is no data of ours
        return await replay_flow(store, row, registry.get)


def _code(report: ReplayReport) -> ExitCode:
    match report.verdict:
        case "same":
            return ExitCode.OK
        case "diverged" | "unreadable":
            return ExitCode.DIVERGED
        case "unserved":
            return ExitCode.NOT_FOUND
        case _:
            assert_never(report.verdict)


def _show(report: ReplayReport) -> None:
    version = f" version {report.version}" if report.version else ""
    name = f"{report.flow} {report.flow_id}{version}"
    match report.verdict:
        case "same":
            say(f"same  {name}: {report.position} of {report.total} recorded completions delivered")
        case "diverged":
            say(f"DIVERGED  {name} after {report.position} of {report.total} recorded completions")
            show_table(COLUMNS, _rows(report), prose=(2, 3))
            where = f", at {_shown(report.where)}" if report.where else ""
            say(f"cause: {report.message}{where}")
            note("to go on: serve code that fits, guard the change with patched(...), or give the flow a new version=")
        case "unreadable":
            say(f"UNREADABLE  {name}: {report.message}")
        case "unserved":
            say(f"UNSERVED  {name}: {report.message}")
        case _:
            assert_never(report.verdict)


def _rows(report: ReplayReport) -> Iterator[tuple[object, ...]]:
    """What agreed last, then both sides of what does not."""
    start = max(0, report.position - CONTEXT)
    if start:
        yield "...", "=", f"({start} more)", ""
    for place, said in enumerate(report.delivered[start:], start + 1):
        yield place, "=", said, said
    first, *others = report.current or ("",)
    yield report.position + 1, "!=", report.recorded or "", first
    for other in others[:CONTEXT]:
        yield "", "", "", other
    if len(others) > CONTEXT:
        yield "", "", "", f"({len(others) - CONTEXT} more)"


def _shown(where: str) -> str:
    """A line of code, by the shorter of its two paths."""
    file, _, line = where.rpartition(":")
    try:
        near = os.path.relpath(file, Path.cwd())
    except ValueError:  # on another drive
        return where
    return f"{near}:{line}" if len(near) < len(file) else where
