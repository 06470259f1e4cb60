"""`ergon store check`: whether a store is whole and keeps its rules. It only reads, and workers may run meanwhile."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.ids import resolve
from ergon_cli.options import State
from ergon_cli.progress import Progress
from ergon_cli.render import say, say_json
from ergon_cli.stores import existing_store
from ergon_runtime import Store
from ergon_runtime.audit import Violation, audit, damage

EPILOG = "\b\nExamples:\n  ergon store check\n  ergon store check --flow order-17 --json"


async def check(
    state: State,
    flow: Annotated[
        list[str] | None, typer.Option("--flow", metavar="ID", help="Look at this flow alone; repeat it.")
    ] = None,
) -> ExitCode:
    """Look whether the store is whole and keeps its rules. It is only read. Workers may run meanwhile."""
    config = state.load()
    told = _Told(as_json=state.json)
    async with existing_store(config, read_only=True) as store:
        flows = [(await resolve(store, part)).id for part in flow] if flow else None
        try:
            await _look(store, flows, told)
        finally:
            told.bar.clear()
    if told.count:
        said = f"the store breaks its rules ({', '.join(sorted(told.rules))}), {_counted(told.count, 'finding')} in all"
        hint = "keep a copy of it; what each rule says: docs/protocol.md"
        raise CommandError(ExitCode.STORE, said, hint)
    if not state.json:
        say(f"sound: {_counted(told.flows, 'flow')} looked at")
    return ExitCode.OK


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


class _Told:
    """What has been said so far."""

    def __init__(self, *, as_json: bool) -> None:
        self.count = self.flows = 0
        self.rules: set[str] = set()
        self.bar = Progress("flows")
        self._json = as_json

    def tell(self, violation: Violation) -> None:
        """Say it, at once: there may be many."""
        self.count += 1
        self.rules.add(violation.rule)
        self.bar.clear()
        if self._json:
            say_json(asdict(violation))
        else:
            where = "store" if violation.flow is None else f"flow {violation.flow}"
            say(f"{violation.rule:<3} {where}: {violation.text}")

    def looked(self, done: int, total: int) -> None:
        """So many flows are done."""
        self.flows = done
        self.bar.tell(done, total)


async def _look(store: Store, flows: list[str] | None, told: _Told) -> None:
    if flows is None:
        for violation in await damage(store):
            told.tell(violation)
    async for violation in audit(store, flows, told.looked):
        told.tell(violation)
