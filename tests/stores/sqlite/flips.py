"""Bytes that change in a store's file: whoever reads gets the right answer or a typed error, and nothing is repaired.

A store with something of everything is written once. Then, again and again, a copy gets one byte changed and is read
whole, by the contract; every few copies, by the command line too, and written to. SQLite has no checksums of its pages:
a byte within a value may come back changed, and such answers are counted as `other`.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import random
import shutil
import signal as signals
import tempfile
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ergon_cli.app import main
from ergon_runtime import Scheduler, Worker, flow, sleep, step
from ergon_runtime.core.flows import Beat, ClaimRequest, Commit, FlowQuery, Status
from ergon_runtime.errors import StoreCorrupt, StoreError, StoreUnavailable
from ergon_runtime.stores.sqlite import SQLiteOptions, SQLiteStore
from tests.stores.copies import everything, populate
from tests.stores.files import READ_ONLY
from tests.stores.harness import Bench, Clock, new, signal
from tests.stores.sqlite.sound import Unsound

COMMANDS = (
    ["list"],
    ["list", "--json"],
    ["inspect", "one", "--json"],
    ["inspect", "one"],
    ["inspect", "one", "--view", "events"],
)
EVERY = 5
"""Of so many copies one is given to the command line, and written to."""
DEADLINE = 60
"""Seconds after which a reader hangs."""
CODES = {0, 3, 6}
"""What a command may end with: the flow that was asked for may be gone, or another."""


@step
async def flipped_step(text: str) -> str:
    return text * 3


@flow(name="sqlite_flips")
async def flipped_flow(text: str) -> str:
    told = await flipped_step(text)
    await sleep(0)
    return told


async def build(path: Path) -> None:
    """A store with real flows and with something of everything."""
    clock = Clock()
    store = SQLiteStore(path, clock=clock)
    await store.open()
    await populate(Bench(store, clock))
    for number in range(40):
        await store.create(new(f"filler{number}", args=b"y" * 300))
    await store.close()
    store = SQLiteStore(path)
    await store.open()
    running = await Worker(store, name="w").register(flipped_flow).start()
    handles = [await Scheduler(store).schedule(flipped_flow("abc"), id=name) for name in ("one", "two", "three")]
    for handle in handles:
        await handle.result()
    await running.shutdown()
    await store.close()


@contextmanager
def in_time() -> Generator[None]:
    def late(*_: object) -> None:
        raise Unsound(f"it hangs for {DEADLINE} s")

    before = signals.signal(signals.SIGALRM, late)
    signals.alarm(DEADLINE)
    try:
        yield
    finally:
        signals.alarm(0)
        signals.signal(signals.SIGALRM, before)


async def _read(path: Path, options: SQLiteOptions) -> list[object]:
    store = SQLiteStore(path, options)
    await store.open()
    try:
        facts = await store.identity()
        rows = await store.list(FlowQuery(limit=1000))
        return [facts.id, facts.hash_seed, rows, await store.workers(), *await everything(store)]
    finally:
        await store.close()


def by_contract(path: Path, right: list[object]) -> str:
    """What reading came to. Raises Unsound."""
    before = path.read_bytes()
    try:
        answer = asyncio.run(_read(path, READ_ONLY))
    except (StoreCorrupt, StoreUnavailable) as error:
        outcome = type(error).__name__
    except StoreError as error:
        if "please report" in str(error):
            raise Unsound(f"an error that nobody has foreseen: {error}") from error
        outcome = type(error).__name__
    else:
        outcome = "right" if answer == right else "other"
    if path.read_bytes() != before:
        raise Unsound("reading has written to the file")
    return outcome


async def _write(path: Path) -> None:
    store = SQLiteStore(path, SQLiteOptions(patience=0.1, synchronous="normal"))
    await store.open()
    try:
        request = ClaimRequest("w", 1000, 100, ("default:T:", "other::", "default:sqlite_flips:"))
        for claim in (await store.claim(request)).claims:
            await store.commit(
                Commit(
                    *("c", claim.lease, claim.head, claim.length, 1000),
                    entries=(b"e",),
                    status=Status.COMPLETED,
                    release=True,
                    result=b"1",
                )
            )
        await store.send(signal("go", "new"))
        await store.create(new("new"))
        await store.extend((), 1000, Beat("w", (), 1000))
        await store.prune(2**50)
    finally:
        await store.close()


def by_writing(path: Path) -> str:
    """What writing came to. Raises Unsound."""
    try:
        asyncio.run(_write(path))
    except StoreError as error:
        if "please report" in str(error):
            raise Unsound(f"an error that nobody has foreseen: {error}") from error
        return f"writing: {type(error).__name__}"
    return "writing: done"


def by_command(path: Path, line: list[str]) -> str:
    """How a command ended. Raises Unsound."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*line, "--store", f"sqlite:///{path}"])
    said = err.getvalue()
    if (
        code not in CODES
        or "Traceback" in said
        or "unexpected" in said
        or (code and not said.startswith(("error: ", '{"error": {')))
    ):
        raise Unsound(f"{line} ends with {code}: {said}")
    if code == 0 and "--json" in line:
        for text in out.getvalue().splitlines():
            json.loads(text)
    return f"exit {code}"


def flips(count: int, seed: int, first: int = 0) -> Counter[str]:
    """So many changed bytes, from one on; what came of them."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        whole, copy = Path(folder) / "whole.db", Path(folder) / "s.db"
        asyncio.run(build(whole))
        right = asyncio.run(_read(whole, READ_ONLY))
        data = whole.read_bytes()
        for number in range(first, first + count):
            choice = random.Random(f"{seed}/{number}")
            place, bit = choice.randrange(len(data)), choice.randrange(1, 256)
            for other in Path(folder).glob("s.db*"):
                other.unlink()
            shutil.copy(whole, copy)
            with copy.open("r+b") as file:
                file.seek(place)
                file.write(bytes([data[place] ^ bit]))
            try:
                with in_time():
                    found[by_contract(copy, right)] += 1
                    if number % EVERY == 0:
                        found[by_command(copy, choice.choice(COMMANDS))] += 1
                        found[by_writing(copy)] += 1
            except BaseException as error:
                again = f"python -m tests.stores.sqlite_rig flips 1 --seed {seed} --first {number}"
                raise Unsound(f"byte {place} of {len(data)} xor {bit}; again: {again}") from error
    return found
