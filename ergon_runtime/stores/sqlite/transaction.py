"""Transactions, as plain synchronous functions that own a connection while they run.

A write transaction is BEGIN IMMEDIATE: a deferred one that has read cannot wait for the lock. `run_group` puts many
operations into one transaction, so that they share one sync to disk. If one of them fails, all are done again, each in
a savepoint, so that it fails alone.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence

from ergon_runtime.stores.sqlite import faults, schema

Work = Callable[[], object]
"""An operation, ready to run inside a transaction."""
Outcome = tuple[object, BaseException | None]
"""What it returned, or what it raised."""


@contextlib.contextmanager
def transaction(conn: sqlite3.Connection, path: str = "", patience: float = 0.0) -> Generator[None]:
    """A write transaction: committed at the end, rolled back on any error. Waits for the lock for `patience` seconds,
    on top of the connection's own busy timeout. Raises SchemaMismatch if a newer Ergon has taken the store over."""
    begin(conn, patience)
    try:
        schema.check_writer(conn, path)
        yield
        conn.execute("COMMIT")
    except BaseException:
        _roll_back(conn)
        raise


@contextlib.contextmanager
def snapshot(conn: sqlite3.Connection) -> Generator[None]:
    """Several reads of one state."""
    conn.execute("BEGIN")
    try:
        yield
    finally:
        _roll_back(conn)


def begin(conn: sqlite3.Connection, patience: float) -> None:
    """Take the write lock."""
    insist(conn, "BEGIN IMMEDIATE", patience)


def insist(conn: sqlite3.Connection, statement: str, patience: float) -> sqlite3.Cursor:
    """Run a statement that may find the store locked, again and again for `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return conn.execute(statement)
        except sqlite3.OperationalError as error:
            if not faults.busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(0.001 * (1 + secrets.randbelow(20)))


def run_group(
    conn: sqlite3.Connection, works: Sequence[Work], path: str, patience: float, *, apart: bool = False
) -> list[Outcome]:
    """Run operations in one transaction, with a savepoint for each if `apart`; one by one if that fails as a whole.
    Never raises."""
    try:
        begin(conn, patience)
    except sqlite3.Error as error:
        return [(None, faults.explain(error, path)) for _ in works]
    try:
        schema.check_writer(conn, path)
        outcomes = [_run_one(conn, work) if apart else (work(), None) for work in works]
        conn.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(conn)
        if len(works) == 1:
            return [(None, faults.explain(error, path))]
        return [outcome for work in works for outcome in run_group(conn, [work], path, patience)]
    except BaseException as error:  # noqa: BLE001 - handed to the caller whose operation it is, or to all that it stops
        _roll_back(conn)
        if len(works) > 1 and not apart and isinstance(error, Exception):
            return run_group(conn, works, path, patience, apart=True)
        return [(None, error)] * len(works)
    return outcomes


def _run_one(conn: sqlite3.Connection, work: Work) -> Outcome:
    """Run an operation in a savepoint, whose fate is its own. Raises SQLite's errors: some of them end the whole
    transaction."""
    conn.execute("SAVEPOINT operation")
    try:
        outcome: Outcome = work(), None
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001 - handed to the caller whose operation it is
        conn.execute("ROLLBACK TO operation")
        outcome = None, error
    conn.execute("RELEASE operation")
    return outcome


def _roll_back(conn: sqlite3.Connection) -> None:
    if conn.in_transaction:
        with contextlib.suppress(sqlite3.Error):  # the connection's next statement will tell
            conn.execute("ROLLBACK")
