"""The time limits of one try of a step: how long it may take in all, and how long it may be silent.

One asyncio timeout serves both: it stands at the end of the try or at the end of the silence, whichever comes first,
and each heartbeat moves it. A try without limits has no guard: most have none.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress


class TryTimeout:
    """Limits in seconds, or None. They count from `begin`. `guard` is the context manager around the body, if there
    are any."""

    __slots__ = ("_end", "_seconds", "_silence", "guard")

    def __init__(self, seconds: float | None, silence: float | None) -> None:
        self._seconds, self._silence = seconds, silence
        self._end: float | None = None
        self.guard = None if seconds is None and silence is None else asyncio.timeout(None)

    @property
    def expired(self) -> bool:
        """Whether the try took too long."""
        return self.guard is not None and self.guard.expired()

    def begin(self) -> None:
        """The body begins now."""
        if self._seconds is not None:
            self._end = asyncio.get_running_loop().time() + self._seconds
        self.heard()

    def heard(self) -> None:
        """The body has begun, or told that it goes on."""
        if self.guard is None:
            return
        ends = [] if self._end is None else [self._end]
        if self._silence is not None:
            ends.append(asyncio.get_running_loop().time() + self._silence)
        if ends:
            with suppress(RuntimeError):  # the try is over already
                self.guard.reschedule(min(ends))

    def error(self, step: str) -> TimeoutError:
        """The error of a try that took too long. To be called when `guard` has expired."""
        if self.guard is not None and self._end is not None and self.guard.when() == self._end:
            return TimeoutError(f"step {step} took longer than {self._seconds} s")
        return TimeoutError(f"step {step} gave no heartbeat for {self._silence} s")
