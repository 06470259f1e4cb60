"""Whether the keys of a namespace fit together: the script `verify`, page by page. It only reads.

Each page is looked at by one script, so in one moment: a store in use gives no false alarm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from ergon_runtime.errors import StoreCorrupt
from ergon_runtime.stores.redis.rows import Argument

PAGE = 100
"""Flows that one script looks at; members of a sorted set are ten times as many."""

_TURNS = 10
"""Times that SCAN may give the same cursor; a server that grows or shrinks its table may give one again."""

Ask: TypeAlias = Callable[..., Awaitable[Any]]
"""Runs the script with these arguments."""


async def damage(ask: Ask, prefix: str) -> AsyncGenerator[str]:
    """What is wrong, in words. Namespaces have no letters that mean something in a pattern. Raises StoreError."""
    indexes: dict[str, None] = {}
    cursors: Counter[int] = Counter()
    cursor: Argument = "0"
    while True:
        cursor, found, some = await ask("keys", cursor, f"{prefix}*")
        cursors[int(cursor)] += 1
        if cursors[int(cursor)] > _TURNS:
            raise StoreCorrupt("the server lists its keys without end; look at it with redis-cli")
        for text in _texts(found):
            yield text
        indexes.update(dict.fromkeys(_texts(some)))
        if int(cursor) == 0:
            break
    async for text in _pages(ask, "flows", PAGE):
        yield text
    for index in indexes:
        async for text in _pages(ask, "index", 10 * PAGE, index):
            yield text
    last: bytes | None = b"-1"
    while last is not None:
        before, (last, found) = int(last), await ask("kept", last, 10 * PAGE)
        if last is not None and int(last) <= before:
            raise StoreCorrupt("the server lists its kept messages without end; look at it with redis-cli")
        for text in _texts(found):
            yield text


async def _pages(ask: Ask, what: str, size: int, *more: Argument) -> AsyncGenerator[str]:
    start, count = 0, size
    while count == size:
        count, found = await ask(what, start, start + size - 1, *more)
        for text in _texts(found):
            yield text
        start += size


def _texts(found: Sequence[bytes]) -> list[str]:
    return [text.decode(errors="backslashreplace") for text in found]
