"""Where the fuzzers play: a folder with flows, a store in which flows stand in every way, odd files; and the command
line, run on it in this process.

A `Ground` takes its process over: the current folder, the environment, standard streams and the alarm clock are its
own. So it is for a process that does nothing else. Each command finds the store as it was at first, if `renew` was
called before it.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import shutil
import signal
import sqlite3
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ergon_cli.app
from ergon_runtime import Status, open_store, registry
from ergon_runtime.core.flows import ClaimRequest
from tests.fuzz.case import Stuck
from tests.fuzz.hostile import TERMINAL
from tests.fuzz.oracle import Ran

ROOT = Path(__file__).resolve().parents[2]
STORE = "ergon.db"
ODD = TERMINAL.replace("\x00", "")
NUDGE = 0.7
"""Seconds after which a command that may go on for ever gets a Ctrl-C."""
SCHEDULED: tuple[tuple[str, ...], ...] = (
    ("fuzz_order", "-a", "n=1", "-a", f"note={ODD}", "--id", "done"),
    ("fuzz_any", "--input", '{"value": {"a": [1, {"$datetime": "2026-01-01T00:00:00+00:00"}]}}', "--id", "any"),
    ("fuzz_fails", "-a", f"text={ODD}", "--id", "failed"),
    ("fuzz_flaky_flow", "-a", f"text={ODD}", "--id", "flaky"),
    ("fuzz_waits", "-a", "name=go", "--id", "waits-1"),
    ("fuzz_waits", "-a", f"name={ODD}", "--id", "waits-2"),
    ("fuzz_sleeps", "-a", "seconds=99999", "--id", "sleeps"),
    ("fuzz_parent", "-a", "name=child", "--id", "parent"),
    ("FuzzReport", "-a", "title=t", "--id", "report"),
    ("fuzz_waits", "-a", "name=gone", "--id", "cancelled"),
)


class Replaced(BaseException):
    """The process would have begun again, with this environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__()
        self.environ = environ


class Terminal(io.TextIOWrapper):
    """A terminal, as far as writers can tell."""

    def isatty(self) -> bool:
        return True


