"""Leases a worker holds, and the keeper that renews them from a thread and a connection of its own.

C6  Self-fence: from two thirds of a lease after the last successful claim, commit or extend was *sent*, no step starts
    and nothing is sent. The clock for that goes on while the machine sleeps.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from ergon_runtime.core.flows import Beat, Lease, Message
from ergon_runtime.errors import StoreError
from ergon_runtime.stores.contract import Store

log = logging.getLogger(__name__)

LOOK: Final = 1.0
"""Seconds after which a keeper asks for news."""
_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    """Seconds since some fixed moment, counting time that the machine slept."""
    return time.clock_gettime(_BOOT_CLOCK)


class HeldLease:
    """A lease and when it was last known to be good. `length` is in milliseconds; times are of the boot clock,
    seconds."""

    __slots__ = ("lease", "length", "lost", "sent")

    def __init__(self, lease: Lease, length: int, sent: float) -> None:
        self.lease, self.length, self.sent = lease, length, sent
        self.lost = False

    def renewed(self, sent: float) -> None:
        """A claim, commit or extend that was sent at `sent` has succeeded."""
        self.sent = max(self.sent, sent)

    def safe(self, now: float) -> bool:
        """Whether steps may start and things may be sent."""
        return not self.lost and now - self.sent < self.length / 1500

    def left(self, now: float) -> float:
        """Seconds until it is no longer safe."""
        return self.sent + self.length / 1500 - now


class Keeper:
    """Renews a worker's leases every third of their length, and soon again after a failure: leases must not become
    unsafe because the store was busy once.

    `held` lists the leases; `beat` is the worker's sign of life; `deliver` gets a flow's mail, or None when its lease
    is lost; `news` says whether a sign of life should come before its turn, which it then does once in LOOK seconds at
    most. All four are called from the keeper's thread.
    """

    def __init__(
        self,
        store: Store,
        length: int,
        held: Callable[[], Sequence[HeldLease]],
        beat: Callable[[], Beat],
        deliver: Callable[[HeldLease, tuple[Message, ...] | None], None],
        boot: Callable[[], float] = boot_seconds,
        news: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store, self._length, self._held, self._beat, self._deliver = store, length, held, beat, deliver
        self._boot, self._news = boot, news
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._gone = asyncio.Event()
        self._stopping = self._failing = False

    def start(self) -> None:
        """Run in a thread of its own."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="ergon-keeper", daemon=True)
        self._thread.start()

    async def ended(self) -> None:
        """Wait for the thread's end. Raises RuntimeError if nobody asked for it: without a keeper no lease is held.

        Cancelled, it asks for it: a program may end its loop without a word to the worker.
        """
        try:
            await self._gone.wait()
        except asyncio.CancelledError:
            self._ask_to_stop()
            raise
        if not self._stopping:
            raise RuntimeError("the leases' keeper failed; start the worker again")

    async def stop(self) -> None:
        """Sign off and wait for the thread's end."""
        if self._thread is None:
            return
        self._ask_to_stop()
        await self._gone.wait()  # not by a thread of the loop's executor: that has few, and they are the program's
        self._thread.join()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            asyncio.run(self.keep())
        except OSError as error:  # no file left for its loop
            log.error("the leases' keeper failed: %s", error)
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._gone.set)

    def _ask_to_stop(self) -> None:
        self._stopping = True
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # its loop is closed: the thread has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)

    async def keep(self) -> None:
        """Renew until stopped, then sign off."""
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._stopping:  # it was stopped before it had begun
            self._stop.set()
        try:
            while not self._stop.is_set():
                if await self.renew():
                    await self._tell_news(self._length / 3_000)
                else:
                    await self._pause(self._length / 30_000)
            await self._sign_off()
        finally:
            await self._store.close()

    async def _tell_news(self, pause: float) -> None:
        """Pause until the next renewal, and show signs of life before if there are news."""
        clock = asyncio.get_running_loop().time
        end = clock() + pause
        while (left := end - clock()) > 0:
            stopped = await self._pause(min(LOOK, left))
            if stopped or (left > LOOK and self._news() and not await self._show()):
                return

    async def _pause(self, seconds: float) -> bool:
        """Pause; whether it was asked to stop."""
        assert self._stop is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        return self._stop.is_set()

    async def _show(self) -> bool:
        """Show a sign of life and renew nothing; False if the store failed."""
        try:
            await self._store.extend((), self._length, self._beat())
        except StoreError as error:
            log.info("no sign of life could be given: %s", error)
            return False
        return True

    async def renew(self) -> bool:
        """Renew all leases once, and show a sign of life; False if the store failed."""
        held, sent = list(self._held()), self._boot()
        try:
            await self._store.open()
            mail = await self._store.extend([each.lease for each in held], self._length, self._beat())
        except StoreError as error:
            if not self._failing:  # once an outage, however long it lasts
                log.warning("leases could not be renewed, trying again until it works: %s", error)
            self._failing = True
            return False
        if self._failing:
            log.warning("leases are renewed again")
        self._failing = False
        for each in held:
            found = mail.get(each.lease.flow)
            if found is None:
                each.lost = True
            else:
                each.renewed(sent)
            self._deliver(each, found)
        return True

    async def _sign_off(self) -> None:
        beat = self._beat()
        gone = Beat(beat.worker, beat.lanes, 0)
        try:
            await self._store.extend([], self._length, gone)
        except StoreError as error:
            log.warning("worker %s could not sign off: %s", beat.worker, error)
