"""Who serves a namespace now: the sentinels' master of a service, or the cluster's node that has the namespace's slot.

Whoever is asked may be dead, or cut off from the others without knowing it. So nobody is waited for long, and each
search begins with another one than the last. What is found may be out of date: it is found out by using it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias, cast

from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import ConnectionError as Unreached
from redis.exceptions import RedisError

from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.stores.redis.address import RedisAddress
from ergon_runtime.stores.redis.faults import code, understood

Place: TypeAlias = tuple[str, int]
Dial: TypeAlias = Callable[[str, int], Redis]
"""A client, not yet connected."""
PATIENCE = 1.0
"""Seconds to wait for one of several who may know."""
_PASSWORDS = frozenset({"NOAUTH", "WRONGPASS", "AUTH"})


class Round:
    """Asks one after the other, each time beginning with the next."""

    def __init__(self, places: Sequence[Place], dial: Dial) -> None:
        self.places, self._dial = list(places), dial
        self.failure: Exception | None = None

    async def ask(self, *question: str) -> AsyncGenerator[tuple[Place, Any], None]:
        """Who answered, and what; `failure` is why somebody did not."""
        self.failure = None
        self.places.append(self.places.pop(0))
        for host, port in tuple(self.places):
            client: Any = self._dial(host, port)  # Any: it has no types for these commands
            try:
                with understood():
                    answer = await client.execute_command(*question)
            except (RedisError, OSError) as error:
                self.failure = error
                continue
            finally:
                await client.aclose()
            yield (host, port), answer


class Sentinels:
    """Finds the master of the address's service. `dial` reaches sentinels."""

    def __init__(self, address: RedisAddress, dial: Dial) -> None:
        self._address, self._round = address, Round(address.hosts, dial)

    async def find(self) -> Place:
        """The master's place. Raises RedisError, OSError; StoreUnavailable for what a person must put right."""
        heard = False
        async with aclosing(self._round.ask("SENTINEL GET-MASTER-ADDR-BY-NAME", self._address.service)) as answers:
            async for _, found in answers:
                if found is not None:
                    with understood():
                        host, port = found
                        return _text(host), int(port)
                heard = True
        if heard:
            raise StoreUnavailable(f"store {self._address.shown}: {await self._unknown()}")
        raise self._error()

    async def _unknown(self) -> str:
        async with aclosing(self._round.ask("SENTINEL MASTERS")) as answers:
            async for _, found in answers:
                with understood():
                    names = ", ".join(sorted(_services(found))) or "none"
                return f"the sentinels guard no service {self._address.service!r}, but {names}: correct the address"
        return f"the sentinels guard no service {self._address.service!r}: correct the address"

    def _error(self) -> Exception:
        error = self._round.failure or Unreached("no sentinel answers")
        shown = self._address.shown
        if code(error) in _PASSWORDS:
            said = "the sentinels do not take the password they were given: set ?sentinel_password="
            return StoreUnavailable(f"store {shown}: {said} ({error})")
        if "unknown command" in str(error):
            said = "the hosts named are no sentinels: name the sentinels, or write redis://"
            return StoreUnavailable(f"store {shown}: {said} ({error})")
        return error


class Nodes:
    """Finds the cluster's node that has the namespace's slot. `dial` reaches nodes; the address names some."""

    def __init__(self, address: RedisAddress, dial: Dial) -> None:
        self._address, self._round = address, Round(address.hosts, dial)
        self._slot = key_slot(f"{{{address.namespace}}}".encode())

    async def find(self) -> Place:
        """The node's place. Raises RedisError, OSError; StoreUnavailable if it is no cluster."""
        async with aclosing(self._round.ask("CLUSTER SLOTS")) as answers:
            async for (asked, _), ranges in answers:
                with understood():
                    owners = list(_owners(ranges, asked))
                for first, last, owner in owners:
                    if first <= self._slot <= last:
                        self._learn(owner for _, _, owner in owners)
                        return owner
        error = self._round.failure
        if "cluster support disabled" in str(error):
            raise StoreUnavailable(
                f"store {self._address.shown}: the server is in no cluster: write redis:// ({error})"
            )
        raise error or Unreached("CLUSTERDOWN no node has the namespace's slot")

    def _learn(self, owners: Iterable[Place]) -> None:
        """Ask these too from now on; those that the address names stay."""
        known = dict.fromkeys([*owners, *self._address.hosts])
        self._round.places = [place for place in self._round.places if place in known]
        self._round.places += [place for place in known if place not in self._round.places]


def _owners(ranges: Any, asked: str) -> Iterator[tuple[int, int, Place]]:
    """First slot, last slot and master in the answer to CLUSTER SLOTS. A host not told ('', nil, '?') is the one that
    was asked."""
    for part in ranges:
        if isinstance(part, dict):  # a client that reads the answer for us
            found = cast("dict[str, Any]", part)
            first, last, (host, port, *_) = found["start_slot"], found["end_slot"], found["primary"]
        else:
            first, last, (host, port, *_), *_ = part
        told = _text(host or b"")
        yield int(first), int(last), (asked if told in {"", "?"} else told, int(port))


def _services(answer: Any) -> Iterator[str]:
    """The names in the answer to SENTINEL MASTERS."""
    if isinstance(answer, dict):  # a client that reads the answer for us
        yield from map(_text, cast("dict[str | bytes, Any]", answer))
        return
    for fields in answer:
        yield _text(fields[fields.index(b"name") + 1])


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
