"""The profile: which part a call counts to, and what the program prints."""

from __future__ import annotations

import cProfile
import re
import subprocess
import sys

from benchmarks import profile
from ergon_runtime.core.entries import StepBegun, pack
from tests.acceptance.processes import ROOT


def test_shares_count_what_has_no_file_to_its_caller() -> None:
    watched = cProfile.Profile()
    watched.runcall(lambda: pack(StepBegun("key", 0, "digest", "name"), 1))
    seconds, calls = profile.shares(watched)
    assert {"core: flow code, machine, decisions", "definitions and codec"} <= set(seconds)
    assert calls == sum(each.callcount for each in watched.getstats() if "disable" not in str(each.code))


def test_profile_of_a_small_run_prints_shares_of_one_whole() -> None:
    command = [sys.executable, "-m", "benchmarks.profile", "T1", "--count", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    shares = [float(found) for found in re.findall(r"^ *([0-9.]+)%  ", done.stdout, re.MULTILINE)]
    assert len(shares) == len(profile.PARTS) + 1
    assert 99 < sum(shares) < 101
