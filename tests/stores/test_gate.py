"""The gate between checkpoints and writers: which builds need it, that logs stay short, that writers are never met."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ergon_runtime.stores.sqlite.gate import Gate, needed


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
    ],
)
def test_builds_with_the_fault_need_the_gate(version: tuple[int, ...], expected: bool) -> None:
    assert needed(version) is expected


def _with_long_log(path: Path, gate: Gate) -> sqlite3.Connection:
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode = WAL")
    for setting in gate.settings:
        conn.execute(setting)
    conn.execute("CREATE TABLE t (x)")
    conn.execute("INSERT INTO t VALUES (zeroblob(5000000))")
    return conn


def _log(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


def test_long_log_is_emptied_when_nobody_writes(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    gate, other = Gate(str(path), needed=True), Gate(str(path), needed=True)
    conn = _with_long_log(path, gate)
    with other.writing():
        gate.checkpoint(conn)
        assert _log(path) > 5_000_000
    gate.checkpoint(conn)
    assert _log(path) == 0
    conn.close()
    gate.close()
    other.close()


def test_reader_holds_a_checkpoint_up_without_an_error(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    gate = Gate(str(path), needed=True)
    conn = _with_long_log(path, gate)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    gate.checkpoint(conn)
    assert _log(path) > 5_000_000
    reader.execute("COMMIT")
    gate.checkpoint(conn)
    assert _log(path) == 0
    assert conn.execute("PRAGMA busy_timeout").fetchone()[0] == 5000
    reader.close()
    conn.close()
    gate.close()


def test_gate_that_is_not_needed_leaves_checkpoints_to_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    gate = Gate(str(path), needed=False)
    assert gate.settings == ()
    with gate.writing():
        pass
    gate.close()
    assert list(tmp_path.iterdir()) == []
