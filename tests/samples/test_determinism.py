"""What sample_flows/determinism.py says: its commands, with real processes, while the environment changes."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.acceptance.processes import ROOT, shop

SAMPLE = ROOT / "sample_flows" / "determinism.py"
THEN = 'step quote("price":"100","code":"SUMMER")'
NOW = 'step quote("price":"100","code":null)'


def test_flow_that_reads_the_environment_is_blocked_until_that_is_back_and_the_careful_one_is_not(
    tmp_path: Path,
) -> None:
    flows = tmp_path / "flows.py"
    shutil.copy(SAMPLE, flows)
    with shop(tmp_path, SALE="SUMMER") as here:
        for name in ("careless", "careful"):
            here.run("schedule", name, "-a", "price=100", "--id", name)
        assert here.worker("--burst").end() == 0
        here.environ.clear()
        for name in ("careless", "careful"):
            here.run("signal", "pay", "--flow", name)
        assert here.worker("--burst").end() == 0
        assert here.json("inspect", "careful")["result"]["total"] == "80.00"
        why = here.json("inspect", "careless")["why"]
        assert (why["kind"], why["recorded"], why["current"]) == ("diverged", THEN, [NOW])
        shown = here.run("replay", "careless", code=5).stdout
        assert "DIVERGED  careless careless after 0 of 1" in shown
        assert THEN in shown
        assert NOW in shown
        here.environ["SALE"] = "SUMMER"
        assert here.run("replay", "careless").stdout.startswith("same")
        flows.write_text(flows.read_text() + "# changed\n")
        assert here.worker("--burst").end() == 0
        flow = here.json("inspect", "careless")
        assert (flow["status"], flow["result"]) == ("completed", "80.00")
        assert [step["attempts"] for step in flow["steps"] if step["kind"] == "step"] == [1]
