"""What the runners of one worker share: its store, code, clocks and sources of chance."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import count
from random import random

from ergon_runtime.definitions import FlowDefinition
from ergon_runtime.journal import JournalCap
from ergon_runtime.lease import boot_seconds
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.rules import Clock, utc_now


def commit_ids(prefix: str) -> Callable[[], str]:
    """A source of ids that begin alike and count up. To draw each at random would cost more than to decide a commit."""
    numbers = count(1)
    return lambda: f"{prefix}{next(numbers):x}"


@dataclass(frozen=True, slots=True)
class Engine:
    """What all runners of one worker share. Clocks, randomness and ids are fields so that a simulation can own them.

    `lease` is in milliseconds, `grace` (for steps asked to stop) in seconds; `clock` answers UTC milliseconds, `boot`
    seconds that go on while the machine sleeps.
    """

    store: Store
    worker: str
    find: Callable[[str, str | None], FlowDefinition]
    fingerprint: str
    lease: int
    pool: Executor | None = None
    grace: float = 5.0
    clock: Clock = utc_now
    boot: Callable[[], float] = boot_seconds
    spread: Callable[[], float] = random
    cap: JournalCap = field(default_factory=JournalCap)
    new_id: Callable[[], str] = field(default_factory=lambda: commit_ids(secrets.token_hex(5)))
