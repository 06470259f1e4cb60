"""How commands log: each record is one line, and nothing in it rules the terminal.

`worker` and `run` show what flows and Ergon log. Of any other command only warnings are seen, as they stand.
"""

from __future__ import annotations

import logging
from types import TracebackType

from ergon_cli.text import safe

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class SafeFormatter(logging.Formatter):
    """One record, one line: what came from a store or a flow cannot forge another, nor rule the terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        return safe(super().formatMessage(record))

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802  logging's name
        return "\n".join(safe(line) for line in super().formatException(ei).split("\n"))


def log_warnings() -> None:
    """Make safe what Python shows where nobody has set up logging."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(SafeFormatter())


def log_to_stderr() -> None:
    """Show what flows and Ergon log, but for replays."""
    from ergon_runtime import ReplayFilter

    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(ReplayFilter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
