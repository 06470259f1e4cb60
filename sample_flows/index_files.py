"""An index of the files below a folder: SHA-256, size and number of lines of each, with totals.

Shows a fan-out with asyncio.gather, in batches, of one step per file; and a flow of thousands of steps that survives
its worker. The list of files is made in a step as well: what a flow's code decides on must be recorded.

    ergon worker -m sample_flows/index_files.py
    ergon schedule index_files -m sample_flows/index_files.py -a report=/tmp/index.json --wait

It indexes the standard library of the worker's Python, or `-a folder=DIR`; regular files only, without caches
(__pycache__, *.pyc) and installed packages (site-packages). The result, also written to `report` if one is named, is
`root`, the totals `count`, `size` (bytes) and `lines`, and `files`: for each its `path`, `sha256`, `size` and `lines`.
It is sorted by path, and equal to what sha256sum and wc say.

For experiments, in the worker's environment: ERGON_DELAY makes each step that many seconds slower; ERGON_LEDGER names a
file that gets a line `flow key attempt pid` each time a step's body has done its work.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sysconfig
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ergon_runtime import flow, step, step_info

LEFT_OUT = {"__pycache__", "site-packages"}


@dataclass(frozen=True)
class Listing:
    root: str
    paths: list[str]


@dataclass(frozen=True)
class FileFacts:
    path: str
    sha256: str
    size: int
    lines: int


@dataclass(frozen=True)
class Index:
    root: str
    count: int
    size: int
    lines: int
    files: list[FileFacts]


@step
def list_files(folder: str | None) -> Listing:
    """Every regular file below the folder, sorted. Raises NotADirectoryError."""
    root = Path(folder or sysconfig.get_path("stdlib")).resolve()
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder")
    paths: list[str] = []
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        found = (Path(place, name) for name in names if not name.endswith(".pyc"))
        paths += [path.relative_to(root).as_posix() for path in found if path.is_file() and not path.is_symlink()]
    leave_trace()
    return Listing(str(root), sorted(paths))


@step
def measure(root: str, path: str) -> FileFacts:
    digest, size, lines = hashlib.sha256(), 0, 0
    with Path(root, path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
            lines += block.count(b"\n")
    leave_trace()
    return FileFacts(path, digest.hexdigest(), size, lines)


@step
def write_report(index: Index, report: str) -> None:
    """Write it whole or not at all, so that a second try does no harm."""
    draft = Path(f"{report}.part")
    draft.write_text(json.dumps(asdict(index), indent=1) + "\n")
    draft.replace(report)
    leave_trace()


@flow
async def index_files(folder: str | None = None, report: str | None = None, batch: int = 50) -> Index:
    listing = await list_files(folder)
    files: list[FileFacts] = []
    for start in range(0, len(listing.paths), batch):
        files += await asyncio.gather(*(measure(listing.root, path) for path in listing.paths[start : start + batch]))
    totals = (len(files), sum(file.size for file in files), sum(file.lines for file in files))
    index = Index(listing.root, *totals, files)
    if report is not None:
        await write_report(index, report)
    return index


def leave_trace() -> None:
    time.sleep(float(os.environ.get("ERGON_DELAY", "0")))
    if ledger := os.environ.get("ERGON_LEDGER"):
        info = step_info()
        line = f"{info.flow_id} {info.key} {info.attempt} {os.getpid()}\n"
        file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line.encode())  # one write, so that lines of several workers never mix
        finally:
            os.close(file)
