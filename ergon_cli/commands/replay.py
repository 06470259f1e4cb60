"""`ergon replay`: run today's flow code over recorded journals. No step runs, nothing is written.

The process begins again under the store's hash seed first, so that sets iterate as they did for the workers (rule L8).
The flows come one by one from a source, so that a store of any size is replayed in the same memory; what is done with
each is in `ergon_cli/replaying.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.hashseed import under_hash_seed
from ergon_cli.loading import find_flow, load_flows
from ergon_cli.options import State, shared
from ergon_cli.recordings import are_recordings, survey
from ergon_cli.replaying import Wish, go_through, replayed
from ergon_cli.selecting import Selection, selecting
from ergon_cli.sources import flows_in_files, flows_matching, flows_named
from ergon_cli.stores import existing_store
from ergon_cli.under_seeds import histories_of_part, is_part, telling
from ergon_runtime import registry

app = typer.Typer()
IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="ID|FILE...", help="Flow ids, or files of exported flows.")
]
ResultOption = Annotated[bool, typer.Option("--check-result", help="Flows that ended must have the same result, too.")]
JunitOption = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, for CI.")]
GithubOption = Annotated[bool, typer.Option("--github", help="Print annotations for GitHub Actions.")]
StackOption = Annotated[bool, typer.Option("--stack", help="Show where the flow stands: its tasks and their lines.")]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="STEP", help="Stop where the code asks for STEP; show its variables.")
]
DebugOption = Annotated[bool, typer.Option("--debug", help="With --until: look around there in pdb.")]


@app.command(
    "replay",
    epilog="\b\nExamples:\n  ergon replay A-17 -m flows\n  ergon replay --all --status waiting\n"
    "  ergon replay A-17 --stack\n  ergon replay A-17 --until charge --debug",
)
@shared
@selecting
async def replay(
    state: State,
    chosen: Selection,
    ids: IdsArgument = None,
    check_result: ResultOption = False,
    junit: JunitOption = None,
    github: GithubOption = False,
    stack: StackOption = False,
    until: UntilOption = None,
    debug: DebugOption = False,
) -> ExitCode:
    """Check that the flow code of today fits what is recorded. No step runs, nothing is written."""
    chosen.check(ids, "replay")
    wish = Wish(state.json, check_result, junit, github, stack, until, debug)
    wish.check(chosen, ids or [])
    if are_recordings(ids or ()):
        return await _replay_files(ids or [], state, wish)
    config = state.load()
    async with existing_store(config, read_only=True) as store:
        identity = await store.identity()
    under_hash_seed(identity.hash_seed)
    async with existing_store(config, read_only=True) as store:
        loaded = load_flows(config, registry)
        for name in chosen.types:
            find_flow(loaded, name)
        return await go_through(
            await flows_matching(store, chosen) if chosen.every else flows_named(store, ids or ()), wish
        )


async def _replay_files(files: list[str], state: State, wish: Wish) -> ExitCode:
    """Replay histories of files, each under the hash seed that it was recorded under; no store is needed."""
    config, held = state.load(memory=True), survey(files)
    if is_part():
        with telling() as tell:
            load_flows(config, registry)
            for history in histories_of_part(files):
                tell(await replayed(history, wish))
        return ExitCode.OK
    if len(held.seeds) < 2:
        for seed in held.seeds:
            under_hash_seed(seed)
        load_flows(config, registry)
    elif wish.stands:
        said = "the flows of these files were recorded in stores that differ in their hash seed"
        raise CommandError(ExitCode.USAGE, said, "give the files of one store at a time")
    return await go_through(flows_in_files(files, held), wish)
