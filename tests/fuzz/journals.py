"""Stores whose contents were changed by hand, and exported histories: whatever they say, commands tell of it in order.

What is changed is journals, arguments, results, notes, messages and their names, as a damaged disk, a later release or
somebody who may write the store would leave them. No table is.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random
from typing import Any

from ergon_runtime.core.flows import Status
from tests.fuzz import hostile
from tests.fuzz.case import Faults
from tests.fuzz.ground import Ground
from tests.fuzz.oracle import faults

BLOBS: tuple[tuple[str, str, str], ...] = (
    ("journal", "entry", "flow || ' ' || seq"),
    ("journal", "entry", "flow || ' ' || seq"),
    ("journal", "entry", "flow || ' ' || seq"),
    ("input", "args", "flow"),
    ("flow", "result", "id"),
    ("flow", "note", "id"),
    ("message", "body", "seq"),
)
"""Table, column and key of what no store looks into."""
TEXTS: tuple[tuple[str, str, str], ...] = (
    ("flow", "id", "id"),
    ("flow", "type", "id"),
    ("flow", "version", "id"),
    ("flow", "lane", "id"),
    ("flow", "owner", "id"),
    ("flow", "fingerprint", "id"),
    ("flow", "parent", "id"),
    ("message", "id", "seq"),
    ("message", "channel", "seq"),
    ("wait", "channel", "flow || channel"),
    ("worker", "worker", "worker"),
    ("worker", "host", "worker"),
)
NUMBERS: tuple[tuple[str, str, str], ...] = (
    ("flow", "due", "id"),
    ("flow", "created", "id"),
    ("flow", "updated", "id"),
    ("flow", "started", "id"),
    ("flow", "length", "id"),
    ("flow", "base", "id"),
    ("flow", "recoveries", "id"),
    ("flow", "deaths", "id"),
    ("wait", "since", "flow || channel"),
    ("message", "heard", "seq"),
    ("worker", "until", "worker"),
)
FLOWS = (
    "done",
    "any",
    "failed",
    "flaky",
    "waits-1",
    "waits-2",
    "sleeps",
    "parent",
    "report",
    "cancelled",
    "held",
    "blocked",
    "later",
)
COMMANDS: tuple[str, ...] = (
    "list",
    "list --json",
    *(f"inspect {{flow}} --view {view}" for view in ("timeline", "steps", "tree", "events", "io", "error")),
    "inspect {flow} --json",
    "inspect {flow} fuzz_echo",
    "inspect {flow} --watch --timeout 10ms",
    "replay {flow}",
    "replay {flow} --json",
    "replay --all",
    "replay {flow} --stack",
    "replay {flow} --until fuzz_echo",
    "retry {flow}",
    "retry {flow} --dry-run",
    "retry {flow} --from fuzz_echo",
    "retry {flow} --adopt --dry-run",
    "retry --all --error ValueError --yes",
    "fork {flow} --from fuzz_charge --yes",
    "fork {flow} --from fuzz_echo --dry-run --json",
    "fork {flow} --from fuzz_echo -a text=x -a value=1 --yes",
    "export {flow}",
    "export --all -o out.jsonl",
    "cancel {flow}",
    "signal go 1 --flow {flow}",
    "signal go-2 {} --all",
    "store copy sqlite:///ergon.db sqlite:///copied.db",
    "store check",
    "store check --json",
    "worker --burst",
)


class Journals:
    """Each case is changes of the store, and the commands that look at it then."""

    def __init__(self, folder: Path, patience: float) -> None:
        self._ground = Ground(folder, patience)
        with self._ground.rows() as conn:
            self._blobs = [(*place, key, data) for place in BLOBS for key, data in _cells(conn, place)]
            self._texts = [(*place, key) for place in TEXTS for key, _ in _cells(conn, place)]
            self._numbers = [(*place, key) for place in NUMBERS for key, _ in _cells(conn, place)]

    def make(self, random: Random) -> Any:
        changes = [self._change(random) for _ in range(random.choice((1, 1, 2, 3)))]
        flows = [str(change[3]).split()[0] for change in changes if change[0] in ("journal", "flow", "input")]
        commands = [
            random.choice(COMMANDS).replace("{flow}", random.choice((*flows, *flows, random.choice(FLOWS))) or "done")
            for _ in range(3)
        ]
        return {"changes": changes, "commands": commands}

    def _change(self, random: Random) -> list[Any]:
        """Table, column, key's expression, key, type, and what is there then; None for a row that is gone."""
        match random.randrange(12):
            case 0:
                table, _, by, key, _ = random.choice(self._blobs)
                return [table, "", by, key, "gone", None]
            case 1:
                one, two = (random.choice([cell for cell in self._blobs if cell[0] == "journal"]) for _ in range(2))
                return [*one[:4], "bytes", two[4].decode("latin-1")]
            case 2 | 3:
                return [*random.choice(self._numbers), "number", random.choice((*hostile.TIMES, 0, 1, 5, 10**6))]
            case 4 | 5:
                if random.random() < 0.15:
                    return ["flow", "status", "id", random.choice(FLOWS), "text", random.choice([*Status, "odd"])]
                return [*random.choice(self._texts), "text", hostile.text(random)[:300]]
            case _:
                table, column, by, key, data = random.choice(self._blobs)
                return [table, column, by, key, "bytes", hostile.mutate_bytes(random, data).decode("latin-1")]

    def run(self, data: Any) -> Faults:
        self._ground.renew()
        with self._ground.rows() as conn:
            for change in data["changes"]:
                _apply(conn, change)
        found: Faults = []
        for command in data["commands"]:
            ran = self._ground.run(command.split(" "), stops=command.startswith("worker"))
            codes = frozenset({0, 2, 3, 4, 5, 6, 124}) | ({1} if command.startswith("store") else set())
            found += faults(ran, codes=codes)
        return found


