"""Held leases and the self-fence (C6), and the keeper that renews them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ergon_runtime.core.flows import Beat, Lease, Message
from ergon_runtime.errors import StoreError, StoreUnavailable
from ergon_runtime.lease import HeldLease, Keeper, boot_seconds
from ergon_runtime.stores.memory import MemoryStore
from tests.runtime.rigs import VirtualLoop, virtual
from tests.runtime.workers import run, until

LENGTH = 3000
MAIL = (Message("m", "signal:go", b"1"),)


class Extends(MemoryStore):
    """A store that only answers `extend`: with `errors` first, after `delay` seconds, without the leases `gone`."""

    def __init__(self, *errors: StoreError, delay: float = 0.0) -> None:
        super().__init__()
        self.errors, self.delay, self.gone = list(errors), delay, set[str]()
        self.calls: list[tuple[float, list[str]]] = []
        self.beats: list[int] = []
        self.closed = False

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        self.calls.append((round(asyncio.get_running_loop().time(), 3), [lease.flow for lease in leases]))
        await asyncio.sleep(self.delay)
        if self.errors:
            raise self.errors.pop(0)
        self.beats.append(-1 if beat is None else beat.silence)
        return {lease.flow: MAIL for lease in leases if lease.flow not in self.gone}

    async def close(self) -> None:
        self.closed = True


class Kept:
    """A keeper on such a store, the leases it keeps, and what it has delivered."""

    def __init__(self, store: Extends, *flows: str) -> None:
        loop = asyncio.get_running_loop()
        boot = loop.time if isinstance(loop, VirtualLoop) else boot_seconds
        self.store = store
        self.held = [HeldLease(Lease(flow, f"token of {flow}"), LENGTH, boot()) for flow in flows]
        self.delivered: list[tuple[str, Any]] = []
        beat = Beat("w", ("lane",), LENGTH)
        self.keeper = Keeper(store, LENGTH, lambda: self.held, lambda: beat, self._deliver, boot)

    def _deliver(self, held: HeldLease, mail: tuple[Message, ...] | None) -> None:
        self.delivered.append((held.lease.flow, mail))

    async def keep(self, seconds: float) -> None:
        """Let it work for a while."""
        task = asyncio.create_task(self.keeper.keep())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize(("now", "safe"), [(10.0, True), (11.99, True), (12.0, False), (13.5, False), (99.0, False)])
def test_c6_lease_is_safe_for_two_thirds_of_its_length(now: float, safe: bool) -> None:
    held = HeldLease(Lease("f", "t"), LENGTH, 10.0)
    assert held.safe(now) is safe
    assert held.left(now) == pytest.approx(12.0 - now)


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no such clock")
def test_c6_fence_goes_by_a_clock_that_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 5.0}.get)
    assert boot_seconds() == 5.0


def test_renewal_that_was_sent_earlier_does_not_shorten_a_lease() -> None:
    held = HeldLease(Lease("f", "t"), LENGTH, 10.0)
    held.renewed(11.0)
    held.renewed(9.0)
    assert held.safe(12.9)


def test_lost_lease_is_never_safe_again() -> None:
    held = HeldLease(Lease("f", "t"), LENGTH, 10.0)
    held.lost = True
    held.renewed(11.0)
    assert not held.safe(11.0)


def test_keeper_renews_all_leases_every_third() -> None:
    async def main() -> None:
        kept = Kept(Extends(), "a", "b")
        await kept.keep(3.5)
        assert kept.store.calls == [(n, ["a", "b"]) for n in (0.0, 1.0, 2.0, 3.0)]
        assert [each.sent for each in kept.held] == pytest.approx([3.0, 3.0])
        assert kept.delivered[:2] == [("a", MAIL), ("b", MAIL)]
        assert kept.store.beats == [LENGTH] * 4

    virtual(main)


def test_c6_renewal_counts_from_when_it_was_sent() -> None:
    async def main() -> None:
        kept = Kept(Extends(delay=0.5), "a")
        await kept.keep(0.6)
        assert kept.held[0].sent == 0.0

    virtual(main)


def test_keeper_tells_of_a_lost_lease_and_keeps_the_others() -> None:
    async def main() -> None:
        kept = Kept(Extends(), "a", "b")
        kept.store.gone.add("a")
        await kept.keep(0.5)
        assert [each.lost for each in kept.held] == [True, False]
        assert kept.delivered == [("a", None), ("b", MAIL)]

    virtual(main)


def test_one_failed_renewal_is_made_up_for_before_any_lease_is_unsafe() -> None:
    async def main() -> None:
        kept = Kept(Extends(), "a")
        task = asyncio.create_task(kept.keep(4.0))
        await asyncio.sleep(0.5)
        kept.store.errors = [StoreUnavailable("busy")]
        while not task.done():
            assert kept.held[0].safe(asyncio.get_running_loop().time())
            await asyncio.sleep(0.01)

    virtual(main)


def test_keeper_goes_on_after_errors_of_the_store() -> None:
    async def main() -> None:
        kept = Kept(Extends(StoreUnavailable("gone"), StoreError("odd")), "a")
        await kept.keep(3.5)
        assert kept.store.beats
        assert kept.delivered
        assert not kept.held[0].lost

    virtual(main)


def test_keeper_thread_signs_off_and_closes_its_store_when_stopped() -> None:
    async def main() -> None:
        kept = Kept(Extends(), "a")
        kept.keeper.start()
        await until(lambda: bool(kept.delivered))
        await kept.keeper.stop()
        assert kept.store.beats[-1] == 0
        assert kept.store.calls[-1][1] == []
        assert kept.store.closed
        assert "ergon-keeper" not in {thread.name for thread in threading.enumerate()}

    run(main)


def test_keeper_whose_store_fails_at_the_end_still_stops() -> None:
    async def main() -> None:
        kept = Kept(Extends(), "a")
        kept.keeper.start()
        await until(lambda: bool(kept.delivered))
        kept.store.errors = [StoreUnavailable("gone")]
        await kept.keeper.stop()
        assert kept.store.closed

    run(main)


def test_keeper_stopped_at_once_after_its_start_ends() -> None:
    async def main() -> None:
        kept = Kept(Extends())
        kept.keeper.start()
        await kept.keeper.stop()
        assert kept.store.closed

    run(main)


def test_keeper_without_a_file_for_its_loop_fails_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_file(coro: Any) -> None:
        coro.close()
        raise OSError(24, "Too many open files")

    async def main() -> None:
        kept = Kept(Extends())
        monkeypatch.setattr(asyncio, "run", no_file)
        kept.keeper.start()
        with pytest.raises(RuntimeError, match="start the worker again"):
            await kept.keeper.ended()

    run(main)
    assert [record.getMessage() for record in caplog.records] == [
        "the leases' keeper failed: [Errno 24] Too many open files"
    ]


def test_keeper_that_was_never_started_stops_at_once() -> None:
    async def main() -> None:
        kept = Kept(Extends())
        await kept.keeper.stop()
        assert kept.store.calls == []

    run(main)
