"""The kill loop: workers are killed, stopped and drained, under load, and nothing that was promised may break.

    python -m tests.kills.run 200 --store sqlite --flows 2000 --seed 1
    python -m tests.kills.run 100 --store redis --flows 2000 --server-kills 20

`200` counts workers that SIGKILL ended, at named points (tests/kills/points.py) and at random instants; stops for more
than a lease and drains come besides. Results come on stdout; what is wrong comes on stderr, and the exit code is 1. The
folder with the ledger and the logs is then kept.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kills.checker import Findings
from tests.kills.rig import Rig, Settings, play, rig
from tests.redis_server import Server, new_namespace

SHOWN = 20
"""How many violations are shown."""


async def killed(settings: Settings, folder: Path, server: Server | None = None, server_kills: int = 0) -> str:
    """One run; its figures. Raises AssertionError with all that is wrong."""
    begun = time.monotonic()
    async with rig(folder, settings) as made:
        made.voided = server_kills > 0
        others = [] if server is None else [_kill_servers(made, server, server_kills)]
        found = await play(made, *others)
    said = figures(made, found, time.monotonic() - begun)
    wrong = "\n".join(found.wrong[:SHOWN])
    assert not found.wrong, f"{len(found.wrong)} violations; {said}; again: {command(settings, server_kills)}\n{wrong}"
    return said


async def _kill_servers(made: Rig, server: Server, count: int) -> None:
    """SIGKILL the Redis server so many times, while workers are killed."""
    draw = random.Random(made.settings.seed + 1)
    for n in range(count):
        await asyncio.sleep(draw.uniform(0.1, 0.8))  # the instant is what is random here
        while made.done["kills"] * count < made.settings.kills * n:
            await asyncio.sleep(0.05)
        server.kill()
        await asyncio.sleep(draw.uniform(0, 0.3))
        await asyncio.to_thread(server.start)
        made.done["server kills"] += 1


def figures(made: Rig, found: Findings, seconds: float) -> str:
    """What was done and seen, on one line."""
    done = {**made.done, "at points": made.struck.total(), **found.figures}
    said, where = (", ".join(f"{what} {n}" for what, n in each.items()) for each in (done, made.struck))
    return f"{made.settings.store}, seed {made.settings.seed}, {seconds:.0f} s: {said} (points: {where})"


def command(settings: Settings, server_kills: int) -> str:
    """The command that repeats a run."""
    more = f" --server-kills {server_kills}" if server_kills else ""
    return (
        f"python -m tests.kills.run {settings.kills} --store {settings.store} --flows {settings.flows}"
        f" --seed {settings.seed} --lease {settings.lease}{more}"
    )


@contextmanager
def place(store: str, folder: Path, *, own_server: bool = False) -> Iterator[tuple[str, Server | None]]:
    """The address of a new store; with a Redis server of its own that forgets nothing, if it is to be killed."""
    if store == "sqlite":
        yield f"sqlite:///{folder}/ergon.db", None
    elif not own_server:
        yield new_namespace(), None
    else:
        server = Server(folder, "--appendfsync", "always")
        server.start()
        try:
            yield server.url, server
        finally:
            server.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int, help="workers that SIGKILL ends")
    parser.add_argument("--store", choices=("sqlite", "redis"), default="sqlite")
    parser.add_argument("--flows", type=int, default=0, help="flows scheduled, at least (10 per kill)")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--lease", type=float, default=1.0, help="seconds")
    parser.add_argument("--server-kills", type=int, default=0, help="kills of the Redis server")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ergon-kills-"))
    with place(given.store, folder, own_server=given.server_kills > 0) as (url, server):
        flows = given.flows or 10 * given.kills
        settings = Settings(given.store, url, given.kills, flows, given.seed, given.lease)
        try:
            print(asyncio.run(killed(settings, folder, server, given.server_kills)))
        except AssertionError as error:
            print(f"{error}\nkept: {folder}", file=sys.stderr)
            return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
