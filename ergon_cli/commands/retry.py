"""`ergon retry`: failed and cancelled flows go on from the failure, blocked ones are tried again at once.

Each flow is planned by its row as it stands then, and changed by one commit: whatever interrupts this, the same command
goes on with the rest. No code of the user is loaded.
"""

from __future__ import annotations

from typing import Annotated, assert_never

import typer

from ergon_cli.batches import Batch
from ergon_cli.confirming import DryRunOption, YesOption, can_ask, check_can_ask
from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.options import State, shared
from ergon_cli.plans import COLUMNS, kept_and_again, named, rerun_rows
from ergon_cli.render import say, say_json, show_table
from ergon_cli.selecting import Selection, selecting
from ergon_cli.stores import existing_store
from ergon_runtime import FlowRow, Status, Store
from ergon_runtime.operators import RetryPlan, plan_retry, retry_flow

app = typer.Typer()
RETRIED = (Status.FAILED, Status.BLOCKED)
"""What --all takes if no status is named."""


@app.command(
    "retry",
    epilog="\b\nExamples:\n  ergon retry A-17\n  ergon retry A-17 --from charge --dry-run"
    "\n  ergon retry --all --flow OrderFlow --error TimeoutError",
)
@shared
@selecting
async def retry(
    state: State,
    chosen: Selection,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Flow ids, or unique parts of them.")] = None,
    from_step: Annotated[
        str | None,
        typer.Option("--from", metavar="STEP[#N]", help="From this step on nothing recorded is kept."),
    ] = None,
    adopt: Annotated[bool, typer.Option("--adopt", help="Let changed code take over blocked flows.")] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> ExitCode:
    """Let failed flows go on from the failure, and try blocked ones again.

    --all takes failed and blocked flows if no --status is named.
    """
    _check(chosen, ids, from_step, adopt=adopt)
    if chosen.every and not dry_run:
        check_can_ask("ergon retry --all", yes=yes)
    if chosen.every:
        chosen = chosen.among([Status.BLOCKED] if adopt else RETRIED)
    async with existing_store(state.load(), read_only=dry_run) as store:
        batch = Batch(store, state, chosen, "looked at" if dry_run else "retried")
        await batch.choose(ids or ())
        asks = not dry_run and _must_ask(len(batch.ids), every=chosen.every)
        if asks and not await batch.agreed("retry", yes=yes):
            return ExitCode.USAGE
        retrying = _Retrying(store, state, batch, from_step, adopt, dry_run)
        await batch.each(retrying.one)
        await retrying.close()
    return batch.worst


def _check(chosen: Selection, ids: list[str] | None, from_step: str | None, *, adopt: bool) -> None:
    chosen.check(ids, "retry")
    if adopt and from_step is not None:
        said = "a flow is adopted as a whole: --adopt and --from do not go together"
        raise CommandError(ExitCode.USAGE, said, "leave one of them out")
    if others := [status for status in chosen.statuses if status not in (*RETRIED, Status.CANCELLED)]:
        said = f"{others[0]} flows are not retried; only failed, blocked and cancelled ones are"
        raise CommandError(ExitCode.USAGE, said, "see: ergon fork --help")


def _must_ask(count: int, *, every: bool) -> bool:
    """Several flows are asked about, where somebody can be; for --all that has been checked."""
    return (every and count > 0) or (count > 1 and can_ask())


class _Retrying:
    """Retries flows one by one, and says what it does."""

    def __init__(
        self, store: Store, state: State, batch: Batch, from_step: str | None, adopt: bool, dry_run: bool
    ) -> None:
        self._store, self._state, self._batch = store, state, batch
        self._from_step, self._adopt, self._dry_run = from_step, adopt, dry_run
        self._rows: list[tuple[str, ...]] = []

    async def one(self, row: FlowRow) -> None:
        """Plan it, do it, tell it. Raises OperatorRefused, FlowNotFound, StoreError."""
        plan = await plan_retry(self._store, row, from_step=self._from_step, adopt=self._adopt)
        if not self._dry_run:
            await retry_flow(self._store, plan)
            self._batch.starts(row)
        self._batch.tell(_line(plan, self._from_step))
        if self._state.json:
            say_json(plan.to_json())
        elif self._dry_run:
            self._rows += rerun_rows(plan.flow_id, plan.again, plan.unknown)
        else:
            say(plan.flow_id)

    async def close(self) -> None:
        """What is told at the end: all that would run again, or that nobody runs it."""
        if self._rows:
            show_table(COLUMNS, self._rows)
        await self._batch.tell_unserved()


def _line(plan: RetryPlan, from_step: str | None) -> str:
    """What is done to a flow, in one line."""
    match plan.action:
        case "again":
            return f"retry {plan.flow_id}: tried again at once; {kept_and_again(plan.keeps)}"
        case "adopt":
            how = "adopted by the code of today"
        case "retry":
            how = f"from {from_step}" if from_step is not None else "from the failure"
        case _:
            assert_never(plan.action)
    line = f"retry {plan.flow_id}: {how}; {kept_and_again(plan.keeps, plan.again)}"
    if plan.unknown:
        line += f"; nobody knows how {named([each.key for each in plan.unknown])} ended, and it is not run again"
    if plan.cancels:
        line += f"; {len(plan.cancels)} unfinished child{'ren' if len(plan.cancels) > 1 else ''} cancelled"
    if plan.parent is not None and plan.status.ended:
        line += f"; its parent {plan.parent} has heard of the failure, and gets no other result"
    return line
