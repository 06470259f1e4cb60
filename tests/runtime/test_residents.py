"""Machines kept in memory: how many, how much, and which are dropped first (C2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.residents import OF_ENTRY, OF_MACHINE, Resident, Residents, size_of
from tests.runtime.rigs import virtual

gone: list[str] = []


class Machine:
    def __init__(self, name: str) -> None:
        self.evict: Callable[[], None] = lambda: gone.append(name)


def resident(name: str, size: int = 0) -> Resident:
    return Resident(cast("FlowMachine", Machine(name)), None, 0, 0, size)


def keeping(residents: Residents, *kept: tuple[str, int]) -> list[str]:
    """Which were dropped."""
    gone.clear()

    async def main() -> None:
        for name, size in kept:
            residents.keep(name, resident(name, size))
        await asyncio.sleep(0)

    virtual(main)
    return list(gone)


def test_c2_one_used_longest_ago_is_dropped_when_there_are_too_many() -> None:
    residents = Residents(2)
    assert keeping(residents, ("a", 0), ("b", 0)) == []
    taken = residents.take("a")
    assert taken is not None
    assert keeping(residents, ("a", 0), ("c", 0)) == ["b"]
    assert residents.flows == ["a", "c"]


def test_c2_as_many_are_dropped_as_one_takes_the_room_of() -> None:
    residents = Residents(100, 4 * OF_MACHINE)
    assert keeping(residents, ("a", 0), ("b", 0), ("c", 0), ("d", 0)) == []
    assert keeping(residents, ("e", 2 * OF_MACHINE)) == ["a", "b", "c"]
    assert keeping(residents, ("huge", 4 * OF_MACHINE)) == ["d", "e", "huge"]
    assert keeping(residents, ("a", 0), ("b", 0), ("c", 0), ("d", 0)) == []


def test_c2_machine_kept_in_place_of_another_of_its_flow_ends_that_one() -> None:
    residents = Residents(100, 2 * OF_MACHINE)
    assert keeping(residents, ("a", 0), ("a", 0), ("b", 0)) == ["a"]
    assert residents.flows == ["a", "b"]


def test_cleared_residents_are_all_ended() -> None:
    residents = Residents()
    keeping(residents, ("a", 0), ("b", 0))

    async def main() -> None:
        residents.clear()
        await asyncio.sleep(0)

    virtual(main)
    assert (gone, residents.flows, residents.take("a")) == (["a", "b"], [], None)


def test_size_counts_entries_and_their_bytes() -> None:
    rows: list[Any] = [b"x" * 10, b""]
    assert size_of(rows) == 10 + 2 * OF_ENTRY
