"""What a runner waits for while there is nothing to do: somebody's call, or a moment."""

from __future__ import annotations

import asyncio


class WakeUp:
    """Waits until `call`, or until some seconds have passed; it may also wake up too early, which does no harm.

    The alarm of an earlier wait is kept if it rings first: most waits end by a call, and a timer set and cancelled each
    time would cost as much as all the rest of them.
    """

    __slots__ = ("_alarm", "_called")

    def __init__(self) -> None:
        self._called = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None

    def call(self) -> None:
        """End the wait, or the next one if nobody waits."""
        self._called.set()

    def forget(self) -> None:
        """Calls up to now have been heeded."""
        self._called.clear()

    async def wait(self, seconds: float) -> None:
        """Wait for a call since the last `forget`, at most so long."""
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        if self._alarm is None or when < self._alarm.when():
            self.close()
            self._alarm = loop.call_at(when, self._ring)
        await self._called.wait()

    def close(self) -> None:
        """Set no alarm off any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _ring(self) -> None:
        self._alarm = None
        self._called.set()
