"""What a server promises about what it was given: read at open, stated, and refused if it is too little.

sync   appendfsync always: what was acknowledged survives the server's death and a power cut
fast   appendfsync everysec: the last second or two may be lost when the machine or the server dies
late   appendfsync no: a power cut may take the last half minute, or more
volatile   no append-only file: everything since the last snapshot may be lost

A failover to a replica may lose what the replica had not received, whatever is written to disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError, ResponseError

from ergon_runtime.errors import ConfigError
from ergon_runtime.stores.redis.faults import understood

Tier: TypeAlias = Literal["sync", "fast", "late", "volatile", "unknown"]

SAID: dict[Tier, str] = {
    "sync": "sync: what was acknowledged survives the server's death (appendfsync always)",
    "fast": "fast: the server's death may take the last second or two (appendfsync everysec)",
    "late": "late: a power cut may take the last half minute or more (appendfsync no)",
    "volatile": "volatile: the server's death may take everything since its last snapshot (no append-only file)",
    "unknown": "unknown: this user may not read how the server writes its append-only file (CONFIG GET)",
}
_REFUSED: dict[Tier, tuple[str, str]] = {
    "late": (
        "writes its append-only file when the system likes, so that a power cut loses flows",
        "appendfsync everysec",
    ),
    "volatile": ("keeps no append-only file, so that its death loses flows", "appendonly yes"),
}
"""Why, and what to set instead."""
OLDEST = (6, 2)
_NUMBERS = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What the server does with what it was given."""

    version: str
    run_id: str
    tier: Tier
    policy: str
    """What it does when its memory is full."""

    def check(self, shown: str, *, allow_volatile: bool) -> None:
        """Refuse a server that is too old, or forgets. Raises ConfigError."""
        if (found := _NUMBERS.match(self.version)) and (int(found[1]), int(found[2])) < OLDEST:
            raise ConfigError(f"store {shown}: the server is Redis {self.version}; use 6.2 or newer")
        if self.policy.startswith("allkeys"):
            raise ConfigError(
                f"store {shown}: the server throws keys away when its memory is full (maxmemory-policy {self.policy});"
                " set it to noeviction"
            )
        if self.tier in _REFUSED and not allow_volatile:
            why, fix = _REFUSED[self.tier]
            raise ConfigError(f"store {shown}: the server {why}; set {fix}, or accept it with --allow-volatile")


async def read(client: Redis) -> Guarantees:
    """Ask the server. Raises RedisError, also while it loads its data: until then it says that it appends nothing."""
    about, memory, persistence = [await info(client, section) for section in ("server", "memory", "persistence")]
    if persistence.get("loading"):
        raise BusyLoadingError("LOADING the server reads its data from disk")
    return Guarantees(
        version=str(about.get("redis_version", "")),
        run_id=str(about.get("run_id", "")),
        tier=await _tier(client, appends=bool(persistence.get("aof_enabled"))),
        policy=str(memory.get("maxmemory_policy", "")),
    )


async def info(client: Redis, section: str) -> dict[str, Any]:
    """One section of what the server tells of itself. Raises RedisError."""
    with understood():
        found: Any = await client.info(section)  # pyright: ignore[reportUnknownMemberType]  # the stubs leave its **kwargs open
        return dict(found)


async def _tier(client: Redis, *, appends: bool) -> Tier:
    if not appends:
        return "volatile"
    try:
        with understood():
            found: Any = dict(await client.config_get("appendfsync"))  # pyright: ignore[reportUnknownMemberType]  # likewise
    except ResponseError:  # NOPERM, or a host that hides CONFIG
        return "unknown"
    match str(found.get("appendfsync", "")):
        case "always":
            return "sync"
        case "everysec":
            return "fast"
        case "no":
            return "late"
        case _:
            return "unknown"
