"""`ergon worker`: its first line, the end of a burst, how it is stopped, and what its log may not do to a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from typing import cast

import pytest
import uvloop

from ergon_cli.logs import SafeFormatter, log_warnings
from ergon_cli.serving import Stop, first_of
from ergon_runtime import RunningWorker, Store
from tests.cli.shell import Shell, in_store


@pytest.fixture
def seeded(ergon: Shell, flows: None, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A folder with flows.py and a store, whose hash seed this process claims to run under."""

    async def seed(store: Store) -> str:
        return (await store.identity()).hash_seed

    monkeypatch.setenv("PYTHONHASHSEED", in_store(seed))
    return ergon


LONG_FLOW = """
from ergon_runtime import flow, step

@step
async def one(n: int) -> int:
    return n

@flow
async def counts(upto: int) -> int:
    return sum([await one(n) for n in range(upto)])
"""


def test_first_line_names_the_store_in_full_the_durability_and_the_flow_types(seeded: Shell) -> None:
    assert seeded("worker", "--burst") == 0
    first = seeded.err.splitlines()[0]
    assert f" · sqlite:///{seeded.folder}/ergon.db · " in first
    assert "durability full: what was acknowledged survives a power cut" in first
    assert first.endswith(" · flows order, greet@v1, greet@v2, broken")
    assert seeded.out == ""


def test_durability_is_the_one_in_force(seeded: Shell) -> None:
    assert seeded("worker", "--burst", "--store", "sqlite:///ergon.db?synchronous=normal") == 0
    assert "durability normal" in seeded.err


def test_first_line_as_json(seeded: Shell) -> None:
    assert seeded("worker", "--burst", "--json", "-c", "3", "--lease", "2s") == 0
    (said,) = seeded.json
    assert said["store"] == f"sqlite:///{seeded.folder}/ergon.db"
    assert said["flows"] == ["order", "greet@v1", "greet@v2", "broken"]
    assert (said["concurrency"], said["lease_ms"]) == (3, 2000)


def test_flow_at_the_cap_is_blocked_and_inspect_says_what_to_do_until_the_cap_is_raised(seeded: Shell) -> None:
    (seeded.folder / "long.py").write_text(LONG_FLOW)
    assert seeded("schedule", "counts", "-m", "long.py", "-a", "upto=120", "--id", "c") == 0
    assert seeded("worker", "--burst", "-m", "long.py", "--max-entries", "100") == 0
    assert seeded("inspect", "c") == 0
    assert "\nWHY\tis blocked (too_long): the journal has 100 entries, the cap is 100\n" in seeded.out
    assert "\traise max_entries, or change the code to continue_as_new; then it goes on by itself\n" in seeded.out
    assert "\nfix\tergon worker -m MODULE --max-entries N\n" in seeded.out
    assert seeded("inspect", "c", "--json") == 0
    assert seeded.json[0]["why"]["kind"] == "too_long"
    assert seeded("worker", "--burst", "-m", "long.py", "--max-entries", "200") == 0
    assert seeded("list") == 0
    assert [row[2] for row in seeded.rows] == ["completed"]


def test_cap_that_is_too_low_is_refused(seeded: Shell) -> None:
    assert seeded("worker", "--max-entries", "99") == 2
    assert "flag: worker.max_entries must be a whole number, 100 or more; got 99" in seeded.err


def test_uvloop_that_is_not_installed_is_told_with_how_to_get_it(
    seeded: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert seeded("worker", "--uvloop", "--burst") == 2
    assert "uvloop is not installed" in seeded.err
    assert "pip install 'ergon-runtime[fast]'" in seeded.err


def test_uvloop_runs_the_worker_if_asked_for(seeded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    made, new_event_loop = list[str](), uvloop.new_event_loop

    def noted() -> asyncio.AbstractEventLoop:
        made.append("loop")
        return new_event_loop()

    monkeypatch.setattr(uvloop, "new_event_loop", noted)
    assert seeded("worker", "--burst") == 0
    assert made == []
    assert seeded("worker", "--uvloop", "--burst") == 0
    assert made == ["loop"]


def test_burst_ends_when_its_flows_have_ended(seeded: Shell) -> None:
    for number in range(3):
        assert seeded("schedule", "order", "-a", f"n={number}", "--id", f"o{number}") == 0
    assert seeded("schedule", "broken", "--id", "b") == 0
    assert seeded("schedule", "order", "-a", "n=9", "--delay", "1h", "--id", "late") == 0
    assert seeded("worker", "--burst") == 0
    assert "\x1b" not in seeded.err
    assert seeded("list") == 0
    status = {row[0]: row[2] for row in seeded.rows}
    assert status == {"o0": "completed", "o1": "completed", "o2": "completed", "b": "failed", "late": "waiting"}


def test_worker_in_a_folder_without_flows_creates_no_store(ergon: Shell) -> None:
    assert ergon("worker") == 2
    assert "name one: -m MODULE" in ergon.err
    assert list(ergon.folder.iterdir()) == []


class Busy:
    """As much of a running worker as a signal meets."""

    busy = 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_first_signal_drains_and_the_second_stops_at_once(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    stop = Stop(cast(RunningWorker, Busy()))
    stop.on_signal(number)
    assert (stop.asked, stop.code) == (True, code)
    assert ended == []
    assert capsys.readouterr().err.startswith("draining: 3 running flows")
    stop.on_signal(number)
    assert ended == [code]
    assert capsys.readouterr().err.startswith("stopped at once")


def test_log_lines_are_shown_and_never_obeyed() -> None:
    try:
        raise ValueError("\x1b[2J\u202e")
    except ValueError:
        record = logging.LogRecord("name", logging.ERROR, "", 1, "a\tb \x1b[31m\r", None, sys.exc_info())
    lines = SafeFormatter("%(levelname)s %(message)s").format(record).split("\n")
    assert all(line.isprintable() for line in lines)
    assert lines[0].endswith("a\\x09b \\x1b[31m\\x0d")
    assert lines[-1] == "ValueError: \\x1b[2J\\u202e"


def test_warnings_of_other_commands_are_shown_and_never_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    log_warnings()
    record = logging.LogRecord("name", logging.WARNING, "", 1, "no \x1b[2J\u202e", None, None)
    assert logging.lastResort is not None
    logging.lastResort.handle(record)
    assert capsys.readouterr().err == "no \\x1b[2J\\u202e\n"


def test_first_of_several_tasks_leaves_none_of_the_others_under_way() -> None:
    async def deaf_once() -> None:
        with contextlib.suppress(asyncio.CancelledError):  # as a wait that ends at the same moment
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def main() -> None:
        slow, quick = asyncio.create_task(deaf_once()), asyncio.create_task(asyncio.sleep(0))
        assert await first_of([slow, quick]) == {quick}
        assert slow.cancelled()
        slow = asyncio.create_task(deaf_once())
        assert await first_of([slow], 0) == set()
        assert slow.cancelled()

    asyncio.run(main())