class HistoryFiles:
    """Each case is a file of exported flows, changed, and a command that reads it."""

    def __init__(self, folder: Path, patience: float) -> None:
        self._ground = Ground(folder, patience)
        self._lines = (folder / "all.jsonl").read_bytes().splitlines(keepends=True)

    def make(self, random: Random) -> Any:
        lines = random.sample(self._lines, random.choice((1, 1, 2)))
        place = random.randrange(len(lines))
        lines[place] = hostile.mutate_bytes(random, lines[place])
        if random.random() < 0.1:
            lines.insert(
                0, random.choice((b"\n", b"\xef\xbb\xbf", b"[" * 100_000, b"{}\n", b'{"ergon": 2}\n', b"\x1b[2J\n"))
            )
        commands = (
            "replay x.jsonl",
            "replay x.jsonl --json",
            "import x.jsonl --store sqlite:///new.db",
            "replay - --stack",
        )
        more = (
            "import x.jsonl --json",
            "replay x.jsonl --check-result --junit out.xml",
            "import -",
            "replay x.jsonl --github",
        )
        return {"file": b"".join(lines).decode("latin-1"), "command": random.choice((*commands, *more))}

    def run(self, data: Any) -> Faults:
        self._ground.renew()
        text = data["file"].encode("latin-1")
        (self._ground.folder / "x.jsonl").write_bytes(text)
        found = faults(self._ground.run(data["command"].split(), stdin=text))
        if "import" in data["command"] and not found:
            store = ("--store", "sqlite:///new.db") if "new.db" in data["command"] else ()
            found += faults(self._ground.run(["list", *store]), codes=frozenset({0}))
            found += faults(self._ground.run(["export", "--all", *store]), codes=frozenset({0, 2}))
        return found


def _cells(conn: sqlite3.Connection, place: tuple[str, str, str]) -> list[tuple[Any, Any]]:
    table, column, key = place
    return conn.execute(f"SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY 1").fetchall()


def _apply(conn: sqlite3.Connection, change: list[Any]) -> None:
    table, column, by, key, what, made = change
    try:
        if what == "gone":
            conn.execute(f"DELETE FROM {table} WHERE {by} = ?", (key,))
        else:
            stored = made.encode("latin-1") if what == "bytes" else made
            conn.execute(f"UPDATE {table} SET {column} = ? WHERE {by} = ?", (stored, key))
    except (sqlite3.IntegrityError, UnicodeEncodeError):
        pass  # the store's own rules forbid it
