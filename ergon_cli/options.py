"""The options that every command takes, before or after its verb, and the `State` they make.

A command is a plain function whose first parameter is the State, decorated with `@app.command()` above `@shared`. Given
in both places the later option wins, and modules add up. Coroutine functions are run to their end. A command returns
None, or the ExitCode to end with.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from ergon_cli import __version__
from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.logs import log_warnings
from ergon_runtime.config import Config, Flags, load_config
from ergon_runtime.limits import limit_payloads

StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="Where flows are kept: sqlite:///ergon.db, redis://host."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Read this ergon.toml or pyproject.toml."),
]
ModuleOption = Annotated[
    list[str] | None,
    typer.Option("-m", "--module", metavar="MODULE", help="pkg.mod, path/file.py; repeat it."),
]
VolatileOption = Annotated[
    bool, typer.Option("--allow-volatile", help="Use a Redis server even if its death loses flows.")
]
"""For the commands that may create a store."""
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, errors too.")]


@dataclass(frozen=True, slots=True)
class State:
    """What the shared options say."""

    store: str | None = field(default=None, repr=False)
    """It may hold a password."""
    config: Path | None = None
    modules: tuple[str, ...] = ()
    json: bool = False

    def then(self, later: State) -> State:
        """Both together: the later wins, modules add up."""
        return State(
            store=later.store if later.store is not None else self.store,
            config=later.config if later.config is not None else self.config,
            modules=(*self.modules, *later.modules),
            json=self.json or later.json,
        )

    def load(
        self,
        *,
        concurrency: int | None = None,
        lease: str | None = None,
        max_entries: int | None = None,
        memory: bool = False,
        allow_volatile: bool = False,
    ) -> Config:
        """The configuration in force. Raises ConfigError; CommandError for memory://, unless `memory` allows it."""
        flags = Flags(self.store, self.modules, concurrency, lease, max_entries, allow_volatile or None)
        config = load_config(Path.cwd(), os.environ, flags, self.config)
        limit_payloads(config.payload_max, config.payload_warn)
        if config.store_url.startswith("memory:") and not memory:
            raise CommandError(
                ExitCode.USAGE,
                f"memory:// keeps nothing from one command to the next (from: {config.origins['store']})",
                "give the store a file: --store sqlite:///ergon.db",
            )
        return config


def show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"ergon {__version__}\n")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", "-V", help="Show the version.", is_eager=True, callback=show_version)
]


def root(
    context: typer.Context,
    store: StoreOption = None,
    config: ConfigOption = None,
    module: ModuleOption = None,
    json: JsonOption = False,
    version: VersionOption = False,
) -> None:
    """Keep the options given before the verb; the root command's callback."""
    context.obj = State(store, config, tuple(module or ()), json)


def shared(command: Callable[..., object]) -> Callable[..., object]:
    """Give a command the shared options. Typer reads options off the signature, so that is what is extended."""

    def run(context: typer.Context, **given: Any) -> object:
        later = State(given.pop("store"), given.pop("config"), tuple(given.pop("module") or ()), given.pop("json"))
        earlier = context.obj if isinstance(context.obj, State) else State()
        log_warnings()
        outcome = command(earlier.then(later), **given)
        return asyncio.run(outcome) if inspect.iscoroutine(outcome) else outcome

    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    context, *options, _version = inspect.signature(root, eval_str=True).parameters.values()
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (context, *own, *options)]
    functools.update_wrapper(run, command)
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    setattr(run, "__signature__", inspect.Signature(parameters))  # noqa: B010  functions have no such field for checkers
    return run
