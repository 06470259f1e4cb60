"""Every case of every sample by the command line: one worker per sample, in an empty folder, flows and signals from
other processes."""

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
        runs = [pool.submit(run, here, case, f"case-{n}") for n, case in enumerate(MODULES[module], 1)]
        for each in runs:
            each.result()
        worker.send(signal.SIGTERM)
        assert worker.end() == 0, worker.text()


def run(here: Shop, case: Case, flow_id: str) -> None:
    """Schedule a case, send its signals, and wait for what is printed."""
    try:
        command = ("schedule", *case.command, "--id", flow_id)
        if case.signals:
            assert here.run(*command).stdout == f"{flow_id}\n"
        for name, payload in case.signals:
            here.run("signal", name, json.dumps(payload), "--flow", flow_id)
        done = here.run(*command, "--wait", "--timeout", "50s", code=4 if case.error else 0)
        printed, _, result = done.stdout.partition("\n")
        assert printed == flow_id
        if case.error:
            assert (result, f"failed: {case.error}: " in done.stderr) == ("", True), done.stderr
        else:
            check_result(case, json.loads(result))
    except BaseException as error:
        error.add_note(f"case {case.name}")
        raise
