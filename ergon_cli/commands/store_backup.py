"""`ergon store backup`: a consistent copy of a SQLite store's file, while workers run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, assert_never

import typer

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.options import State
from ergon_cli.progress import Progress
from ergon_cli.render import is_terminal, note, say, say_json
from ergon_cli.stores import NoStore
from ergon_runtime import StoreMissing
from ergon_runtime.config import Config
from ergon_runtime.stores.redis.address import RedisAddress
from ergon_runtime.stores.sqlite.backup import back_up
from ergon_runtime.stores.url import MemoryAddress, SQLiteAddress, parse

EPILOG = (
    "\b\nExamples:\n  ergon store backup monday.db\n  ergon store backup /mnt/monday.db --store sqlite:////srv/ergon.db"
)


async def backup(
    state: State,
    target: Annotated[str, typer.Argument(metavar="DEST", help="The file to write. It must not be there yet.")],
) -> ExitCode:
    """Write a backup of a SQLite store to a new file. Workers may run meanwhile."""
    config = state.load(memory=True)
    source = _source(config)
    if "://" in target:
        said = f"{target} is an address; a backup is a file"
        raise CommandError(ExitCode.USAGE, said, "name the file: ergon store backup monday.db")
    bar = Progress("pages")
    if not state.json and not is_terminal(sys.stderr):
        note("copying; then the copy is checked")
    try:
        size = await back_up(source.path, Path(target), bar.tell, network=source.network)
    except StoreMissing:
        raise NoStore(source.shown, config) from None
    finally:
        bar.clear()
    if state.json:
        say_json({"source": source.shown, "backup": target, "bytes": size})
    else:
        say(f"backed up and checked: {target}, {-(-size // 1024)} KiB")
    return ExitCode.OK


def _source(config: Config) -> SQLiteAddress:
    address = parse(config.store_url)
    match address:
        case SQLiteAddress():
            return address
        case MemoryAddress():
            said, hint = (
                "memory:// keeps nothing from one command to the next",
                "name a file: --store sqlite:///ergon.db",
            )
        case RedisAddress():
            said = f"{address.shown} is a Redis server, whose files are its own"
            hint = "save them there (BGSAVE), or, with all workers stopped: ergon store copy REDIS sqlite:///backup.db"
        case _:
            assert_never(address)
    raise CommandError(ExitCode.USAGE, said, hint)
