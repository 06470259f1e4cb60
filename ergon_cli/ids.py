"""Flow ids from the command line: whole, or any part of one that fits one flow only.

A child's id begins with its parent's, so a part that fits a parent means the parent.
"""

from __future__ import annotations

from ergon_cli.exits import CommandError, ExitCode
from ergon_runtime import FlowQuery, FlowRow, Store

SHOWN = 5
MANY = 10_000


async def resolve(store: Store, part: str) -> FlowRow:
    """The flow with this id, or whose id alone has this part. Raises CommandError: NOT_FOUND; USAGE if several fit."""
    row = await store.get(part)
    if row is not None:
        return row
    found = await store.list(FlowQuery(part=part, limit=MANY)) if part else []
    ids = {row.id for row in found}
    rows = [row for row in found if row.parent not in ids]
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise CommandError(ExitCode.NOT_FOUND, f"no flow {part!r}", "see what there is: ergon list")
    shown = ", ".join(row.id for row in rows[:SHOWN]) + (", ..." if len(rows) > SHOWN else "")
    count = f"{len(rows)}" if len(rows) < MANY else f"{MANY} or more"
    raise CommandError(ExitCode.USAGE, f"{part!r} fits {count} flows: {shown}", "give more of the id")
