"""What the real command line does with right input: where options stand, waiting, hostile text, stopping a worker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.processes import ROOT, Process, Shop, shop, until
from tests.acceptance.refusals import check_harmless

EVIL = "\x1b[2J\x1b]0;title\x07\u202ebackwards\u2066 [bold red]markup[/bold red] \u200b\x9b31m"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Shop]:
    """A folder with flows.py."""
    shutil.copy(ROOT / "tests/acceptance/wrong_input_flows.py", tmp_path / "flows.py")
    with shop(tmp_path) as made:
        yield made


def started(process: Process) -> bool:
    return process.text().startswith("worker ")


def test_options_stand_before_and_after_the_verb(here: Shop) -> None:
    (here.folder / "flows.py").rename(here.folder / "other.py")
    (here.folder / "conf").mkdir()
    (here.folder / "conf" / "mine.toml").write_text('store = "sqlite:///here.db"\n')
    for line in (
        ["--store", "sqlite:///a.db", "-m", "other.py", "schedule", "hello"],
        ["schedule", "--store", "sqlite:///b.db", "hello", "-m", "other.py"],
        ["--store", "sqlite:///no/such.db", "schedule", "hello", "-m", "other", "--store", "sqlite:///c.db"],
        ["--config", "conf/mine.toml", "schedule", "hello", "-m", "other.py"],
    ):
        here.run(*line)
    assert {path.name for path in here.folder.glob("*.db")} == {"a.db", "b.db", "c.db"}
    assert (here.folder / "conf" / "here.db").exists()
    before = here.run("--json", "--store", "sqlite:///a.db", "list").stdout
    assert (
        json.loads(before)["flow"] == json.loads(here.run("list", "--store", "sqlite:///b.db", "--json").stdout)["flow"]
    )


def test_input_is_read_from_stdin_and_files(here: Shop) -> None:
    order = {"order_id": "A", "amount": "9.50", "tags": ["x"]}
    (here.folder / "order.json").write_text(json.dumps(order))
    (here.folder / "tags.json").write_text('["a", "b"]')
    here.run("schedule", "OrderFlow", "--input", "-", "--id", "stdin", given=json.dumps(order))
    here.run("schedule", "OrderFlow", "--input", "@order.json", "-a", "tags:=@tags.json", "--id", "file")
    assert here.json("inspect", "stdin")["args"] == order | {"express": False}
    assert here.json("inspect", "file")["args"]["tags"] == ["a", "b"]


def test_decimal_keeps_every_digit_from_the_command_line_to_the_result(here: Shop) -> None:
    exact = "0.10000000000000000001"
    given = [["-a", f"amount={exact}"], ["-a", f"amount:={exact}"], ["--input", f'{{"amount": {exact}}}']]
    for number, line in enumerate(given):
        here.run("schedule", "money", *line, "--id", f"m{number}")
    here.run("worker", "--burst")
    for number, line in enumerate(given):
        assert here.run("schedule", "money", *line, "--id", f"m{number}", "--wait").stdout == f'm{number}\n"{exact}"\n'


def test_wait_shows_the_end_of_a_flow_that_a_worker_runs(here: Shop) -> None:
    worker = here.worker()
    until(lambda: started(worker))
    done = here.run("schedule", "hello", "-a", "name=Ada", "--id", "h", "--wait")
    assert (done.stdout, done.stderr) == ('h\n"hello Ada"\n', "")
    failed = here.run("schedule", "broken", "--id", "b", "--wait", code=4)
    assert failed.stdout == "b\n"
    assert failed.stderr.startswith("error: flow b failed: ValueError: no luck \\x1b[31mred")
    check_harmless(failed.stderr)
    late = here.run("schedule", "waits", "-a", "name=never", "--id", "w", "--wait", "--timeout", "300ms", code=124)
    assert "flow w has not ended in time: it is " in late.stderr
    here.run("cancel", "w")
    assert "was cancelled" in here.run("schedule", "waits", "-a", "name=never", "--id", "w", "--wait", code=4).stderr


def test_flow_waits_for_a_signal_whose_name_and_payload_are_hostile(here: Shop) -> None:
    here.run("schedule", "waits", "-a", f"name={EVIL}", "--id", "w")
    here.run("worker", "--burst")
    for line in (["signal", "other"], ["signal", "other", "--flow", "w"], ["inspect", "w"], ["list"]):
        shown = here.run(*line)
        assert "[bold red]markup[/bold red]" in shown.stdout + shown.stderr, line
        check_harmless(shown.stdout.replace("\t", " ") + shown.stderr)
    said = here.run("signal", "other", "--all", code=3).stderr
    check_harmless(said)
    assert here.run("signal", EVIL, EVIL).stderr == ""
    here.run("worker", "--burst")
    assert here.json("inspect", "w")["result"] == EVIL
    for line in (["inspect", "w"], ["schedule", "waits", "-a", f"name={EVIL}", "--id", "w", "--wait"]):
        shown = here.run(*line)
        assert "[bold red]markup" in shown.stdout
        check_harmless(shown.stdout.replace("\t", " ") + shown.stderr)


def test_error_of_a_step_is_shown_harmless_wherever_it_appears(here: Shop) -> None:
    here.run("schedule", "broken", "--id", "b")
    worker = here.worker("--burst")
    assert worker.end() == 0
    check_harmless(worker.text())
    for line in (["inspect", "b"], ["list"], ["replay", "b"]):
        shown = here.run(*line)
        check_harmless(shown.stdout.replace("\t", " ").replace("Traceback (most", "") + shown.stderr)
    assert here.json("inspect", "b")["error"]["message"].startswith("no luck \x1b[31mred\x1b[2J")


def test_row_that_another_program_wrote_into_the_store_is_shown_harmless(here: Shop) -> None:
    here.run("schedule", "hello", "--id", "one")
    with closing(sqlite3.connect(here.folder / "ergon.db")) as connection, connection:
        connection.execute("UPDATE flow SET id = ?, type = ?", (EVIL, EVIL))
        connection.execute("UPDATE input SET flow = ?", (EVIL,))
    for line in (["list"], ["inspect", "title"], ["cancel", "title"]):
        shown = here.run(*line)
        assert "markup" in shown.stdout + shown.stderr
        check_harmless(shown.stdout.replace("\t", " ") + shown.stderr)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_worker_ends_with_0_at_the_first_signal_and_at_once_at_the_second(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    flows = str(ROOT / "tests/acceptance/acceptance_flows.py")
    with shop(tmp_path, ERGON_LEDGER=str(tmp_path / "ledger"), ERGON_MODULES=flows) as here:
        idle = here.worker()
        until(lambda: started(idle))
        idle.send(number)
        assert idle.end(10) == 0
        assert "draining: 0 running flows" in idle.text()
        assert idle.text().endswith("stopped: running steps have ended, the rest is handed back\n")
        here.run("schedule", "long_step", "-a", "seconds=30", "--id", "one")
        busy = here.worker()
        until(lambda: (tmp_path / "ledger").exists())
        busy.send(number)
        until(lambda: "draining: 1 running flows" in busy.text())
        busy.send(number)
        assert busy.end(5) == code
        assert busy.text().endswith("stopped at once; unfinished flows are taken over when their leases end\n")
        check_harmless(busy.text())


def test_worker_runs_under_the_hash_seed_of_its_store(here: Shop) -> None:
    (here.folder / "flows.py").write_text(
        "from ergon_runtime import flow\n@flow\nasync def order() -> list[str]:\n"
        "    return list({str(n) for n in range(50)})\n"
    )
    seen: set[str] = set()
    for number, seed in enumerate(("0", "1", "random")):
        here.environ["PYTHONHASHSEED"] = seed
        here.run("schedule", "order", "--id", f"o{number}")
        here.run("worker", "--burst")
        seen.add(here.run("schedule", "order", "--id", f"o{number}", "--wait").stdout.partition("\n")[2])
    assert len(seen) == 1


def test_output_on_an_ascii_terminal_and_to_a_reader_that_left(here: Shop) -> None:
    here.environ["PYTHONIOENCODING"] = "ascii"
    here.run("schedule", "waits", "-a", "name=größe", "--id", "w")
    worker = here.worker("--burst")
    assert worker.end() == 0
    assert "gr\\xf6\\xdfe" in here.run("signal", "x").stderr
    reader, writer = os.pipe()
    os.close(reader)
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "ergon_cli", "schedule", "hello"]
    done = subprocess.run(line, cwd=here.folder, env=environ, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
