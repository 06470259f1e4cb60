"""A process of the load rig that writes to a store as a worker does, group after group, until it is told to stop.

    python -m tests.stores.sqlite.writers PATH NAME FLOWS [WISH]

It runs FLOWS flows at a time from their creation to their end, and prints `commits N checkpoints M` when its stdin is
closed. WISH is the length of log, in bytes, from which it makes a checkpoint; 100 kB more, and it insists.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import sys

from ergon_runtime.core.flows import Claim, ClaimRequest, Commit, NewFlow, Status
from ergon_runtime.stores.sqlite import SQLiteStore, gate

ENTRY = b"x" * 300
STEPS = 4


async def _live(store: SQLiteStore, claim: Claim) -> int:
    """Some steps, then the end; how many commits that took."""
    head, numbers = claim.head, itertools.count()
    for start in range(STEPS):
        commit = Commit(f"{claim.lease.token}.{next(numbers)}", claim.lease, head, start, 60_000, entries=(ENTRY,))
        await store.commit(commit)
        head = commit.id
    end = Commit(
        f"{claim.lease.token}.end", claim.lease, head, STEPS, 60_000, status=Status.COMPLETED, release=True, result=b"1"
    )
    await store.commit(end)
    return STEPS + 1


async def write(path: str, name: str, flows: int, stop: asyncio.Event) -> int:
    """Write until `stop`; how many commits there were."""
    store, commits = SQLiteStore(path), 0
    lane = f"default:{name}:"
    await store.open()
    try:
        for turn in itertools.count():
            if stop.is_set():
                return commits
            new = [NewFlow(f"{name}.{turn}.{n}", name, None, lane, b"{}", "s") for n in range(flows)]
            await asyncio.gather(*(store.create(flow) for flow in new))
            claims = (await store.claim(ClaimRequest(name, 60_000, flows, (lane,)))).claims
            commits += flows + sum(await asyncio.gather(*(_live(store, claim) for claim in claims)))
    finally:
        await store.close()
    raise AssertionError("not reached")


async def _main() -> None:
    path, name, flows, *wish = sys.argv[1:]
    if wish:
        gate._WISH, gate._NEED = int(wish[0]), int(wish[0]) + 100_000
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, stop.set)
    checkpoints, empty = itertools.count(), gate._empty

    def counted(conn: sqlite3.Connection, *, cut: bool, wait: int) -> None:
        next(checkpoints)
        empty(conn, cut=cut, wait=wait)

    gate._empty = counted
    print("commits", await write(path, name, int(flows), stop), "checkpoints", next(checkpoints), flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
