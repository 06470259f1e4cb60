"""The nursery: a process that has loaded everything and forks `ergon` processes, which costs a tenth of a cold start.

It has one thread and no store, so a fork of it is as good as a new process. It reads orders from stdin, one a line of
JSON, and says on stdout what becomes of its children. Only it sends them signals: it knows which pids are still theirs.
At the end of stdin it kills them all. PYTHONHASHSEED has to be the store's (L8).

    {"start": 3, "args": ["worker", ...], "environ": {...}, "log": "...", "folder": "...", "cold": false}
    {"signal": 9, "to": 3}
    -> {"number": 3, "event": "started" | "stopped" | "ended" | "signalled", "code": ..., "at": boot clock, ms}
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import sys
from importlib import import_module
from typing import Any

from ergon_cli.app import main as ergon
from tests.kills.ledger import boot_ms

COMMANDS = ("worker", "schedule", "signal")
STORES = {"sqlite": "ergon_runtime.stores.sqlite.store", "redis": "ergon_runtime.stores.redis.store"}


class Nursery:
    """Its children by number."""

    def __init__(self) -> None:
        self.pids: dict[int, int] = {}
        self._rest = b""

    def serve(self, bell: int) -> dict[str, Any] | None:
        """Take orders until there are no more: None. In a child: what it is to run."""
        with selectors.DefaultSelector() as both:
            both.register(0, selectors.EVENT_READ)
            both.register(bell, selectors.EVENT_READ)
            while True:
                for key, _ in both.select():
                    if key.fd == bell:
                        os.read(bell, 4096)
                        self._look()
                        continue
                    data = os.read(0, 65536)
                    if not data:
                        return None
                    if (order := self._orders(data)) is not None:
                        return order

    def kill_all(self) -> None:
        for pid in self.pids.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _orders(self, data: bytes) -> dict[str, Any] | None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "start" not in order:
                self._signal(order["to"], order["signal"])
            elif (pid := os.fork()) == 0:
                return dict(order)
            else:
                self.pids[order["start"]] = pid
                _say(order["start"], "started", pid)
        return None

    def _signal(self, number: int, what: int) -> None:
        if (pid := self.pids.get(number)) is not None:
            at = boot_ms()
            os.kill(pid, what)
            _say(number, "signalled", what, at)

    def _look(self) -> None:
        """See who has ended or stopped."""
        for number, pid in list(self.pids.items()):
            found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
            if found and os.WIFSTOPPED(status):
                _say(number, "stopped", os.WSTOPSIG(status))
            elif found:
                del self.pids[number]
                _say(number, "ended", os.waitstatus_to_exitcode(status))


def _say(number: int, event: str, code: int, at: int | None = None) -> None:
    said = {"number": number, "event": event, "code": code, "at": boot_ms() if at is None else at}
    os.write(1, json.dumps(said).encode() + b"\n")


def _become(order: dict[str, Any]) -> int:
    """Be an `ergon` process. Returns its exit code."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(order["folder"])
    os.environ.update(order["environ"])
    argv = [sys.executable, "-m", "ergon_cli", *order["args"]]
    if order["cold"]:
        os.execv(sys.executable, argv)
    if order["args"][0] != "worker":  # clients may load no modules, and are to die at points as well
        import_module("tests.kills.points").arm(os.environ["ERGON_STORE"])
    sys.argv = argv[2:]
    return ergon(order["args"])


def main() -> int:
    for command in COMMANDS:
        import_module(f"ergon_cli.commands.{command}")
    import_module(STORES[sys.argv[1]])
    import_module("ergon_runtime.client")
    import_module("ergon_runtime.worker")
    gc.freeze()
    bell, ring = os.pipe()
    os.set_blocking(bell, False)
    os.set_blocking(ring, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    nursery = Nursery()
    order = nursery.serve(bell)
    if order is not None:
        os.close(bell)
        os.close(ring)
        return _become(order)
    nursery.kill_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
