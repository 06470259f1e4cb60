"""Encryption for tests: keys, and a switch that encrypts the stores of all tests that take theirs from here.

`python -m tests.encryption` runs the conformance and the runtime tests over encrypted stores; or those that are named,
with any options of pytest.
"""

from __future__ import annotations

import os

from ergon_runtime.stores import Keys, Store
from ergon_runtime.stores.encrypted.store import EncryptedStore

KEYS = Keys({"new": bytes(range(32)), "old": bytes(32)})
EVERYWHERE = os.environ.get("ERGON_TEST_ENCRYPTED") == "1"


def encrypted(store: Store) -> Store:
    """The store, with its payloads encrypted."""
    return EncryptedStore(store, KEYS, "store")


def as_told(store: Store) -> Store:
    """The store, encrypted if all are to be."""
    return encrypted(store) if EVERYWHERE else store


DAMAGE = (
    "test_blocked.py::test_journal_that_",
    "test_blocked.py::test_result_of_a_child_that_cannot_be_read",
    "test_operators_blocked.py::test_p3_new_life_that_cannot_be_is_refused",
    "test_operators_blocked.py::test_journal_that_cannot_be_read",
    "test_operators_blocked.py::test_p5_retry_of_a_crash_loop",
    "test_runner.py::test_lease_that_the_keeper_finds_lost",
)
"""Tests that reach past the contract, into the memory of a plain store."""

if __name__ == "__main__":
    import sys

    import pytest

    os.environ["ERGON_TEST_ENCRYPTED"] = "1"
    told = sys.argv[1:] or ["tests/stores/conformance", "tests/runtime"]
    sys.exit(pytest.main(["-q", *told, *(f"--deselect=tests/runtime/{name}" for name in DAMAGE)]))
