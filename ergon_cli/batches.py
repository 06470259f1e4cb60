"""What an operator does to flows, one after the other: the part that `retry` and `fork` share.

Which flows they are is fixed first, by their ids, so that what was asked about is what is done. Each row is read again
when its turn comes. A flow that is refused is told, and the rest goes on; the highest code met is the command's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from ergon_cli.confirming import confirm
from ergon_cli.exits import CommandError, ExitCode, as_command_error, show_error
from ergon_cli.ids import resolve
from ergon_cli.options import State
from ergon_cli.progress import Progress
from ergon_cli.render import note
from ergon_cli.selecting import Selection
from ergon_cli.starting import worker_command
from ergon_runtime import FlowRow, Status, Store
from ergon_runtime.errors import CodecError, FlowNotFound, OperatorRefused

KINDS = 5
"""Of the flows that are asked about, so many statuses and types are told."""


class Batch:
    """The flows of one command line. `done` is what has been done to them, for the progress: retried, forked."""

    def __init__(self, store: Store, state: State, chosen: Selection, done: str) -> None:
        self.worst = ExitCode.OK
        self.ids: list[str] = []
        self._store, self._state, self._chosen = store, state, chosen
        self._progress = Progress(f"flows {done}")
        self._lanes: dict[str, str] = {}
        self._kinds: Counter[tuple[Status, str]] = Counter()

    async def choose(self, parts: Sequence[str]) -> None:
        """Fix the ids: of the flows named, or of all that match."""
        if self._chosen.every:
            self.ids = await self._matching()
            if not self.ids:
                note("no flows match")
            return
        for part in parts:
            try:
                row = await resolve(self._store, part)
            except CommandError as error:
                self.refuse(error)
                continue
            if row.id not in self.ids:
                self.ids.append(row.id)
                self._kinds[row.status, row.type] += 1

    async def _matching(self) -> list[str]:
        """A child that has ended is left out if its parent is chosen too: that makes a new one if it still needs it."""
        rows: dict[str, tuple[str | None, Status, str]] = {}
        look, ended = Progress("flows found"), set[str]()
        try:
            async for row in self._chosen.flows(self._store):
                rows[row.id] = row.parent, row.status, row.type
                if row.status.ended:
                    ended.add(row.id)
                look.tell(len(rows))
        finally:
            look.clear()
        kept = [each for each, (parent, *_) in rows.items() if not (each in ended and parent in ended)]
        if left := len(rows) - len(kept):
            one = "1 child is left to its parent, which is chosen too"
            note(one if left == 1 else f"{left} children are left to their parents, which are chosen too")
        self._kinds.update(rows[each][1:] for each in kept)
        return kept

    async def agreed(self, verb: str, rest: str = "", *, yes: bool) -> bool:
        """Whether all of them are to be taken: asked, unless `yes` says so. Tells how many of each kind there are."""
        many = len(self.ids) > 1
        if many and not yes:
            for (status, flow), count in self._kinds.most_common(KINDS):
                note(f"  {count} {status} {flow}")
            if (more := len(self._kinds) - KINDS) > 0:
                note(f"  and {more} kinds more")
        return await confirm(f"{verb} {len(self.ids)} flow{'s' if many else ''}{rest}?", yes=yes)

    async def each(self, work: Callable[[FlowRow], Awaitable[None]]) -> None:
        """Do the work on each of them, in order."""
        for number, flow_id in enumerate(self.ids):
            if len(self.ids) > 1:
                self._progress.tell(number, len(self.ids))
            try:
                row = await self._store.get(flow_id)
                if self._has_changed(row):
                    self.tell(f"{flow_id}: is {row.status if row else 'gone'} meanwhile, and left alone")
                elif row is None:
                    raise FlowNotFound(flow_id)
                else:
                    await work(row)
            except FlowNotFound as error:
                self.refuse(CommandError(ExitCode.NOT_FOUND, f"{error}", "see what there is: ergon list"))
            except (OperatorRefused, CodecError, CommandError) as error:
                self.refuse(as_command_error(error))
            finally:
                self._progress.clear()

    def _has_changed(self, row: FlowRow | None) -> bool:
        """Whether a flow that matched does so no more."""
        return self._chosen.every and (row is None or row.status not in self._chosen.statuses)

    def tell(self, line: str) -> None:
        """A line for people."""
        self._progress.clear()
        if not self._state.json:
            note(line)

    def refuse(self, error: CommandError) -> None:
        """Tell why one of them cannot be taken."""
        self._progress.clear()
        show_error(error, as_json=self._state.json)
        self.worst = max(self.worst, error.code)

    def starts(self, row: FlowRow) -> None:
        """This flow, or one of its type, may run now."""
        self._lanes.setdefault(row.lane, row.type)

    async def tell_unserved(self) -> None:
        """Say which types of those that may run now no worker serves."""
        if self._state.json or not self._lanes:
            return
        served = {lane for worker in await self._store.workers() for lane in worker.lanes}
        if missing := sorted({flow for lane, flow in self._lanes.items() if lane not in served}):
            note(f"no live worker serves {', '.join(missing)}; start one: {worker_command(self._state)}")
