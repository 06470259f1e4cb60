"""The environments of the systems: a virtual one each, in `.venv-bench`, made when first asked for.

What cannot be installed here is said, and the rest runs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-bench"
PACKAGES = {
    "ergon": ("-e", f"{ROOT}"),
    "pyergon": ("pyergon==0.8.1",),
    "dbos": ("dbos>=3,<4",),
    "restate": ("restate-sdk>=1,<2", "hypercorn"),
}
SERVER = "@restatedev/restate-server@1.7"
"""Restate's server, from npm."""


class NotInstalled(Exception):
    """An environment could not be made; its message says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a system's programs run; `server` is the path of the server that they start."""

    python: Path
    server: str = ""


def environment(name: str) -> Environment:
    """Find or make an environment. Raises NotInstalled."""
    folder, packages = FOLDER / name, PACKAGES[name]
    python, mark = folder / "bin" / "python", folder / "installed"
    wanted = " ".join((*packages, sys.version.split()[0]))
    if not mark.exists() or mark.read_text() != wanted:
        print(f"making {folder.relative_to(ROOT)}", file=sys.stderr)
        _call(sys.executable, "-m", "venv", "--clear", str(folder))
        _call(str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *packages)
        mark.write_text(wanted)
    return Environment(python, _restate_server() if name == "restate" else "")


def _restate_server() -> str:
    folder = FOLDER / "npm"
    pattern = "node_modules/@restatedev/restate-server-*/bin/restate-server"
    if not list(folder.glob(pattern)):
        npm = shutil.which("npm")
        if npm is None:
            raise NotInstalled("Restate's server comes from npm, and there is no npm here")
        folder.mkdir(parents=True, exist_ok=True)
        _call(npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", SERVER)
    found = list(folder.glob(pattern))
    if not found:
        raise NotInstalled(f"npm has no {SERVER} for this machine")
    return str(found[0])


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalled(f"{' '.join(command)[:100]}: {said[-1] if said else done.returncode}")
