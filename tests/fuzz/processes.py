"""Real `ergon` processes, with streams that are closed, full, broken or no text, and other odd surroundings."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.case import Faults
from tests.fuzz.command_lines import CommandLines, goes_astray, may_go_on
from tests.fuzz.ground import ROOT, Ground
from tests.fuzz.oracle import CODES, Ran, faults, keeps_secret, verbs

STREAMS = ("pipe", "pipe", "closed", "full", "broken", "null")
"""What stdin, stdout and stderr may be. `broken`: a pipe whose other end is closed. No folder: Python refuses that."""
SURROUNDINGS = ("", "", "", "ascii", "few files", "small files", "no home", "optimised")


class Processes:
    """Each case is a command line, and what its process finds around it."""

    def __init__(self, folder: Path, patience: float) -> None:
        self._ground, self._patience = Ground(folder, patience), patience
        self._lines = CommandLines.__new__(CommandLines)

    def make(self, random: Random) -> Any:
        streams = ["pipe", "pipe", "pipe"]
        for _ in range(random.choice((0, 1, 1, 2))):
            streams[random.randrange(3)] = random.choice(STREAMS)
        return self._lines.make(random) | {"streams": streams, "around": random.choice(SURROUNDINGS)}

    def run(self, data: Any) -> Faults:
        args = data["args"]
        if goes_astray(args) or sum(map(len, args)) > 100_000:
            return []
        self._ground.renew()
        ran = self._process(data)
        if ran.raised is not None:
            return faults(ran)
        named, streams = verbs(args), data["streams"]
        codes = frozenset({0, 2}).union(*(CODES[verb] for verb in named))
        if "full" in streams or data["around"]:
            codes |= {1, 6, 120}  # what cannot be written, or opened, is told or lost; 120 is Python's own
        if streams[2] == "broken":
            codes |= {120}
        if ran.stopped or may_go_on(args):
            codes |= {130, -2}
        found = faults(ran, codes=codes, secrets=keeps_secret([*args, *data["environ"].values()]))
        if streams[2] != "pipe" or "full" in streams or data["around"]:
            found = [each for each in found if not each.startswith(("silent", "ok", "advice", "json"))]
        return found

    def _process(self, data: Any) -> Ran:
        """Run it. What a stream that is no pipe has taken is empty."""
        args, folder = data["args"], self._ground.folder
        (folder / ".in").write_bytes(data["stdin"].encode("latin-1"))
        files = [_stream(kind, number, folder) for number, kind in enumerate(data["streams"])]
        flags = ["-O"] if data["around"] == "optimised" else []
        process = subprocess.Popen(
            [sys.executable, *flags, "-m", "ergon_cli", *args],
            cwd=folder,
            env=_environ(data),
            stdin=files[0],
            stdout=files[1],
            stderr=files[2],
            preexec_fn=_prepared(data["streams"], data["around"]),
        )
        for file in files:
            if file not in (None, subprocess.PIPE):
                os.close(file)
        stopped, raised = False, None
        try:
            out, err = process.communicate(timeout=3 if may_go_on(args) else self._patience)
        except subprocess.TimeoutExpired:
            stopped = may_go_on(args)
            process.send_signal(signal.SIGINT if stopped else signal.SIGABRT)
            try:
                out, err = process.communicate(timeout=self._patience)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                raised = "stuck: it does not heed Ctrl-C"
            raised = raised if stopped else f"stuck: no end within {self._patience} s"
        texts = [(data or b"").decode(errors="backslashreplace") for data in (out, err)]
        return Ran(tuple(args), process.returncode, *texts, raised=raised, stopped=stopped)


def _stream(kind: str, number: int, folder: Path) -> int | None:
    match kind:
        case "pipe" if number == 0:
            return os.open(folder / ".in", os.O_RDONLY)
        case "pipe":
            return subprocess.PIPE
        case "full":
            return os.open("/dev/full", os.O_RDWR)
        case "broken":
            ends = os.pipe()
            os.close(ends[number == 0])
            return ends[number != 0]
        case _:
            return os.open(os.devnull, os.O_RDWR)


def _environ(data: Any) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    kept |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | data["environ"]
    match data["around"]:
        case "ascii":
            kept |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        case "no home":
            kept = {name: text for name, text in kept.items() if name not in ("HOME", "PATH")}
    return {name: text for name, text in kept.items() if "\0" not in text}


def _prepared(streams: list[str], around: str) -> Callable[[], None]:
    """What happens in the process before Python begins."""

    def prepare() -> None:
        for number, kind in enumerate(streams):
            if kind == "closed":
                os.close(number)
        if around == "few files":
            resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))
        if around == "small files":
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    return prepare
