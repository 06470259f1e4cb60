"""`ergon replay`: run today's flow code over recorded journals. No step runs, nothing is written.

The process begins again under the store's hash seed first, so that sets iterate as they did for the workers (rule L8).
With --all the flows come one by one, so that a store of any size is replayed in the same memory.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from typing import Annotated

import typer

from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.hashseed import under_hash_seed
from ergon_cli.ids import resolve
from ergon_cli.loading import find_flow, load_flows
from ergon_cli.options import State, shared
from ergon_cli.progress import Progress
from ergon_cli.render import say, say_json
from ergon_cli.replays import exit_code, report_line, show_patches, show_report, summary_line
from ergon_cli.stores import existing_store
from ergon_runtime import FlowRow, Status, Store, registry
from ergon_runtime.patches import PatchTally
from ergon_runtime.replay import ReplayReport, Verdict, replay_flow
from ergon_runtime.view import every_flow

app = typer.Typer()


@app.command("replay", epilog="\b\nExamples:\n  ergon replay A-17 -m flows\n  ergon replay --all --status waiting")
@shared
async def replay(
    state: State,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Flow ids, or unique parts of them.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every flow of the types loaded.")] = False,
    status: Annotated[list[Status] | None, typer.Option("--status", help="With --all: only these; repeat it.")] = None,
    flow: Annotated[
        list[str] | None, typer.Option("--flow", metavar="TYPE", help="With --all: only these; repeat it.")
    ] = None,
) -> ExitCode:
    """Check that the flow code of today fits what is recorded. No step runs, nothing is written."""
    _check_choice(ids, status, flow, every=all_)
    config = state.load()
    async with existing_store(config, read_only=True) as store:
        identity = await store.identity()
    under_hash_seed(identity.hash_seed)
    async with existing_store(config, read_only=True) as store:
        loaded = load_flows(config, registry)
        if all_:
            for name in flow or ():
                find_flow(loaded, name)
            return await _replay_all(store, tuple(status or ()), tuple(flow or ()), as_json=state.json)
        return await _replay_each(store, ids or [], as_json=state.json)


def _check_choice(ids: list[str] | None, status: list[Status] | None, flow: list[str] | None, *, every: bool) -> None:
    if every and ids:
        raise CommandError(ExitCode.USAGE, "give flow ids or --all, not both", "see: ergon replay --help")
    if not every and not ids:
        raise CommandError(ExitCode.USAGE, "which flows?", "give their ids, or --all")
    if not every and (status or flow):
        raise CommandError(ExitCode.USAGE, "--status and --flow go with --all", "add --all, and give no ids")


async def _replay_each(store: Store, ids: list[str], *, as_json: bool) -> ExitCode:
    """Replay the flows named; the highest code met."""
    worst = ExitCode.OK
    for part in ids:
        try:
            report = await _replay(store, await resolve(store, part))
        except CommandError as error:
            show_error(error, as_json=as_json)
            worst = max(worst, error.code)
            continue
        if as_json:
            say_json(report.to_json())
        else:
            show_report(report)
        worst = max(worst, exit_code(report))
    return worst


async def _replay_all(store: Store, statuses: tuple[Status, ...], types: tuple[str, ...], *, as_json: bool) -> ExitCode:
    """Replay every flow that matches. Flows of types that are not loaded are counted, and no fault."""
    counts: Counter[Verdict] = Counter()
    patches, progress = PatchTally(), Progress("flows looked at")
    try:
        async for row in every_flow(store, statuses=statuses, types=types):
            progress.clear()
            report = await _replay(store, row)
            if report.verdict == "unreadable" and await store.get(row.id) is None:
                continue  # it was pruned meanwhile
            counts[report.verdict] += 1
            patches.add(report)
            if report.verdict != "unserved" and (as_json or report.verdict != "same"):
                if as_json:
                    say_json(report.to_json())
                else:
                    say(report_line(report))
            progress.tell(counts.total())
    finally:
        progress.clear()
    rows = patches.rows(complete=not statuses or {each for each in Status if not each.ended} <= set(statuses))
    if as_json:
        summary = {each: counts[each] for each in ("same", "diverged", "unreadable", "unserved")}
        say_json({"summary": summary, "patches": [row.to_json() for row in rows]})
    else:
        say(summary_line(counts))
        show_patches(rows)
    return ExitCode.DIVERGED if counts["diverged"] or counts["unreadable"] else ExitCode.OK


async def _replay(store: Store, row: FlowRow) -> ReplayReport:
    with contextlib.redirect_stdout(sys.stderr):  # what flow code prints is no data of ours
        return await replay_flow(store, row, registry.get)
