"""The fuzzers, run for some minutes or a number of cases each.

    python -m tests.fuzz.run --minutes 10                    all of them, in turn
    python -m tests.fuzz.run --cases 200 --only journals     so many cases of one
    python -m tests.fuzz.run --repeat found/x.json           a case once more

Each turn of a fuzzer is a process of its own, with a limit on its memory, which is killed when it does not come to an
end. Cases follow from the seed and their number. A case that fails is made smaller and written to a file; the exit code
is then 1.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import secrets
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.addresses import Addresses
from tests.fuzz.case import Case, Faults, Fuzzer, Stuck, kind, made, smaller
from tests.fuzz.command_lines import CommandLines
from tests.fuzz.configs import Configs
from tests.fuzz.journals import HistoryFiles, Journals
from tests.fuzz.payloads import Payloads
from tests.fuzz.processes import Processes
from tests.fuzz.replies import Replies
from tests.fuzz.screens import Screens

FUZZERS: dict[str, Callable[[Path, float], Fuzzer]] = {
    "command_lines": CommandLines,
    "configs": Configs,
    "addresses": Addresses,
    "payloads": Payloads,
    "journals": Journals,
    "history_files": HistoryFiles,
    "replies": Replies,
    "processes": Processes,
    "screens": Screens,
}
TURN = 20.0
"""Seconds of a fuzzer before the next one has its turn."""
MEMORY = 3 << 30
"""Bytes that a fuzzer's process may have."""
SHRINK = 20.0
"""Seconds to make a case smaller."""


@dataclass
class Tally:
    """What a fuzzer has done so far."""

    cases: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    found: dict[str, str] = field(default_factory=dict)
    """File of each fault, by the fault's first line."""


def main() -> int:
    options = _options()
    if options.repeat:
        files = [file for path in options.repeat for file in _files(path.resolve())]
        return forked(lambda: _repeat(files, options.patience), 60 + len(files) * 3 * options.patience)
    seed = options.seed or secrets.token_hex(4)
    print(f"seed {seed}", flush=True)
    options.found.mkdir(parents=True, exist_ok=True)
    names = options.only or list(FUZZERS)
    tallies = {name: Tally() for name in names}
    end = time.monotonic() + options.minutes * 60 if options.minutes else None
    while True:
        for name in names:
            left = TURN if end is None else min(TURN, end - time.monotonic())
            _turn(name, seed, tallies[name], None if end is None else left, options)
        if end is None or time.monotonic() > end - 1:
            break
    for name, tally in tallies.items():
        done = f"{tally.cases} cases in {tally.seconds:.0f} s, the slowest took {tally.slowest:.1f} s"
        print(f"{name}: {done}, {len(tally.found)} found")
    return 1 if any(tally.found for tally in tallies.values()) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run")
    parser.add_argument("--minutes", type=float, help="in all")
    parser.add_argument("--cases", type=int, default=100, help="of each fuzzer, without --minutes")
    parser.add_argument("--seed", help="default: a random one")
    parser.add_argument("--only", action="append", choices=list(FUZZERS))
    parser.add_argument("--patience", type=float, default=20.0, help="seconds that a command may take")
    parser.add_argument(
        "--found", type=Path, default=Path(tempfile.gettempdir()) / "ergon-fuzz", help="folder for cases that fail"
    )
    parser.add_argument("--repeat", type=Path, nargs="+", metavar="FILE", help="try these cases, or those of a folder")
    return parser.parse_args()


