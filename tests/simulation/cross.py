"""Journals written by one Python and hash seed, replayed under others.

`python -m tests.simulation.cross record FILE SEEDS [--first N]` simulates and keeps every journal; `replay FILE` feeds
them to fresh machines, which must deliver the same and end alike; `changed FILE` does so with code in which steps have
other names, which must be noticed wherever a journal holds one of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ergon_runtime.core.entries import Outcome, Recorded, StepEnded, StepStopped, pack, unpack
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.flows import FlowQuery, FlowRow
from tests.simulation.ledger import lives
from tests.simulation.programs import RENAMED, Code
from tests.simulation.replays import Trace, from_base, replay, same_end
from tests.simulation.run import one


@dataclass(frozen=True, slots=True)
class Kept:
    """A flow and its journal, from its base on, as a file keeps it. `end` is None for a flow that has not ended."""

    id: str
    type: str
    version: str | None
    seed: str
    started: int
    args: str
    end: str | None
    base: int
    entries: list[tuple[int, str]]
    trace: Trace

    def records(self) -> list[Recorded]:
        return [unpack(entry.encode(), self.base + n) for n, (_, entry) in enumerate(self.entries)]


def record(path: Path, seeds: range) -> int:
    """Simulate, and keep what every flow left; how many flows."""
    kept = [flow for seed in seeds if seed % 5 for flow in _flows_of(seed)]  # every fifth seed changes code midway
    path.write_text(json.dumps([asdict(flow) for flow in kept]))
    return len(kept)


def _flows_of(seed: int) -> Iterator[Kept]:
    world = one(seed)
    for row in world.core.list(FlowQuery(limit=1_000_000)):
        records = from_base(world.journals(row.id))
        if records:
            yield _keep(row, records)


def _keep(row: FlowRow, records: Sequence[Recorded]) -> Kept:
    again = replay(row, row.args.decode(), records, ended=row.status.ended, code=Code())
    return Kept(
        id=row.id,
        type=row.type,
        version=row.version,
        seed=row.seed,
        started=row.started or 0,
        args=row.args.decode(),
        end=None if row.result is None else row.result.decode(),
        base=records[0].seq,
        entries=[(each.commit, pack(each.entry, each.commit).decode()) for each in records],
        trace=again.trace,
    )


def read(path: Path) -> list[Kept]:
    """What a file keeps."""
    rows = json.loads(path.read_text())
    for row in rows:
        row["trace"] = [tuple(each) for each in row["trace"]]
        row["entries"] = [tuple(each) for each in row["entries"]]
    return [Kept(**row) for row in rows]


def differs(flow: Kept) -> str | None:
    """What a replay here does otherwise, if anything."""
    try:
        again = replay(flow, flow.args, flow.records(), ended=flow.end is not None, code=Code())
    except Fault as fault:
        return f"{fault.kind}: {fault}"
    if again.trace != flow.trace:
        return f"delivered {again.trace}, not {flow.trace}"
    if flow.end is not None and (again.asked or not same_end(again.end, Outcome.unpack(flow.end.encode()))):
        return f"ended with {again.end} and asks for {again.asked}, not {flow.end}"
    return None


def holds_renamed(flow: Kept) -> bool:
    """Whether the last life of a journal has the end of a step that changed code calls by another name."""
    rows = lives(flow.records())
    last = rows[-1][0]
    ends = [entry for life, _, entry in rows if life == last and isinstance(entry, StepEnded | StepStopped)]
    return any(entry.name in RENAMED for entry in ends)


def notices(flow: Kept) -> bool:
    """Whether changed code is told from the code that wrote the journal."""
    try:
        replay(flow, flow.args, flow.records(), ended=flow.end is not None, code=Code(renamed=True))
    except Fault as fault:
        return fault.kind is FaultKind.DIVERGED
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.cross", description="Replay elsewhere.")
    parser.add_argument("what", choices=["record", "replay", "changed"])
    parser.add_argument("file", type=Path)
    parser.add_argument("seeds", type=int, nargs="?", default=100)
    parser.add_argument("--first", type=int, default=50_000)
    options = parser.parse_args(arguments)
    python = sys.version.split()[0]
    if options.what == "record":
        count = record(options.file, range(options.first, options.first + options.seeds))
        print(f"Python {python} recorded {count} journals")
        return 0
    flows = read(options.file)
    if options.what == "replay":
        bad = [(flow.id, found) for flow in flows if (found := differs(flow))]
        print(f"Python {python} replayed {len(flows)} journals, {len(bad)} went otherwise")
    else:
        flows = [flow for flow in flows if holds_renamed(flow)]
        bad = [(flow.id, "went unnoticed") for flow in flows if not notices(flow)]
        print(f"Python {python}, changed code: of {len(flows)} journals {len(bad)} went unnoticed")
    for flow_id, problem in bad[:10]:
        print(f"{flow_id}: {problem[:500]}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
