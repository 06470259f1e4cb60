"""The line at which a flow's function ended. Python tells it to a trace function only; no worker ever sets one."""

from __future__ import annotations

import asyncio
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from ergon_runtime.core.stack import is_users, line_of

if TYPE_CHECKING:
    from ergon_runtime.core.machine import FlowMachine


class LastLine:
    """Where code of the user's returned last in a flow's main task: when that is over, the end of the flow function."""

    def __init__(self) -> None:
        self.line: str | None = None
        self._machine: FlowMachine | None = None
        self._before: Any = None

    def watch(self, machine: FlowMachine) -> None:
        """Trace this thread until `stop`. A second call does nothing."""
        if self._machine is None:
            self._machine, self._before = machine, sys.gettrace()
            sys.settrace(self._called)

    def stop(self) -> None:
        if self._machine is not None:
            self._machine = None
            sys.settrace(self._before)

    def _called(self, frame: FrameType, event: str, arg: object) -> Any:
        machine = self._machine
        if machine is None or not is_users(frame.f_code.co_filename):
            return None
        if machine.main is None or asyncio.current_task(machine.loop) is not machine.main:
            return None
        frame.f_trace_lines = False
        return self._traced

    def _traced(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "return":
            # Python knows no line where it raises anew what an `except*` has left.
            self.line = line_of(frame) if isinstance(frame.f_lineno, int) else None
        return self._traced
