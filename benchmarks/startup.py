"""How soon commands start (T10): `python -m benchmarks.startup [--rounds 15]`.

Each command runs in turn, round after round, in this environment, on a store with one flow; beside them are the help
of a Typer program with two commands, and `python -c pass`. A figure is the median of what one run took of the CPU, the
beginning and end of the process included; with it go the time on the clock, and both as multiples of the other two. All
bytecode is compiled before, into a folder of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.results import emit

ROOT = Path(__file__).resolve().parent.parent
BARE = "python -c pass"
TYPER = "typer, two commands --help"
PROGRAM = """
import typer
app = typer.Typer()
@app.command()
def one(name: str): ...
@app.command()
def two(name: str): ...
app()
"""
FLOWS = """
from ergon_runtime import flow
@flow
async def hello(): ...
"""
OURS = ("--version", "--help", "list", "signal name 1", "inspect one", "cancel none", "schedule hello --id one")
Spent = tuple[float, float]
"""Seconds of CPU, and on the clock."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "flows.py").write_text(FLOWS)
        (folder / "program.py").write_text(PROGRAM)
        ergon = (sys.executable, "-m", "ergon_cli")
        commands: dict[str, Sequence[str]] = {
            BARE: (sys.executable, "-c", "pass"),
            TYPER: (sys.executable, "program.py", "--help"),
            **{f"ergon {line}": (*ergon, *line.split()) for line in OURS},
        }
        for command in (*commands.values(), *commands.values()):
            run(command, folder)
        taken: dict[str, list[Spent]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                taken[name].append(run(command, folder))
        tell(taken, rounds)


def run(command: Sequence[str], folder: Path) -> Spent:
    """What one run of a command takes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
    environment |= {"ERGON_STORE": "sqlite:///ergon.db"}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - began


def tell(taken: Mapping[str, Sequence[Spent]], rounds: int) -> None:
    """Print the figures."""
    middle = {name: (median(cpu for cpu, _ in runs), median(wall for _, wall in runs)) for name, runs in taken.items()}
    for name, (cpu, wall) in middle.items():
        emit(
            *("T10", name, round(cpu * 1000, 1), "ms of CPU"),
            wall_ms=round(wall * 1000, 1),
            of_pass=round(cpu / middle[BARE][0], 2),
            of_typer=round(cpu / middle[TYPER][0], 2),
            wall_of_typer=round(wall / middle[TYPER][1], 2),
            rounds=rounds,
            python=sys.version.split()[0],
            typer=version("typer"),
        )


if __name__ == "__main__":
    main()
