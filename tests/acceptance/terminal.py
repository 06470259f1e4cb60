"""A real command on a pseudo terminal of a given size. All that it writes is kept, and can be waited for."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 60.0
"""Seconds after which what a test waits for does not come any more."""
TAKE = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes the terminal the new session's own, so that Ctrl-C and changes of its size reach the command. Tests that run in
the background of a script have inherited that Ctrl-C is ignored."""


class Terminal:
    """A command that runs on a terminal."""

    def __init__(self, args: tuple[str, ...], place: dict[str, Any], columns: int, rows: int) -> None:
        self._fd, child = pty.openpty()
        self.size(columns, rows)
        command = [sys.executable, "-c", TAKE, sys.executable, "-m", "ergon_cli", *args]
        self.popen = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, start_new_session=True, **place)
        os.close(child)
        self._written = b""
        self._over = False

    @property
    def text(self) -> str:
        """What has been read so far."""
        return self._written.decode(errors="replace").replace("\r\n", "\n")

    def size(self, columns: int, rows: int) -> None:
        """Give the terminal this size; the command is told, as by any terminal."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def until(self, text: str) -> None:
        """Read until the command has written this, after what was asked for before."""
        end = time.monotonic() + PATIENCE
        while text not in self.text:
            over = self._over or time.monotonic() > end
            assert not over, f"no {text!r} in:\n{self.text}"
            self._read()

    def end(self) -> int:
        """Read all there is, until the command has ended; its exit code."""
        end = time.monotonic() + PATIENCE
        while not self._over:
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
            self._read()
        return self.popen.wait(PATIENCE)

    def forget(self) -> None:
        """Begin anew with what is written from now on."""
        self._written = b""

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait(PATIENCE)
        os.close(self._fd)

    def _read(self) -> None:
        if not select.select([self._fd], [], [], 0.2)[0]:
            return
        try:
            found = os.read(self._fd, 65_536)
        except OSError:  # how Linux tells that nobody has the other end open any more
            found = b""
        self._written += found
        self._over = not found


@contextmanager
def terminal(folder: Path, *args: str, columns: int = 60, rows: int = 24, **environ: str) -> Iterator[Terminal]:
    """Run `ergon` on a terminal in a folder; it is gone at the end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ERGON_", "LC_", "LANG"))}
    kept = {name: value for name, value in kept.items() if name not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")}
    root = Path(__file__).resolve().parents[2]
    environment = kept | {"PYTHONPATH": str(root), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"} | environ
    made = Terminal(args, {"cwd": folder, "env": environment}, columns, rows)
    try:
        yield made
    finally:
        made.close()