def _turn(name: str, seed: str, tally: Tally, seconds: float | None, options: argparse.Namespace) -> None:
    """Let a fuzzer run in a process of its own, and take over what it has done."""
    folder = Path(tempfile.mkdtemp(prefix="ergon-fuzz-"))
    report, begun = folder / "report", time.monotonic()
    limit = 120.0 + 3 * options.patience + (SHRINK + 10) * 5 + (seconds or options.cases * 2.0)
    ended = forked(lambda: _child(name, seed, tally.cases, seconds, options, folder, report), limit)
    said = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    for line in said:
        if "fault" in line:
            _tell(tally, line["fault"], Case(**line["case"]), options.found)
    cases = [line for line in said if "begun" in line]
    if ended != 0 and cases:
        case = Case(**cases[-1]["begun"])
        _tell(tally, f"died: the process ended with {ended}", case, options.found)
    elif ended != 0:
        raise SystemExit(f"fuzzer {name} could not begin: its process ended with {ended}")
    tally.cases += len(cases)
    tally.seconds += time.monotonic() - begun
    tally.slowest = max([tally.slowest, *(line["took"] for line in said if "took" in line)])
    shutil.rmtree(folder, ignore_errors=True)


def forked(work: Callable[[], int], limit: float) -> int:
    """Do something in a process of its own, for at most `limit` seconds; its exit code, or minus a signal. What it has
    started ends with it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    end, status = time.monotonic() + limit, 0
    try:
        while not (found := os.waitpid(pid, os.WNOHANG))[0]:
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        status = found[1]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status)


def _tell(tally: Tally, fault: str, case: Case, folder: Path) -> None:
    """Keep a case that has failed, unless there is one of its kind."""
    first = f"{kind(fault)}: {fault.partition(':')[2].strip()[:80]}"
    if first in tally.found:
        return
    path = folder / f"{case.fuzzer}-{case.seed}-{case.number}-{len(tally.found)}.json"
    path.write_text(case.dump() + "\n")
    tally.found[first] = str(path)
    print(
        f"FOUND {fault[:900]}\n  case {case.dump()[:600]}\n  again: python -m tests.fuzz.run --repeat {path}",
        flush=True,
    )


def _child(
    name: str, seed: str, first: int, seconds: float | None, options: argparse.Namespace, folder: Path, report: Path
) -> int:
    """Try cases, and write down what comes of each."""
    place = folder / "place"
    place.mkdir()
    with report.open("a") as lines:
        _cases(FUZZERS[name](place, options.patience), name, seed, first, seconds, options, lines)
    return 0


def _cases(
    fuzzer: Fuzzer, name: str, seed: str, first: int, seconds: float | None, options: argparse.Namespace, lines: Any
) -> None:
    end = None if seconds is None else time.monotonic() + seconds
    number, told = first, 0

    def write(**line: Any) -> None:
        lines.write(json.dumps(line) + "\n")
        lines.flush()

    while (number < first + options.cases) if end is None else (time.monotonic() < end):
        case = made(fuzzer, name, seed, number)
        write(begun=vars(case))
        begun = time.monotonic()
        found = attempt(fuzzer, case.data)
        write(took=time.monotonic() - begun)
        for fault in found if told < 5 else ():
            told += 1
            write(fault=fault, case=vars(case))  # in case that the next line kills
            write(fault=fault, case=vars(smaller(case, fault, lambda data: attempt(fuzzer, data), SHRINK)))
        number += 1
        if any(kind(fault) == "raised" for fault in found):
            return  # a thread may be left behind


def attempt(fuzzer: Fuzzer, data: Any) -> Faults:
    """Try a case; what comes through is a fault, too."""
    try:
        return fuzzer.run(data)
    except Stuck:
        return ["stuck: it comes to no end"]
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [f"broken: {Path(where.filename).name} {where.name} {error!r:.300}"]


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.json")) if path.is_dir() else [path]


def _repeat(files: list[Path], patience: float) -> int:
    """Try cases again, all of a fuzzer's in one place."""
    fuzzers: dict[str, Fuzzer] = {}
    wrong = False
    with tempfile.TemporaryDirectory(prefix="ergon-fuzz-", ignore_cleanup_errors=True) as folder:
        for file in files:
            case = Case.load(file)
            if case.fuzzer not in fuzzers:
                place = Path(folder, case.fuzzer)
                place.mkdir()
                fuzzers[case.fuzzer] = FUZZERS[case.fuzzer](place, patience)
            found = attempt(fuzzers[case.fuzzer], case.data)
            wrong = wrong or bool(found)
            print(f"{file.name}: {'; '.join(found) or 'nothing is wrong'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
