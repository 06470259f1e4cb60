"""Which flows a command for many takes: --all and its filters, in one place for `retry`, `fork`, `replay` and `export`.

A command is decorated with `@selecting` below `@shared`, and gets a `Selection` as its second parameter. The flows come
one by one, those that are not over first, each group newest first; what changes meanwhile is for the command to see: it
reads a row again before it acts on it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import random
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.import_errors import did_you_mean
from ergon_cli.render import note
from ergon_runtime import FlowRow, Outcome, Status, Store
from ergon_runtime.codec import describe_error
from ergon_runtime.config import parse_duration
from ergon_runtime.errors import CodecError
from ergon_runtime.view import every_flow

NAMED = 20
"""Other errors than those asked for that are kept in mind, to suggest one."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What --all and its filters say. `since` and `before` are ages in milliseconds."""

    every: bool = False
    statuses: tuple[Status, ...] = ()
    types: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    since: int | None = None
    before: int | None = None
    limit: int | None = None
    sample: int | None = None

    def check(self, ids: Sequence[str] | None, verb: str) -> None:
        """Refuse what does not go together. Raises CommandError: USAGE."""
        if self.every and ids:
            raise CommandError(ExitCode.USAGE, "give flow ids or --all, not both", f"see: ergon {verb} --help")
        if not self.every and not ids:
            raise CommandError(ExitCode.USAGE, "which flows?", "give their ids, or --all")
        if not self.every and (given := self._given()):
            goes = f"{' and '.join(given)} {'go' if len(given) > 1 else 'goes'} with --all"
            raise CommandError(ExitCode.USAGE, goes, "add --all, and give no ids")
        if self.limit is not None and self.sample is not None:
            raise CommandError(ExitCode.USAGE, "--limit and --sample both say how many", "give one of them")
        if self.errors and self.statuses and Status.FAILED not in self.statuses:
            raise CommandError(ExitCode.USAGE, "--error goes with --status failed", "no other flows have an error")
        if self.since is not None and self.before is not None and self.before >= self.since:
            said = "no flow is younger than --since and older than --before"
            raise CommandError(ExitCode.USAGE, said, "the last day without the last hour is --since 1d --before 1h")

    def _given(self) -> list[str]:
        """The filters that are given."""
        named = {
            "--status": self.statuses,
            "--flow": self.types,
            "--error": self.errors,
            "--since": self.since,
            "--before": self.before,
            "--limit": self.limit,
            "--sample": self.sample,
        }
        return [name for name, value in named.items() if value not in ((), None)]

    def among(self, statuses: Sequence[Status]) -> Selection:
        """The same, with these statuses where none are named."""
        return self if self.statuses else replace(self, statuses=tuple(statuses))

    async def flows(self, store: Store, draw: random.Random | None = None) -> AsyncGenerator[FlowRow]:
        """The flows that match; `draw` decides on --sample. Raises StoreError."""
        async with contextlib.aclosing(self._matching(store)) as matching:
            if self.sample is not None:
                for row in await _sampled(matching, self.sample, draw or random.Random()):  # noqa: S311  no secret
                    yield row
                return
            count = 0
            async for row in matching:
                yield row
                count += 1
                if count == self.limit:
                    return

    async def _matching(self, store: Store) -> AsyncGenerator[FlowRow]:
        now, others, found = await store.now(), set[str](), False
        statuses = (Status.FAILED,) if self.errors else self.statuses
        async for row in every_flow(store, statuses=statuses, types=self.types):
            if self.since is not None and row.created < now - self.since:
                continue
            if self.before is not None and row.created > now - self.before:
                continue
            if self.errors and (error := error_name(row)) not in self.errors:
                if len(others) < NAMED and error is not None:
                    others.add(error)
                continue
            found = True
            yield row
        if others and not found:
            self._suggest(others)

    def _suggest(self, others: set[str]) -> None:
        """No error was of that name: say which there are."""
        hint = did_you_mean(self.errors[0], sorted(others)) or f"there are: {', '.join(sorted(others))}"
        note(f"no flow failed with {' or '.join(self.errors)}; {hint}")


def error_name(row: FlowRow) -> str | None:
    """The class name of the error that a flow failed with."""
    if row.status is not Status.FAILED or row.result is None:
        return None
    try:
        error = Outcome.unpack(row.result).error
        return describe_error(error).type if error is not None else None
    except (ValueError, CodecError):
        return None


async def _sampled(rows: AsyncIterable[FlowRow], size: int, draw: random.Random) -> list[FlowRow]:
    """So many of the rows at random, each as likely as any other, in their order. Keeps no more of them in memory."""
    kept: list[tuple[int, FlowRow]] = []
    place = 0
    async for row in rows:
        if place < size:
            kept.append((place, row))
        elif (chosen := draw.randrange(place + 1)) < size:
            kept[chosen] = (place, row)
        place += 1
    return [row for _, row in sorted(kept, key=lambda each: each[0])]


def selecting(command: Callable[..., object]) -> Callable[..., object]:
    """Give a command the options of a Selection, which becomes its second parameter."""

    def run(state: object, **given: Any) -> object:
        own = {name: value for name, value in given.items() if name not in names}
        return command(state, _selection(**{name: given[name] for name in names}), **own)

    state, _chosen, *own = inspect.signature(command, eval_str=True).parameters.values()
    options = list(inspect.signature(_selection, eval_str=True).parameters.values())
    names = {option.name for option in options}
    rest = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *options)]
    functools.update_wrapper(run, command)
    run.__annotations__ = {each.name: each.annotation for each in (state, *rest)}
    setattr(run, "__signature__", inspect.Signature([state, *rest]))  # noqa: B010  functions have no such field for checkers
    return run


def _selection(
    every: Annotated[bool, typer.Option("--all", help="Every flow, but for the filters.")] = False,
    status: Annotated[list[Status] | None, typer.Option("--status", help="With --all: only these; repeat it.")] = None,
    flow: Annotated[
        list[str] | None, typer.Option("--flow", metavar="TYPE", help="With --all: only these; repeat it.")
    ] = None,
    error: Annotated[
        list[str] | None, typer.Option("--error", metavar="TYPE", help="With --all: failed with these; repeat it.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="DURATION", help="With --all: younger than this, as 2h.")] = None,
    before: Annotated[str | None, typer.Option(metavar="DURATION", help="With --all: older than this, as 1d.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="With --all: the first so many.")] = None,
    sample: Annotated[int | None, typer.Option(metavar="N", min=1, help="With --all: so many at random.")] = None,
) -> Selection:
    """The options of a Selection, as the shell gives them."""
    return Selection(
        every=every,
        statuses=tuple(status or ()),
        types=tuple(flow or ()),
        errors=tuple(error or ()),
        since=None if since is None else parse_duration(since),
        before=None if before is None else parse_duration(before),
        limit=limit,
        sample=sample,
    )
