"""What `verify` finds in a memory store: each kind of damage, planted in a store that is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ergon_runtime.stores.memory import MemoryState, MemoryStore
from tests.stores.conformance.test_verify import use
from tests.stores.harness import Bench, Clock

DAMAGE: tuple[tuple[str, Callable[[MemoryState], object]], ...] = (
    ("the agenda differs", lambda s: setattr(s.flows["late"], "due", 7)),
    ("flow parent: it is running, and its token does not fit", lambda s: setattr(s.flows["parent"], "token", None)),
    ("flow waits: the names that it waits on", lambda s: s.flows["waits"].names.clear()),
    ("flow waits: a message is reserved on signal:go", lambda s: s.flows["waits"].waits.pop("signal:go")),
    ("flow waits: its mail is not found by its ids", lambda s: s.flows["waits"].boxes.clear()),
    ("its mail on signal:far is not in the order", lambda s: s.flows["waits"].mail["signal:far"].insert(0, newest(s))),
    ("flow waits: its place among those who wait on signal:stop", lambda s: s.mailboxes.free.clear()),
    ("message ids sent to flow ghost", lambda s: s.mailboxes.seen.update({("ghost", "c", "a"): 1})),
)


def newest(state: MemoryState) -> object:
    """The last message that the flow `waits` got."""
    return max((mail for box in state.flows["waits"].mail.values() for mail in box), key=lambda mail: mail.seq)


@pytest.mark.parametrize(("said", "plant"), DAMAGE)
def test_verify_names_the_damage(said: str, plant: Callable[[MemoryState], object]) -> None:
    async def main() -> None:
        store = MemoryStore(clock := Clock())
        await use(Bench(store, clock))
        assert await store.verify() == []
        plant(store.state)
        found = await store.verify()
        assert any(said in text for text in found), found

    asyncio.run(main())
