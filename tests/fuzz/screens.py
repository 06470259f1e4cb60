"""Screens, lists and logs of a store in which every text would rule a terminal: in pipes, on terminals of all widths
and encodings, on live screens.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from random import Random
from typing import Any

from ergon_runtime.core.entries import unpack
from tests.fuzz import hostile
from tests.fuzz.case import Faults
from tests.fuzz.ground import Ground
from tests.fuzz.oracle import faults

POISON = hostile.TERMINAL.replace("\x00", "")
KEPT = frozenset({"kind", "status", "digest", "types"})
"""Fields of notes and errors that are names of ours."""
NAMED = ("done", "any", "failed", "flaky", "waits-2", "parent", "report", "held", "blocked")
COMMANDS: tuple[str, ...] = (
    "list",
    "list --json",
    *(
        f"inspect {flow} --view {view}"
        for flow in NAMED
        for view in hostile.words("timeline steps tree events io error")
    ),
    *(f"inspect {flow} --full" for flow in NAMED),
    "inspect flaky fuzz_flaky",
    "inspect failed --step fuzz_echo --full",
    "inspect waits-2 --watch --timeout 150ms",
    "inspect failed --watch --view error",
    "inspect flaky --watch --timeout 150ms --view events",
    "inspect parent --json",
    "replay --all",
    "replay done failed flaky",
    "replay waits-2 --stack",
    "replay done --until fuzz_charge",
    "retry failed --dry-run",
    "retry --all --error ValueError --dry-run",
    "retry --all --error No --dry-run",
    "fork failed --from fuzz_echo --dry-run",
    "fork done --from x --dry-run",
    "cancel sleeps done",
    "signal nothing",
    "signal go --all",
    "export failed",
    "export --all -o out.jsonl",
    "import all.jsonl",
    "store copy sqlite:///ergon.db sqlite:///copied.db",
    "store check",
    "run fuzz_fails --store memory:// -a text=POISON",
    "run fuzz_flaky_flow --timeout 100ms -a text=POISON",
    "worker --burst",
)


class Screens:
    """Each case is a command, and where it is shown: a pipe, or a terminal's encoding and width."""

    def __init__(self, folder: Path, patience: float) -> None:
        self._ground = Ground(folder, patience)

    def make(self, random: Random) -> Any:
        terminal = random.choice((None, "utf-8", "utf-8", "ascii", "latin-1"))
        width = random.choice((10, 20, 40, 80, 80, 200, 1000))
        return {
            "commands": [random.choice(COMMANDS)],
            "terminal": terminal,
            "width": width,
            "poisoned": random.random() < 0.9,
        }

    def run(self, data: Any) -> Faults:
        terminal = data["terminal"]
        environ = {"COLUMNS": str(data["width"]), "LINES": "30", "TERM": "xterm" if terminal else "dumb"}
        found: Faults = []
        for command in data["commands"]:
            self._ground.renew()
            if data["poisoned"]:
                with self._ground.rows() as conn:
                    poison(conn)
            args = [part.replace("POISON", POISON) for part in command.split(" ")]
            ran = self._ground.run(args, environ=environ, terminal=terminal, stops=args[0] in ("worker", "run"))
            codes = frozenset({0, 2, 3, 4, 5, 6, 124}) | ({1} if args[0] == "store" else set())
            found += faults(ran, codes=codes, drawn=terminal is not None)
        return found


def poison(conn: sqlite3.Connection) -> None:
    """Put it into every text of a store that stays readable."""
    for flow, seq, entry in conn.execute("SELECT flow, seq, entry FROM journal").fetchall():
        conn.execute("UPDATE journal SET entry = ? WHERE flow = ? AND seq = ?", (_entry(entry), flow, seq))
    for table, column, key in (
        ("input", "args", "flow"),
        ("flow", "result", "id"),
        ("flow", "note", "id"),
        ("message", "body", "seq"),
    ):
        for place, data in conn.execute(f"SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL").fetchall():
            conn.execute(
                f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (_dumped(_inside(json.loads(data))), place)
            )
    for table, columns in {
        "flow": ("type", "version", "lane", "owner", "fingerprint"),
        "worker": ("worker", "host", "lanes"),
    }.items():
        for column in columns:
            conn.execute(f"UPDATE {table} SET {column} = {column} || ?", (POISON if column != "lanes" else " ",))
    for table, columns in {"message": ("id", "channel"), "wait": ("channel",)}.items():
        for column in columns:
            conn.execute(
                f"UPDATE {table} SET {column} = {column} || ? WHERE {column} LIKE 'signal:%' OR ? = 'id'",
                (POISON, column),
            )
    for table, column in {"flow": "id", "journal": "flow", "input": "flow"}.items():
        conn.execute(f"UPDATE {table} SET {column} = {column} || ? WHERE {column} IN ('any', 'pending')", (POISON,))


def _entry(stored: bytes) -> bytes:
    """An entry with it in each text that may hold any."""
    fields = json.loads(stored)
    for place in range(2, len(fields)):
        before, fields[place] = fields[place], _inside(fields[place])
        try:
            unpack(_dumped(fields), 0)
        except ValueError:
            fields[place] = before
    return _dumped(fields)


def _inside(value: Any) -> Any:
    match value:
        case str():
            try:
                inner = json.loads(value)
            except ValueError:
                return value + POISON
            return json.dumps(_inside(inner)) if isinstance(inner, (dict, list, str)) else value
        case list():
            return [_inside(each) for each in value]
        case dict():
            return {name: each if name in KEPT else _inside(each) for name, each in value.items()}
        case _:
            return value


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
