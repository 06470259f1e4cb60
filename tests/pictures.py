"""The pictures of docs/pictures: what commands write on a terminal, as SVG, from flows that run here in virtual time.

`python -m tests.pictures` draws them all anew. A picture shows a real command line, run in this process on a memory
store; times are those of the virtual clock, so that they come out alike each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import re
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from rich.console import Console
from rich.text import Text

from ergon_cli.app import main as ergon
from ergon_runtime import Store, registry
from ergon_runtime.stores.memory import MemoryStore
from tests import pictures_flows as flows
from tests.runtime.rigs import Rig, VirtualLoop, stands, store_clock, virtual

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs/pictures"
COLUMNS = 100
LATER = 3 * 3_600_000
"""Milliseconds for which the order has waited when it is looked at."""
CHANGED = ("    await check(id)\n", '    await send_mail("thank you")\n    await check(id)\n')
"""The line that the code of the replay has more."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A file and the command line that it shows."""

    name: str
    args: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    """Further arguments, which are not shown."""
    code: int = 0


PICTURES = (
    Picture("timeline", ("inspect", "A-17")),
    Picture("steps", ("inspect", "A-17", "--view", "steps")),
    Picture("tree", ("inspect", "A-18", "--view", "tree")),
    Picture("events", ("inspect", "A-17", "--view", "events")),
    Picture("io", ("inspect", "A-17", "--view", "io")),
    Picture("error", ("inspect", "A-18", "--view", "error")),
    Picture("step", ("inspect", "A-17", "charge")),
    Picture("replay", ("replay", "A-17"), ("-m", "flows.py"), code=5),
    Picture("fork", ("fork", "A-18", "--from", "charge", "--dry-run")),
)


class Clock:
    """The virtual loop's time while one runs; afterwards the time at which the flows are looked at."""

    def __init__(self) -> None:
        self.last = 0

    def __call__(self) -> int:
        try:
            if isinstance(asyncio.get_running_loop(), VirtualLoop):
                self.last = store_clock()
                return self.last
        except RuntimeError:
            pass
        return self.last + LATER


class Terminal(io.StringIO):
    """What a command takes for a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]  # of a StringIO it is None

    def isatty(self) -> bool:
        return True


def ran() -> Store:
    """A store with an order that waits and one that has failed."""
    store = MemoryStore(clock=Clock())

    async def scenario() -> None:
        rig = Rig(store)
        worker = rig.start(flows.purchase, flows.package, flows.sticker)
        waits = await rig.scheduler.schedule(flows.purchase("A-17", Decimal("99.50")), id="A-17")
        await stands(waits, "waiting")
        fails = await rig.scheduler.schedule(flows.purchase("A-18", Decimal("12.00")), id="A-18")
        await stands(fails, "failed")
        await asyncio.sleep(60)
        await worker.shutdown()

    virtual(scenario)
    return store


@contextlib.contextmanager
def surroundings(store: Store, folder: Path) -> Iterator[None]:
    """What commands need: the store, whatever its address, so many columns, and a folder with flows.py."""

    @contextlib.asynccontextmanager
    async def opened(*_: Any, **__: Any) -> AsyncGenerator[Store]:
        yield store

    seed = asyncio.run(store.identity()).hash_seed
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ERGON_", "COLOR"))}
    environ |= {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "ERGON_STORE": "redis://pictures"}
    code = Path(flows.__file__).read_text()
    assert CHANGED[0] in code
    (folder / "flows.py").write_text(code.replace(*CHANGED))
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(mock.patch.dict(os.environ, environ | {"PYTHONHASHSEED": seed}, clear=True))
        stack.enter_context(mock.patch("ergon_cli.stores.open_store", opened))
        stack.callback(sys.path.__setitem__, slice(None), list(sys.path))
        yield


def written(picture: Picture) -> str:
    """What the command writes, to whatever stream."""
    terminal, modules = Terminal(), set(sys.modules)
    with registry.isolated(), contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
        code = ergon([*picture.args, *picture.hidden])
    for name in set(sys.modules) - modules:
        if name == "flows":
            del sys.modules[name]
    text = terminal.getvalue()
    assert code == picture.code, f"{picture.name}: exit {code}\n{text}"
    text = text.replace(f"{Path.cwd()}{os.sep}", "").replace(f"{ROOT}{os.sep}", "")
    return re.sub(r"Python 3\.\d+", "Python 3.11", text)


def svg(picture: Picture, text: str) -> str:
    """The picture of what was written."""
    lines = text.rstrip("\n").split("\n")
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor", highlight=False
    )
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=True)
    drawn = console.export_svg(title=f"$ ergon {' '.join(picture.args)}", unique_id=picture.name)
    drawn = re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # nothing is fetched to show it
    drawn = drawn.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    return "\n".join(line.rstrip() for line in drawn.split("\n"))


def draw(done: Callable[[Picture, str], None]) -> None:
    """Run all the commands; `done` gets each picture and what was written."""
    with TemporaryDirectory() as folder, surroundings(ran(), Path(folder).resolve()):
        for picture in PICTURES:
            done(picture, written(picture))


def main() -> None:
    """Draw all the pictures anew."""
    logging.disable(logging.ERROR)  # flows that fail say so
    FOLDER.mkdir(parents=True, exist_ok=True)

    def save(picture: Picture, text: str) -> None:
        (FOLDER / f"{picture.name}.svg").write_text(svg(picture, text))

    draw(save)


if __name__ == "__main__":
    main()
