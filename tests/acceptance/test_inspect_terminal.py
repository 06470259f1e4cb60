"""`ergon inspect` on a terminal of 60 columns: every view, in any locale, and the screen that watches a flow."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ergon_runtime import Status, Store, open_store
from ergon_runtime.core.entries import ChildCreated, Outcome, StepEnded, pack
from ergon_runtime.core.flows import ClaimRequest, Commit
from tests.acceptance.terminal import terminal
from tests.runtime.views import LEASE, START, STARTED, Scene, ended, error, tried

COLUMNS = 60
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
OTHER_SCREEN, BACK, CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"
WHOLE = ("fix:", "see:")
"""Lines that are never cut or folded: they are to be copied."""


async def placed(store: Store) -> None:
    scene = Scene(store)
    long = '{"text":"' + "ä→ long " * 40 + '"}'
    child = ChildCreated("ship", START, "d", "A-17/ship", "ship", None, "{}", True)
    steps = [tried("pay", 1, START + 20), ended("pay", attempts=2), ended("überweisung", long), child]
    await scene.place("A-17", Status.WAITING, [STARTED, *steps], waits=["signal:go"])
    await scene.place("B-2", Status.FAILED, [STARTED, ended("pay", None, error())], outcome=FAILED)


FAILED = Outcome(Status.FAILED, None, error())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    in_store(tmp_path, placed)
    return tmp_path


def in_store(folder: Path, work: Callable[[Store], Awaitable[None]]) -> None:
    async def opened() -> None:
        async with open_store(f"sqlite:///{folder}/ergon.db") as store:
            await work(store)

    asyncio.run(opened())


async def finish(store: Store) -> None:
    """End the flow that waits."""
    claims = await store.claim(ClaimRequest("w", LEASE, 1, ids=("A-17",), operator=True))
    claim, at = claims.claims[0], claims.now
    entry = pack(StepEnded("the end", at, "d", "the end", "{}", "1", None, 1, at, at, "w"), 9)
    done = Outcome(Status.COMPLETED, '"all is done"').pack()
    await store.commit(
        Commit(
            "end", claim.lease, claim.head, claim.length, LEASE, Status.COMPLETED, (entry,), release=True, result=done
        )
    )


VIEWS = [
    ("A-17", "--view", "events"),
    ("A-17", "--view", "io"),
    ("B-2", "--view", "error"),
    ("A-17", "pay"),
]


@pytest.mark.parametrize("args", [("A-17",), *VIEWS], ids=" ".join)
def test_view_keeps_to_the_width_of_the_terminal(folder: Path, args: tuple[str, ...]) -> None:
    with terminal(folder, "inspect", *args, columns=COLUMNS) as made:
        assert made.end() == 0
    lines = ESCAPES.sub("", made.text).splitlines()
    assert [line for line in lines if len(line) > COLUMNS and not line.startswith(WHOLE)] == []
    assert "\x1b[1m" in made.text


@pytest.mark.parametrize("args", VIEWS[:2], ids=" ".join)
def test_view_in_a_locale_of_ascii_is_ascii_and_without_colour_if_asked_for(
    folder: Path, args: tuple[str, ...]
) -> None:
    ascii_ = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "NO_COLOR": "1"}
    with terminal(folder, "inspect", *args, columns=COLUMNS, **ascii_) as made:
        assert made.end() == 0
    assert made.text.isascii()
    assert "\x1b" not in made.text
    assert "\\xfcberweisung" in made.text


def test_terminal_that_can_do_nothing_gets_rows(folder: Path) -> None:
    with terminal(folder, "inspect", "B-2", "--watch", columns=COLUMNS, TERM="dumb") as made:
        assert made.end() == 4
    assert "\x1b" not in made.text
    assert "\tstatus\t\tFAILED ValueError: no\n" in made.text


def test_watch_redraws_resizes_and_leaves_the_last_screen_behind(folder: Path) -> None:
    with terminal(folder, "inspect", "A-17", "--watch", columns=COLUMNS, rows=16) as made:
        made.until("watching; Ctrl-C ends it")
        assert OTHER_SCREEN in made.text
        made.forget()
        made.size(100, 30)
        made.until("attempt 1  created")  # on one line: there is room for it now
        in_store(folder, finish)
        assert made.end() == 0
    other, _, after = made.text.partition(BACK)
    assert "all is done" in after, "the last screen stays"
    assert "the end" in after
    assert "watching" not in after
    assert CURSOR in other + after
    assert "\x1b[?25l" not in after


def test_watch_that_is_interrupted_restores_the_terminal(folder: Path) -> None:
    with terminal(folder, "inspect", "A-17", "--watch", columns=COLUMNS) as made:
        made.until("watching; Ctrl-C ends it")
        made.press(b"\x03")
        assert made.end() == 130
    assert_restored(made.text)


def test_watch_that_is_terminated_restores_the_terminal(folder: Path) -> None:
    with terminal(folder, "inspect", "A-17", "--watch", columns=COLUMNS, NO_COLOR="1") as made:
        made.until("watching; Ctrl-C ends it")
        made.popen.send_signal(signal.SIGTERM)
        assert made.end() == 143
    assert_restored(made.text)


def assert_restored(text: str) -> None:
    other, back, after = text.partition(BACK)
    assert back
    assert CURSOR in other + after
    assert "Traceback" not in text
    assert "waits for signal go" in after, "the last screen stays"
