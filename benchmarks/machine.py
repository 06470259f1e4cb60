"""The machine that the figures come from, in a few words each."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.results import Setting


def machine() -> dict[str, Setting]:
    """What matters to the figures of this machine."""
    return {
        "commit": commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _first(Path("/proc/cpuinfo"), r"model name\s*: (.*)"),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "disk": disk(Path(tempfile.gettempdir())),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": round(os.getloadavg()[0], 1),
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
    }


def commit() -> str:
    """The commit that is checked out, `+` if files differ from it."""
    root = Path(__file__).resolve().parent
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.stdout.strip()


def disk(folder: Path) -> str:
    """Device and file system below a folder, as far as the system tells."""
    mounts = [line.split()[:3] for line in Path("/proc/mounts").read_text().splitlines()]
    below = [(point, device, kind) for device, point, kind in mounts if folder.resolve().is_relative_to(point)]
    _, device, kind = max(below, key=lambda mount: len(mount[0]))
    name = re.sub(r"\d+$|p\d+$", "", Path(device).name)
    rotational = Path(f"/sys/block/{name}/queue/rotational")
    turns = (
        {"0": ", not rotational", "1": ", rotational"}.get(rotational.read_text().strip())
        if rotational.exists()
        else ""
    )
    return f"{device} ({kind}{turns})"


def _first(path: Path, pattern: str) -> str:
    found = re.search(pattern, path.read_text()) if path.exists() else None
    return found[1].strip() if found else platform.machine()
