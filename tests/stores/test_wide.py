"""A commit to a SQLite store costs what it says, however much stands. Counted are SQLite's instructions, not time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from ergon_runtime.core.flows import ClaimRequest, Commit, Message, Send, Status
from ergon_runtime.stores.sqlite.operations import Operations
from ergon_runtime.stores.sqlite.schema import migrate
from ergon_runtime.stores.sqlite.transaction import transaction
from tests.stores.harness import Clock, new


class Wide:
    """A flow that waits for so many children, of which so many have ended, and a count of what SQLite does."""

    def __init__(self, waits: int, ended: int = 0) -> None:
        self.conn = sqlite3.connect(":memory:", isolation_level=None)
        with self.conn:
            self.conn.execute("BEGIN")
            migrate(self.conn, "")
        self.operations = Operations(self.conn, Clock())
        with transaction(self.conn):
            self.operations.create(new("f"))
            (claim,) = self.operations.claim(ClaimRequest("w", 1000, 1, ids=("f",))).claims
            channels = frozenset(f"child:{n}" for n in range(waits))
            self.operations.commit(Commit("c0", claim.lease, None, 0, 1000, waits=channels))
            for n in range(ended):
                self.operations.send(Send("f", Message(f"m{n}", f"child:{n}", b"")))
        self.lease = claim.lease

    def cost_of(self, work: Callable[[], object]) -> int:
        """How many instructions something takes."""
        steps: list[None] = []
        self.conn.set_progress_handler(lambda: steps.append(None), 1)
        work()
        self.conn.set_progress_handler(None, 0)
        return len(steps)

    def cost(self, *consumed: str) -> int:
        """How many instructions a commit takes that consumes the ends of children."""
        ended = frozenset(f"child:{message[1:]}" for message in consumed)
        commit = Commit("c1", self.lease, "c0", 0, 1000, entries=(b"e",), consumed=consumed, dropped=ended)
        with transaction(self.conn):
            return self.cost_of(lambda: self.operations.commit(commit))


Make = Callable[..., Wide]


@pytest.fixture
def wide() -> Iterator[Make]:
    """Makes flows, each in a store of its own."""
    with ExitStack() as opened:

        def make(waits: int, ended: int = 0) -> Wide:
            made = Wide(waits, ended)
            opened.enter_context(closing(made.conn))
            return made

        yield make


def test_commit_to_a_flow_with_very_many_waits_costs_no_more_than_with_few(wide: Make) -> None:
    few, many = wide(10, 1), wide(5000, 1)
    assert many.cost("m0") < 1.5 * few.cost("m0")


def test_commit_to_a_flow_with_very_much_mail_costs_no_more_than_with_much(wide: Make) -> None:
    much, more = wide(6000, 1500), wide(6000, 6000)
    ids = tuple(f"m{n}" for n in range(100))
    assert more.cost(*ids) < 1.5 * much.cost(*ids)


def test_row_of_a_flow_with_very_many_waits_costs_no_more_than_with_many(wide: Make) -> None:
    many, more = wide(200), wide(5000)
    assert more.cost_of(lambda: more.operations.get("f")) < 1.5 * many.cost_of(lambda: many.operations.get("f"))


def test_end_of_a_flow_with_very_many_waits_leaves_none(wide: Make) -> None:
    ending = wide(500, 3)
    with transaction(ending.conn):
        end = Commit(
            "end", ending.lease, "c0", 0, 1000, release=True, status=Status.COMPLETED, result=b"", dropped=frozenset()
        )
        ending.operations.commit(end)
    assert ending.conn.execute("SELECT count(*) FROM wait").fetchone() == (0,)
