"""What `worker` and `run` share: how a process that runs flows is stopped.

The first SIGTERM or SIGINT drains: running steps end, the rest is handed back. The second stops at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from ergon_cli.exits import ExitCode
from ergon_cli.render import note
from ergon_runtime import RunningWorker

STOP_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Stop:
    """Whether a signal asked to stop; `code` is what the shell should see then."""

    def __init__(self, running: RunningWorker) -> None:
        self.code = ExitCode.OK
        self._asked, self._running = asyncio.Event(), running

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    async def wait(self) -> None:
        """Until a signal asks."""
        await self._asked.wait()

    def on_signal(self, number: signal.Signals) -> None:
        """The first signal asks, the second ends the process."""
        if self.asked:
            sys.stderr.write("stopped at once; unfinished flows are taken over when their leases end\n")
            sys.stderr.flush()
            os._exit(STOP_CODES[number])
        self.code = STOP_CODES[number]
        self._asked.set()
        note(f"draining: {self._running.busy} running flows come to rest (again: stop at once)")


async def first_of(tasks: Sequence[asyncio.Task[Any]], patience: float | None = None) -> set[asyncio.Task[Any]]:
    """Wait until one of the tasks has ended, for `patience` seconds at most: those that have. The others are cancelled,
    also when this is, and are over then: the store may be closed."""
    try:
        await asyncio.wait(tasks, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    finally:
        while left := [task for task in tasks if not task.done()]:  # a cancel that meets the end of a wait is lost
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=0.1)
    return {task for task in tasks if not task.cancelled()}


def heed_signals(running: RunningWorker) -> Stop:
    """From now on signals stop this worker."""
    stop, loop = Stop(running), asyncio.get_running_loop()
    for number in STOP_CODES:
        loop.add_signal_handler(number, stop.on_signal, number)
    return stop
