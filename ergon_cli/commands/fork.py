"""`ergon fork`: a new flow that remembers what another has recorded before a step, and runs the rest by itself.

The other flow is only read. A fork that was interrupted is blocked, and the same command with its id finishes it. With
--all ids follow from what is asked for, so that the same command, run again, makes no fork twice. The modules of the
user are loaded only to read arguments given with -a.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from ergon_cli.arguments import edit_arguments
from ergon_cli.batches import Batch
from ergon_cli.confirming import DryRunOption, YesOption, check_can_ask, confirm
from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.loading import find_flow, load_flows
from ergon_cli.options import State, shared
from ergon_cli.payloads import check_size, loads, not_json
from ergon_cli.plans import COLUMNS, kept_and_again, named, rerun_rows
from ergon_cli.render import note, say, say_json, show_table
from ergon_cli.selecting import Selection, selecting
from ergon_cli.starting import ArgOption, check_id
from ergon_cli.stores import existing_store
from ergon_cli.text import clip
from ergon_runtime import FlowDefinition, FlowRow, Status, Store, registry
from ergon_runtime.operators import ForkPlan, fork_flow, plan_fork

app = typer.Typer()
LISTED = 10
"""Steps that are shown before the question."""


@app.command(
    "fork",
    epilog="\b\nExamples:\n  ergon fork A-17 --from charge\n  ergon fork A-17 --from charge -a amount=9.50 --yes"
    "\n  ergon fork A-17 --from ship --result 'charge={\"receipt\": 7}'"
    "\n  ergon fork --all --flow OrderFlow --error TimeoutError --from charge --dry-run",
)
@shared
@selecting
async def fork(
    state: State,
    chosen: Selection,
    from_step: Annotated[
        str, typer.Option("--from", metavar="STEP[#N]", help="From this step on nothing recorded is kept.")
    ],
    part: Annotated[str | None, typer.Argument(metavar="ID", help="A flow's id, or a unique part of it.")] = None,
    arg: ArgOption = None,
    result: Annotated[
        list[str] | None,
        typer.Option("--result", metavar="STEP=JSON", help="Another result of a kept step; repeat it."),
    ] = None,
    no_signals: Annotated[bool, typer.Option("--no-signals", help="Wait anew for signals that came.")] = False,
    flow_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="The fork's id; default: random.")] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> ExitCode:
    """Run a flow again from a step, as a new flow.

    --all takes failed flows if no --status is named.
    """
    ids = [part] if part is not None else []
    chosen.check(ids, "fork")
    check_id(flow_id)
    if chosen.every and flow_id is not None:
        raise CommandError(ExitCode.USAGE, "--id names one fork, and --all makes many", "leave one of them out")
    changes = _Changes(from_step, flow_id, tuple(arg or ()), _results(result or ()), not no_signals, chosen.every)
    if not dry_run:
        check_can_ask("ergon fork", yes=yes)
    if chosen.every:
        chosen = chosen.among([Status.FAILED])
    config = state.load()
    if changes.arguments:
        load_flows(config, registry)
    async with existing_store(config, read_only=dry_run) as store:
        batch = Batch(store, state, chosen, "looked at" if dry_run else "forked")
        await batch.choose(ids)
        if chosen.every and batch.ids and not dry_run:
            yes = await batch.agreed("fork", f" from {from_step}", yes=yes)
            if not yes:
                return ExitCode.USAGE
        forking = _Forking(store, state, batch, changes, dry_run=dry_run, yes=yes)
        await batch.each(forking.one)
        await forking.close()
    return batch.worst


@dataclass(frozen=True, slots=True)
class _Changes:
    """What a fork is to be, by the command line."""

    from_step: str
    flow_id: str | None
    arguments: tuple[str, ...]
    results: Mapping[str, str]
    signals: bool
    every: bool

    def new_id(self, row: FlowRow) -> str | None:
        """The id that the fork is to have, if not a random one. With --all it stays the same while the flow does."""
        if not self.every:
            return self.flow_id
        asked = (row.id, row.head, self.from_step, self.arguments, sorted(self.results.items()), self.signals)
        digest = hashlib.blake2b(repr(asked).encode(), digest_size=4).hexdigest()
        return f"{re.sub(r'[^A-Za-z0-9._:@=-]+', '-', row.id)[:180]}-fork-{digest}"

    async def plan(self, store: Store, row: FlowRow) -> ForkPlan:
        """Raises OperatorRefused, CommandError, CodecError, StoreError."""
        plan = await self._plan(store, row, self.new_id(row), None)
        if not self.arguments:
            return plan
        args = edit_arguments(_definition(row), plan.row.args, self.arguments)
        return await self._plan(store, row, plan.new_id, args)

    async def _plan(self, store: Store, row: FlowRow, new_id: str | None, args: bytes | None) -> ForkPlan:
        return await plan_fork(
            store,
            row,
            from_step=self.from_step,
            new_id=new_id,
            args=args,
            results=self.results,
            signals=self.signals,
        )


class _Forking:
    """Forks flows one by one, and says what it does."""

    def __init__(
        self, store: Store, state: State, batch: Batch, changes: _Changes, *, dry_run: bool, yes: bool
    ) -> None:
        self._store, self._state, self._batch, self._changes = store, state, batch, changes
        self._dry_run, self._yes = dry_run, yes
        self._rows: list[tuple[str, ...]] = []

    async def one(self, row: FlowRow) -> None:
        """Plan it, ask, do it, tell it. Raises OperatorRefused, FlowNotFound, CommandError, CodecError, StoreError."""
        if self._changes.every and (made := await self._made(row)) is not None:
            self._batch.tell(
                f"fork {row.id} from {self._changes.from_step} as {made}: is there already, and left alone"
            )
            return
        plan = await self._changes.plan(self._store, row)
        self._batch.tell(_line(plan, with_id=not self._dry_run))
        if not self._dry_run:
            if not self._yes:
                _list_reruns(plan)
                if not await confirm(f"fork {plan.source}?", yes=False):
                    self._batch.worst = ExitCode.USAGE
                    return
            await fork_flow(self._store, plan)
            self._batch.starts(row)
        if self._state.json:
            say_json(plan.to_json())
        elif self._dry_run:
            self._rows += rerun_rows(plan.source, plan.again)
        else:
            say(plan.new_id)

    async def _made(self, row: FlowRow) -> str | None:
        """The id of the fork, if it has been made before. One that is blocked may be unfinished."""
        there = await self._store.get(self._changes.new_id(row) or "")
        return there.id if there is not None and there.status is not Status.BLOCKED else None

    async def close(self) -> None:
        """What is told at the end: all that would run again, or that nobody runs it."""
        if self._rows:
            show_table(COLUMNS, self._rows)
        await self._batch.tell_unserved()


def _results(pairs: Sequence[str]) -> dict[str, str]:
    """The results given, by key. Raises CommandError: USAGE."""
    results: dict[str, str] = {}
    for pair in pairs:
        key, mark, text = pair.partition("=")
        if not key or not mark:
            raise CommandError(ExitCode.USAGE, f"--result {clip(pair, 40)}: not STEP=JSON", "write it like charge=7")
        if key in results:
            raise CommandError(ExitCode.USAGE, f"--result {clip(key, 40)}: given twice", "leave one of them out")
        what = f"--result {clip(key, 40)}"
        check_size(text.encode(), what)
        try:
            loads(text)
        except ValueError as error:
            written = shlex.quote(clip(f'{key}="text"', 60))
            raise not_json(what, text, error, f"for a text: --result {written}") from None
        results[key] = text
    return results


def _definition(row: FlowRow) -> FlowDefinition:
    """The flow's type, by whose hints its arguments are read. Raises CommandError: NOT_FOUND."""
    definition = registry.get(row.type, row.version)
    if definition is None:
        find_flow(registry.flows(), row.type)  # knows what to say if there is no such type at all
        version = f"version {row.version}" if row.version else "without a version"
        raise CommandError(ExitCode.NOT_FOUND, f"flow {row.type} {version} is not loaded", "name its module: -m MODULE")
    return definition


def _line(plan: ForkPlan, *, with_id: bool) -> str:
    """What a fork is, in one line."""
    line = f"fork {plan.source} from {plan.from_step}" + (f" as {plan.new_id}" if with_id else "")
    line += f": {kept_and_again(plan.keeps, plan.again)}"
    if plan.edited_args:
        line += "; with other arguments"
    if plan.edited:
        line += f"; with another result of {named(plan.edited)}"
    if plan.children:
        line += f"; with what {named(plan.children)} {'have' if len(plan.children) > 1 else 'has'} given since"
    if plan.dropped:
        line += f"; without signal{'s' if len(plan.dropped) > 1 else ''} {named(plan.dropped)}"
    return line


def _list_reruns(plan: ForkPlan) -> None:
    """The steps that run again, for whoever is asked about them."""
    for each in plan.again[:LISTED]:
        note(f"  {each.key}  {each.kind}  {each.status}{'  at most once' if each.at_most_once else ''}")
    if len(plan.again) > LISTED:
        note(f"  and {len(plan.again) - LISTED} more; --dry-run shows all")
