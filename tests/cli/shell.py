"""A SQLite store in a test's own folder, and the command run on it in this process."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ergon_cli.app import main
from ergon_runtime import FlowRow, Store, open_store
from ergon_runtime.core.entries import Entry, unpack

T = TypeVar("T")
URL = "sqlite:///ergon.db"
FLOWS = """
from decimal import Decimal
from ergon_runtime import flow, wait_signal

@flow
async def order(n: int, amount: Decimal = Decimal("1.50"), note: str | None = None) -> str:
    return f"{n} {amount} {note}"

@flow(version="v1")
async def greet(name): return [type(name).__name__, name]

@flow(name="greet", version="v2")
async def greet_again(name): return name

@flow
async def broken() -> None:
    raise ValueError("no luck \\x1b[2J")
"""


class Shell:
    """Runs `ergon` in a folder of its own."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capture = folder, capture
        self.out = self.err = ""

    def __call__(self, *args: str) -> int:
        """Run one command line; `out` and `err` hold what it wrote."""
        code = main(list(args))
        self.out, self.err = self._capture.readouterr()
        return code

    @property
    def json(self) -> list[Any]:
        """The lines written, read as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def rows(self) -> list[list[str]]:
        """The lines written, split at tabs."""
        return [line.split("\t") for line in self.out.splitlines()]


def in_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """Do something to the store of the current folder, which is created if need be."""

    async def opened() -> T:
        async with open_store(URL) as store:
            return await work(store)

    return asyncio.run(opened())


def look(flow: str) -> tuple[FlowRow, list[Entry]]:
    """A flow's row and journal."""

    async def read(store: Store) -> tuple[FlowRow, list[Entry]]:
        row = await store.get(flow)
        assert row is not None
        rows = await store.journal(flow, 0, 100)
        return row, [unpack(packed, seq).entry for seq, packed in enumerate(rows)]

    return in_store(read)


class Screen(io.StringIO):
    """What a terminal shows."""

    def isatty(self) -> bool:
        return True


@contextmanager
def person_typing(monkeypatch: pytest.MonkeyPatch, typed: bytes) -> Iterator[Screen]:
    """Somebody at a terminal, who types this and sees what is written to stderr."""
    person, terminal = pty.openpty()
    screen = Screen()
    with os.fdopen(terminal, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stderr", screen)
        os.write(person, typed)
        yield screen
    os.close(person)
