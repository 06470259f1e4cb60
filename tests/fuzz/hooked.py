"""Programs under an audit hook: what Python loads, opens and runs while stored data is read, and while commands work.

    python -m tests.fuzz.hooked decode        what happens while hostile texts are decoded
    python -m tests.fuzz.hooked cli VERB...   the modules of this folder that command lines (one per argument) load

Prints JSON. Each is a process of its own, for a hook stays.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np  # noqa: F401  loaded, as in a process that uses arrays

from ergon_cli.app import main
from ergon_runtime.histories import read_lines
from tests.fuzz import hostile
from tests.fuzz.payloads import ERROR, read_everywhere, tagged

HARMLESS = (
    "object.__getattr__",
    "sys._getframe",
    "builtins.id",
    "sys.unraisablehook",
    "gc.get_referents",
    "array.__new__",
)
"""Events that load, open and run nothing."""
NAMES = (
    "evil:Boom",
    "evil.Boom",
    "os:system",
    "subprocess:Popen",
    "builtins:eval",
    "importlib:import_module",
    "no_such:X",
)


def decode() -> list[str]:
    """The events of reading, after everything was read once."""
    texts = [*_planted(), *(json.dumps(tagged(Random(n), 3)) for n in range(150))]
    texts += [json.dumps(hostile.mutate_value(Random(n), ERROR)) for n in range(100)]
    _read([json.dumps(value) for value in (ERROR, [1], {"$tuple": [1]}, {"$set": [1]}, {"$ndarray": ["<f8", [0], ""]})])
    _read(texts[-3:])
    events: list[str] = []
    listening = [True]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if listening[0] and event not in HARMLESS:
            events.append(f"{event} {args!r:.200}")

    sys.addaudithook(hook)
    _read(texts)
    listening[0] = False
    return events


def _planted() -> list[str]:
    """Texts that name code."""
    found: list[Any] = [{"$object": [name, {"a": 1}]} for name in NAMES]
    found += [{"$object": [name, {}]} for name in ("evil", "Boom", "Popen", "Path")]
    found += [{"$enum": [name, 1]} for name in NAMES]
    found += [ERROR | {"types": [name, "builtins:Exception"]} for name in NAMES]
    found += [{"$ndarray": ["|O", [1], "gASVIAAAAAAAAACMBXBvc2l4"]}, {"$bytes": "gASVIAAAAAAAAACMBXBvc2l4lIwGc3lzdGVt"}]
    found += ["__import__('evil')", "{0.__class__}", "!!python/object/apply:evil.go []", "cposix\nsystem\n(S'id'\ntR."]
    return [json.dumps(each) for each in found]


def _read(texts: list[str]) -> None:
    for text in texts:
        faults = read_everywhere(text)
        assert not faults, faults
        line = json.dumps({"ergon": 1, "flow": text, "hash_seed": "1", "entries": [text, json.loads(text)]})
        list(read_lines(io.BytesIO(line.encode()), "x"))


def cli(lines: list[str]) -> list[str]:
    """The files of this folder that command lines load."""
    here = os.getcwd()
    loaded: set[str] = set()

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "exec" and (file := str(getattr(args[0], "co_filename", ""))).startswith(here):
            loaded.add(Path(file).name)

    sys.addaudithook(hook)
    for line in lines:
        with contextlib.redirect_stdout(sys.stderr):
            code = main(shlex.split(line))
        assert code in (0, 4, 5), (line, code)
    return sorted(loaded)


if __name__ == "__main__":
    print(json.dumps(decode() if sys.argv[1] == "decode" else cli(sys.argv[2:])))
