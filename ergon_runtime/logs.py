"""Logging in flow code: a filter that keeps replays silent, so that each line is logged once."""

from __future__ import annotations

import logging

from ergon_runtime.core import asking


class ReplayFilter(logging.Filter):
    """Drops what flow code logs while its journal is replayed; all else passes. Put it on a handler or logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        machine = asking.machine_here()
        return machine is None or not machine.replaying
