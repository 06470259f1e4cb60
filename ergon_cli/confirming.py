"""Asking a person before much is changed or made. Programs, and whoever is sure, say --yes.

The question goes to stderr, the answer comes from stdin; both must be terminals. Anything but y or yes is a no.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.render import note
from ergon_cli.text import safe

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")]


def can_ask() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def check_can_ask(what: str, *, yes: bool) -> None:
    """Refuse what needs a yes where nobody can be asked. Raises CommandError: USAGE."""
    if not (yes or can_ask()):
        said = f"{what} asks first, and there is no terminal to ask on"
        raise CommandError(ExitCode.USAGE, said, "add --yes, or --dry-run to see what it would do")


async def confirm(question: str, *, yes: bool) -> bool:
    """Whether to go on: asked, unless `yes` says so. A no is told."""
    if yes:
        return True
    sys.stderr.write(f"{safe(question)} [y/N] ")
    sys.stderr.flush()
    if (await _line()).strip().lower() in ("y", "yes"):
        return True
    note("nothing was changed")
    return False


async def _line() -> str:
    """The next line typed. Waited for in the loop, so that Ctrl-C ends the command at once."""
    loop, typed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline()
