"""Servers that answer something else than our scripts do: a damaged store, and nothing worse."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import InvalidResponse, ResponseError

from ergon_runtime.core.flows import ClaimRequest, Commit, FlowQuery, Lease
from ergon_runtime.errors import Conflict, LeaseLost, StoreCorrupt, StoreError
from ergon_runtime.stores.records import Kind
from ergon_runtime.stores.redis.faults import understood
from ergon_runtime.stores.redis.link import Link
from ergon_runtime.stores.redis.store import RedisStore
from tests.redis_server import new_namespace
from tests.stores.harness import LANE, new
from tests.stores.redis.servers import opened, run

LEASE = Lease("f", "t")
CALLS: dict[str, Callable[[RedisStore], Awaitable[object]]] = {
    "create": lambda store: store.create(new("f")),
    "claim": lambda store: store.claim(ClaimRequest("w", 1000, 1, lanes=(LANE,))),
    "commit": lambda store: store.commit(Commit(secrets.token_hex(4), LEASE, None, 0, 1000)),
    "extend": lambda store: store.extend([LEASE], 1000),
    "get": lambda store: store.get("f"),
    "journal": lambda store: store.journal("f", 0, 10),
    "list": lambda store: store.list(FlowQuery()),
    "workers": lambda store: store.workers(),
    "now": lambda store: store.now(),
    "wait": lambda store: store.wait("w", 0),
    "prune": lambda store: store.prune(0),
    "count": lambda store: store.count(Kind.FLOWS),
    "records": lambda store: store.records(Kind.FLOWS, None, 10),
    "verify": lambda store: store.verify(),
}
ANSWERS: tuple[Any, ...] = (
    None,
    7,
    b"",
    b"\xff",
    b"ok",
    [],
    [None],
    [b"ok"],
    [b"x", b"y"],
    [[], 1],
    [[[b"f"]], 1, 2, 3],
    [b"9", [[b"f", [b"x"] * 21, [], []]]],
    [1, None, 0, [[b"f"] * 18]],
    [ResponseError("ERR inside")],
)


@pytest.mark.parametrize("name", CALLS)
def test_any_answer_is_read_or_refused_as_damage(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        refused = 0
        async with opened(new_namespace()) as store:
            for answer in ANSWERS:

                async def call(*_: object, answer: Any = answer) -> Any:
                    return answer

                monkeypatch.setattr(Link, "call", call)
                try:
                    await CALLS[name](store)
                except StoreError as error:
                    refused += isinstance(error, StoreCorrupt)
                    known = isinstance(error, Conflict | LeaseLost)
                    assert known or "does not answer as a store of ours does; check the address" in str(error)
            monkeypatch.undo()
        assert refused > 0

    run(main)


def test_what_cannot_be_read_of_an_answer_is_an_invalid_response() -> None:
    with pytest.raises(InvalidResponse, match="KeyError: 'run_id'"), understood():
        raise KeyError("run_id")
