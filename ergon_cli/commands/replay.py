"""`ergon replay`: run today's flow code over recorded journals. No step runs, nothing is written.

The process begins again under the store's hash seed first, so that sets iterate as they did for the workers (rule L8).
The flows come one by one from a source, so that a store of any size is replayed in the same memory.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from typing import Annotated

import typer

from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.hashseed import under_hash_seed
from ergon_cli.loading import find_flow, load_flows
from ergon_cli.options import State, shared
from ergon_cli.progress import Progress
from ergon_cli.recordings import are_recordings, survey
from ergon_cli.render import say, say_json
from ergon_cli.replays import exit_code, report_line, show_patches, show_report, summary_line
from ergon_cli.selecting import Selection, selecting
from ergon_cli.sources import Source, flows_in_files, flows_matching, flows_named
from ergon_cli.stores import existing_store
from ergon_cli.under_seeds import histories_of_part, is_part
from ergon_runtime import registry
from ergon_runtime.histories import FlowHistory
from ergon_runtime.patches import PatchTally
from ergon_runtime.replay import ReplayReport, Verdict, replay_history

app = typer.Typer()


@app.command("replay", epilog="\b\nExamples:\n  ergon replay A-17 -m flows\n  ergon replay --all --status waiting")
@shared
@selecting
async def replay(
    state: State,
    chosen: Selection,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID|FILE...", help="Flow ids, or files of exported flows.")
    ] = None,
) -> ExitCode:
    """Check that the flow code of today fits what is recorded. No step runs, nothing is written."""
    chosen.check(ids, "replay")
    if are_recordings(ids or ()):
        return await _replay_files(ids or [], state)
    config = state.load()
    async with existing_store(config, read_only=True) as store:
        identity = await store.identity()
    under_hash_seed(identity.hash_seed)
    async with existing_store(config, read_only=True) as store:
        loaded = load_flows(config, registry)
        for name in chosen.types:
            find_flow(loaded, name)
        source = await flows_matching(store, chosen) if chosen.every else flows_named(store, ids or ())
        return await _replay_source(source, as_json=state.json)


async def _replay_files(files: list[str], state: State) -> ExitCode:
    """Replay histories of files, each under the hash seed that it was recorded under; no store is needed."""
    config, held = state.load(memory=True), survey(files)
    if is_part():
        load_flows(config, registry)
        for history in histories_of_part(files):
            say_json((await _replay(history)).to_json())
        return ExitCode.OK
    if len(held.seeds) < 2:
        for seed in held.seeds:
            under_hash_seed(seed)
        load_flows(config, registry)
    return await _replay_source(flows_in_files(files, held), as_json=state.json)


async def _replay_source(source: Source, *, as_json: bool) -> ExitCode:
    """Replay what the source gives, and say what was found; the highest code met."""
    counts: Counter[Verdict] = Counter()
    patches, worst, progress = PatchTally(), ExitCode.OK, Progress("flows looked at")
    try:
        async for found in source.histories:
            progress.clear()
            if isinstance(found, CommandError):
                show_error(found, as_json=as_json)
                worst = max(worst, found.code)
                continue
            report = found if isinstance(found, ReplayReport) else await _replay(found)
            counts[report.verdict] += 1
            patches.add(report)
            of_another = report.verdict == "unserved" and source.many and not source.served
            if not of_another:  # flows of other types are no fault among many of a store
                _show(report, many=source.many, as_json=as_json)
                worst = max(worst, exit_code(report))
            if source.many:
                progress.tell(counts.total(), source.total)
    finally:
        progress.clear()
    if source.many:
        _sum_up(counts, patches, complete=source.live, as_json=as_json)
    return worst


async def _replay(history: FlowHistory) -> ReplayReport:
    with contextlib.redirect_stdout(sys.stderr):  # what flow code prints is no data of ours
        return await replay_history(history, registry.get)


def _show(report: ReplayReport, *, many: bool, as_json: bool) -> None:
    """One flow at length; of many, a line for each that is not the same."""
    if as_json:
        say_json(report.to_json())
    elif not many:
        show_report(report)
    elif report.verdict != "same":
        say(report_line(report))


def _sum_up(counts: Counter[Verdict], patches: PatchTally, *, complete: bool, as_json: bool) -> None:
    rows = patches.rows(complete=complete)
    if as_json:
        summary = {each: counts[each] for each in ("same", "diverged", "unreadable", "unserved")}
        say_json({"summary": summary, "patches": [row.to_json() for row in rows]})
    else:
        say(summary_line(counts))
        show_patches(rows)
