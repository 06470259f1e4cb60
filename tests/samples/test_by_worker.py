"""Every case of every sample by the command line: one worker per sample, in an empty folder, flows and signals from
other processes. And each sample by `ergon run`, without a worker."""

from __future__ import annotations

import json
import signal
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.acceptance.processes import Shop, shop
from tests.samples.cases import Case, all_cases
from tests.samples.running import check_result, sample_file

AT_ONCE = 2
"""Commands that run beside each other: each costs half a second of a processor."""
MODULES: dict[str, list[Case]] = defaultdict(list)
for _case in all_cases():
    MODULES[_case.module].append(_case)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("module", MODULES)
def test_cases_scheduled_by_command_come_to_their_ends(module: str, tmp_path: Path) -> None:
    with shop(tmp_path, ERGON_MODULES=sample_file(module)) as here, ThreadPoolExecutor(AT_ONCE) as pool:
        worker = here.worker()
        runs = [pool.submit(schedule, here, case, f"case-{n}") for n, case in enumerate(MODULES[module], 1)]
        for each in runs:
            each.result()
        worker.send(signal.SIGTERM)
        assert worker.end() == 0, worker.text()


@pytest.mark.parametrize("module", MODULES)
def test_first_case_of_a_sample_run_without_a_worker_comes_to_its_end(module: str, tmp_path: Path) -> None:
    case = MODULES[module][0]
    with shop(tmp_path, ERGON_MODULES=sample_file(module)) as here:
        if case.signals:
            send(here, case, "case-1")
        done = here.run("run", *case.command, "--id", "case-1", "--timeout", "50s", code=4 if case.error else 0)
        check_printed(case, done.stdout, done.stderr)


def schedule(here: Shop, case: Case, flow_id: str) -> None:
    """Schedule a case, send its signals, and wait for what is printed."""
    try:
        if case.signals:
            send(here, case, flow_id)
        command = ("schedule", *case.command, "--id", flow_id, "--wait", "--timeout", "50s")
        done = here.run(*command, code=4 if case.error else 0)
        printed, _, result = done.stdout.partition("\n")
        assert printed == flow_id
        check_printed(case, result, done.stderr)
    except BaseException as error:
        error.add_note(f"case {case.name}")
        raise


def send(here: Shop, case: Case, flow_id: str) -> None:
    """Schedule a case and send its signals."""
    assert here.run("schedule", *case.command, "--id", flow_id).stdout == f"{flow_id}\n"
    for name, payload in case.signals:
        done = here.run("signal", name, json.dumps(payload), "--flow", flow_id, code=None)
        assert done.returncode == 0 or "has ended" in done.stderr, done.stderr  # it may have no need of them


def check_printed(case: Case, result: str, notes: str) -> None:
    if case.error:
        assert (result, f"failed: {case.error}: " in notes) == ("", True), notes
    else:
        check_result(case, json.loads(result))
