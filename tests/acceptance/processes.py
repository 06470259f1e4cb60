"""Real `ergon` processes for acceptance tests: run to the end, or as workers that tests kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Shop:
    """A folder with a store, in which commands run; `options` are those of every worker."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    workers: list[Process] = field(default_factory=list)

    def place(self) -> dict[str, Any]:
        """What subprocess.run needs to run something else here."""
        return {"env": self._environment(), "cwd": self.folder}

    def run(
        self, *args: str, code: int | None = 0, given: str | None = None, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; fail if it ends with another code. `more` goes to subprocess.run."""
        done = subprocess.run(
            [sys.executable, "-m", "ergon_cli", *args],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **({"cwd": self.folder, "input": given} | more),
        )
        assert code is None or done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *args: str) -> Any:
        return json.loads(self.run(*args, "--json").stdout)

    def worker(self, *args: str) -> Process:
        """Start a worker in the background."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as stream:
            popen = subprocess.Popen(
                [sys.executable, "-m", "ergon_cli", "worker", *self.options, *args],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        process = Process(popen, log)
        self.workers.append(process)
        return process

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ERGON_")}
        return kept | {"PYTHONPATH": str(ROOT)} | self.environ


@dataclass
class Process:
    """A worker process and its log."""

    popen: subprocess.Popen[bytes]
    log: Path

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.popen.kill()
        self.popen.wait(10)

    def end(self, timeout: float = 60) -> int:
        """Wait for its end; its exit code."""
        return self.popen.wait(timeout)

    def is_stopped(self) -> bool:
        """Whether SIGSTOP has taken effect."""
        stat = Path(f"/proc/{self.popen.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def text(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def shop(folder: Path, **environ: str) -> Iterator[Shop]:
    """A folder to run commands in; whatever still runs at the end is killed."""
    made = Shop(folder, environ)
    try:
        yield made
    finally:
        for process in made.workers:
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGCONT)
                process.kill()


def until(condition: Callable[[], bool], timeout: float = 60.0, what: str = "it") -> None:
    """Poll until the condition holds; fail at the deadline."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {timeout} s"
        time.sleep(0.02)


def warnings_in(log: str) -> list[str]:
    """Log lines at WARNING or above, and tracebacks."""
    words = (" WARNING ", " ERROR ", " CRITICAL ", "Traceback")
    return [line for line in log.splitlines() if any(word in line for word in words)]
