"""One hash seed for every worker and replay of a store, so that sets of str iterate alike in all of them (rule L8).

Python reads PYTHONHASHSEED when it starts, so the process replaces itself once.
"""

from __future__ import annotations

import os
import sys

VARIABLE = "PYTHONHASHSEED"


def under_hash_seed(seed: str) -> None:
    """Return if this process runs under the seed; else begin again under it, and never return."""
    if os.environ.get(VARIABLE) == seed:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | {VARIABLE: seed})  # noqa: S606  ourselves
