"""Replay reports in words: one flow at length, one flow in a line, counts, and which patches are still needed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import assert_never

from ergon_cli.exits import ExitCode
from ergon_cli.render import note, say, show_table
from ergon_runtime.patches import PatchRow
from ergon_runtime.replay import PatchUse, ReplayReport, Verdict

CONTEXT = 3
"""Completions shown before the one that differs."""
COLUMNS = ("#", "", "RECORDED", "CURRENT CODE")
PATCH_COLUMNS = ("PATCH", "FLOW", "OLD", "NEW", "VERDICT")


def exit_code(report: ReplayReport) -> ExitCode:
    """What one replay means for the shell."""
    match report.verdict:
        case "same":
            return ExitCode.OK
        case "diverged" | "unreadable":
            return ExitCode.DIVERGED
        case "unserved":
            return ExitCode.NOT_FOUND
        case _:
            assert_never(report.verdict)


def show_report(report: ReplayReport) -> None:
    """One flow: the verdict, for a divergence both sides, and its patches."""
    if report.verdict == "diverged":
        say(f"DIVERGED  {_name(report)} after {_steps(report)}")
        show_table(COLUMNS, _rows(report), prose=(2, 3))
        say(f"cause: {_cause(report)}")
        note("to go on: serve code that fits, guard the change with patched(...), or give the flow a new version=")
    else:
        say(report_line(report))
    for use in report.patches:
        say(f"patch {use.id}: {_use(use, report)}")


def report_line(report: ReplayReport) -> str:
    """One flow in one line."""
    match report.verdict:
        case "same":
            return f"same  {_name(report)}: {_steps(report)} delivered"
        case "diverged":
            return f"DIVERGED  {_name(report)} after {_steps(report)}: {_cause(report)}"
        case "unreadable":
            return f"UNREADABLE  {_name(report)}: {report.message}"
        case "unserved":
            return f"UNSERVED  {_name(report)}: {report.message}"
        case _:
            assert_never(report.verdict)


def summary_line(counts: Counter[Verdict]) -> str:
    """How many flows of each verdict."""
    replayed = counts.total() - counts["unserved"]
    said = f"{replayed} flow{'' if replayed == 1 else 's'} replayed: {counts['same']} same"
    said += "".join(f", {counts[each]} {each}" for each in ("diverged", "unreadable") if counts[each])
    return said + (f"; {counts['unserved']} of types that are not loaded" if counts["unserved"] else "")


def show_patches(rows: Sequence[PatchRow]) -> None:
    """Which patches the flows that are not over still need."""
    if not rows:
        return
    cells = [(row.id, _type(row), row.old, row.new, _verdict(row)) for row in rows]
    show_table(PATCH_COLUMNS, cells, wrap=True)
    note("OLD and NEW count flows that are not over. All holds while no worker runs code without these calls.")


def _verdict(row: PatchRow) -> str:
    match row.verdict:
        case "keep":
            return f"keep: {_live(row.old)} {_are(row.old)} on the old path"
        case "unknown":
            left = (
                f"{_live(row.unclear)} could not be replayed"
                if row.unclear
                else "flows that are not over were left out"
            )
            return f"cannot tell: {left}"
        case "keep_call":
            soon = " or soon will" if row.remembered < row.new else ""
            remember = "remembers" if row.new == 1 else "remember"
            return f"the old branch can go; keep the call: {_live(row.new)} {remember} it{soon}"
        case "remove":
            ahead = f"; {_live(row.ahead)} may still come to it" if row.ahead else ""
            return f"no longer needed by any flow: remove the call{ahead}"
        case _:
            assert_never(row.verdict)


def _live(count: int) -> str:
    return f"{count} live flow{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _use(use: PatchUse, report: ReplayReport) -> str:
    if use.path is None:
        return "recorded, but the code did not ask for it"
    recorded = "" if use.path == "old" or report.status.ended or use.recorded else ", not recorded yet"
    return f"{use.path} path{recorded}"


def _type(row: PatchRow) -> str:
    return row.flow + (f"@{row.version}" if row.version else "")


def _name(report: ReplayReport) -> str:
    version = f" version {report.version}" if report.version else ""
    return f"{report.flow} {report.flow_id}{version}"


def _steps(report: ReplayReport) -> str:
    return f"{report.position} of {report.total} recorded completions"


def _cause(report: ReplayReport) -> str:
    where = f", at {_shown(report.where)}" if report.where else ""
    return f"{report.message}{where}"


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
