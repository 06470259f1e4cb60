"""Replay reports in words: one flow at length, one flow in a line, counts, and which patches are still needed."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from typing import assert_never

from ergon_cli import differences
from ergon_cli.exits import ExitCode
from ergon_cli.render import note, say, show_table
from ergon_cli.screens.look import Part, look_at, show
from ergon_runtime.patches import PatchRow
from ergon_runtime.replay import PatchUse, ReplayReport, Verdict

IDS = 10
"""Flows that the end of a replay of many names."""
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
    """One flow: the verdict, for a difference both sides and the ways out, and its patches."""
    if report.verdict == "diverged" or report.rows:
        look = look_at(sys.stdout, now=0)
        word, said = report.verdict.upper(), f"  {_name(report)} after {_steps(report)}"
        show([[Part(word, "bold red"), said] if look.terminal else [word + said]], look)
        show(differences.table(report, look), look)
        say(f"cause: {differences.cause(report)}{differences.kind(report)}")
        note(differences.ways_out(report))
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
            return f"DIVERGED  {_name(report)} after {_steps(report)}: {differences.cause(report)}"
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


def summary_note(ids: Sequence[str]) -> str:
    """Which flows to look at more closely."""
    named = " ".join(shlex.quote(each) for each in ids[:IDS])
    more = f"; {len(ids) - IDS:,} more are named above" if len(ids) > IDS else ""
    return f"both sides of each: ergon replay {named}{more}"


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
