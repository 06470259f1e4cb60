"""Replaying histories that were recorded under several hash seeds: a process for each seed, and one outcome (rule L8).

Each process is this same command line under its seed. It replays the histories of that seed and prints their reports,
which are read here; what else it says goes to stderr as ever. The code of the flows is not loaded here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence

import typer

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.hashseed import VARIABLE
from ergon_cli.recordings import read_recordings
from ergon_cli.text import json_line
from ergon_runtime.histories import MAX_LINE, FlowHistory
from ergon_runtime.replay import ReplayReport

PART = "ERGON_REPLAY_PART"
"""Set for a process that replays the histories of its own seed and prints their reports."""


def is_part() -> bool:
    """Whether this process works for one that merges."""
    return PART in os.environ


def histories_of_part(files: Sequence[str]) -> Iterator[FlowHistory]:
    """The histories of this process's own seed. What cannot be read, the other one tells."""
    seed = os.environ[VARIABLE]
    for found in read_recordings(files):
        if isinstance(found, FlowHistory) and found.hash_seed == seed:
            yield found


@contextlib.contextmanager
def telling() -> Generator[Callable[[ReplayReport], None]]:
    """Gives what tells a report to the one that merges. All else that goes to standard output meanwhile and later,
    past `sys.stdout` too and from processes that flow code starts, goes to stderr."""
    with open(os.dup(1), "w", encoding="utf-8") as pipe:
        os.dup2(2, 1)

        def tell(report: ReplayReport) -> None:
            pipe.write(json_line(report.to_json()) + "\n")
            pipe.flush()

        yield tell


async def reports_by_seed(files: Sequence[str], seeds: Sequence[str]) -> AsyncGenerator[ReplayReport | CommandError]:
    """The reports of all histories, seed by seed, after the errors of what cannot be read.

    Raises typer.Exit with the code of a process that came to no end; it has said why.
    """
    for found in read_recordings(files):
        if isinstance(found, CommandError):
            yield found
    for seed in seeds:
        async with contextlib.aclosing(_reports(seed)) as reports:
            async for report in reports:
                yield report


async def _reports(seed: str) -> AsyncGenerator[ReplayReport]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *sys.orig_argv[1:]),
        env=os.environ | {VARIABLE: seed, PART: "1"},
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE,
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            yield ReplayReport.from_json(json.loads(line))
        if code := await process.wait():
            raise typer.Exit(max(code, ExitCode.UNEXPECTED))  # below 0 it was killed
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