class Ground:
    """The folder, and `ergon` in it. `patience`: seconds after which a command is stuck."""

    def __init__(self, folder: Path, patience: float = 20.0) -> None:
        self.folder, self._patience = folder.resolve(), patience
        self._out, self._err = self.folder / ".out", self.folder / ".err"
        self._own_environ()
        self._fill()

    def renew(self) -> None:
        """The store as it was at first, and no file that a command has made."""
        for path in self.folder.iterdir():
            if path.name not in self._kept:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.copyfile(self.folder / ".template", self.folder / STORE)

    @contextmanager
    def rows(self) -> Iterator[sqlite3.Connection]:
        """The store's tables, to change them by hand."""
        conn = sqlite3.connect(self.folder / STORE)
        try:
            yield conn
            conn.commit()
        finally:
            conn.close()

    def run(
        self,
        args: Sequence[str],
        *,
        stdin: bytes = b"",
        environ: Mapping[str, str] | None = None,
        stops: bool = False,
        terminal: str | None = None,
    ) -> Ran:
        """Run a command line. `stops`: it may go on for ever, and gets a Ctrl-C after a moment. `terminal`: somebody
        looks, at a terminal with this encoding."""
        os.chdir(self.folder)
        self._own_environ(environ)
        (self.folder / ".in").write_bytes(stdin)
        with self._streams(terminal):
            stopped, code, raised = False, None, None
            try:
                with self._clock(stops) as clock, _forgotten(self.folder):
                    try:
                        code = _main(list(args))
                    finally:
                        clock.over = True
                    stopped = clock.stopped
            except Stuck:
                raised = f"stuck: no end within {self._patience} s"
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
            except KeyboardInterrupt:
                code, stopped = 130, True
            except BaseException as error:
                raised = f"{type(error).__name__} came through: {error!r:.300}"
            sys.stdout.flush()
            sys.stderr.flush()
        encoding = terminal or "utf-8"
        out, err = (path.read_bytes().decode(encoding, "backslashreplace") for path in (self._out, self._err))
        return Ran(tuple(args), code, out, err, raised, stopped)

    def _own_environ(self, extra: Mapping[str, str] | None = None) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONHASHSEED", "LANG") if name in os.environ}
        os.environ.clear()
        os.environ.update(kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"} | dict(extra or {}))

    @contextmanager
    def _streams(self, terminal: str | None) -> Iterator[None]:
        """Standard streams that are files, for this process and those that it starts. Python may take two of them for a
        terminal."""
        saved, python = [os.dup(number) for number in range(3)], (sys.stdin, sys.stdout, sys.stderr)
        opened = [
            os.open(self.folder / ".in", os.O_RDONLY),
            os.open(self._out, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND),
            os.open(self._err, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND),
        ]
        for number, descriptor in enumerate(opened):
            os.dup2(descriptor, number)
            os.close(descriptor)
        made = io.TextIOWrapper if terminal is None else Terminal
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
        sys.stdout, sys.stderr = (
            made(os.fdopen(number, "wb", closefd=False), encoding=terminal or "utf-8") for number in (1, 2)
        )
        try:
            yield
        finally:
            for stream in (sys.stdin, sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.close()
            sys.stdin, sys.stdout, sys.stderr = python
            for number, descriptor in enumerate(saved):
                os.dup2(descriptor, number)
                os.close(descriptor)

    @contextmanager
    def _clock(self, stops: bool) -> Iterator[_Clock]:
        clock = _Clock(stops, self._patience)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may have been ignored
        signal.signal(signal.SIGALRM, clock.rings)
        signal.setitimer(signal.ITIMER_REAL, NUDGE if stops else self._patience)
        try:
            yield clock
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)

    def _fill(self) -> None:
        """Make what is there at first."""
        (self.folder / "flows.py").write_text((ROOT / "tests/fuzz/ground_flows.py").read_text())
        for name, data in {
            "empty": b"",
            "latin.json": b'{"n": "\xfc"}',
            "args.json": b'{"n": 4}',
            "big.json": b'"' + b"x" * 2_100_000 + b'"',
            "deep.json": b"[" * 100_000,
            "no_flows.py": b"x = 1\n",
            "raises.py": b"raise ValueError('\\x1b[2J')\n",
            "syntax.py": b"def (\n",
            "not_a.db": b"SQLite format 3\x00" + b"\xff" * 5000,
            "odd\x1b[31m\u202e.py".encode(): b"x = 1\n",
        }.items():
            (self.folder / os.fsdecode(name)).write_bytes(data)
        (self.folder / "folder").mkdir()
        (self.folder / "loop").symlink_to("loop")
        self._kept: set[str] = set()
        for words in SCHEDULED:
            self._must("schedule", *words)
        self._must("worker", "--burst")
        self._must("signal", "go", '"yes"')
        self._must("signal", "nobody", '{"a": 1}')
        self._must("cancel", "cancelled")
        self._must("worker", "--burst")
        self._must("schedule", "fuzz_order", "-a", "n=2", "--id", "later", "--delay", "1d")
        self._must("schedule", "fuzz_waits", "-a", "name=held", "--id", "held")
        asyncio.run(_hold(f"sqlite:///{self.folder / STORE}"))
        paused = self._must("export", "waits-1").replace('"waits-1"', '"blocked"')
        (self.folder / "paused.jsonl").write_text(paused)
        self._must("import", "paused.jsonl")
        self._must("schedule", "fuzz_order", "-a", "n=3", "--id", "pending")
        self._must("export", "--all", "-o", "all.jsonl")
        self._must("export", "failed", "-o", "failed.jsonl")
        self._must("import", "all.jsonl", "--store", "sqlite:///other.db")
        self.statuses = {
            words[0]: words[2] for line in self._must("list", "-n", "99").splitlines() if (words := line.split("\t"))
        }
        assert set(self.statuses.values()) == set(Status), self.statuses
        with self.rows() as conn:
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.seed = str(conn.execute("SELECT value FROM meta WHERE key = 'hash_seed'").fetchone()[0])
        os.environ["PYTHONHASHSEED"] = self.seed
        (self.folder / STORE).rename(self.folder / ".template")
        self._kept = {path.name for path in self.folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}
        self.renew()

    def _must(self, *args: str) -> str:
        ran = self.run(args)
        assert ran.code == 0, ran
        return ran.out


class _Clock:
    """What happens when a command takes long."""

    def __init__(self, stops: bool, patience: float) -> None:
        self._stops, self._patience, self.stopped, self.over = stops, patience, False, False

    def rings(self, *_: object) -> None:
        if self.over:
            return
        if not self._stops or self.stopped:
            raise Stuck
        self.stopped = True
        signal.setitimer(signal.ITIMER_REAL, self._patience)
        signal.raise_signal(signal.SIGINT)


def _main(args: list[str]) -> int:
    """The command, begun again if it begins itself again."""
    sys.orig_argv[:] = [sys.executable, "-m", "ergon_cli", *args]
    os.execve = _replaced
    for _ in range(3):
        try:
            return ergon_cli.app.main(args)
        except Replaced as again:
            os.environ["PYTHONHASHSEED"] = again.environ["PYTHONHASHSEED"]
    raise AssertionError("it begins again and again")


def _replaced(_path: Any, _argv: Any, env: Any) -> Any:
    raise Replaced(env)


@contextmanager
def _forgotten(folder: Path) -> Iterator[None]:
    """What a command loads and sets up is gone afterwards."""
    modules, paths = set(sys.modules), list(sys.path)
    try:
        with registry.isolated(), warnings.catch_warnings():
            yield
    finally:
        sys.path[:] = paths
        logging.getLogger().handlers.clear()
        for name in set(sys.modules) - modules:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]


async def _hold(url: str) -> None:
    """A worker that has died holds a flow."""
    async with open_store(url) as store:
        claimed = await store.claim(ClaimRequest("dead\x1b[2J", 3_600_000, 1, ids=("held",)))
        assert len(claimed.claims) == 1
