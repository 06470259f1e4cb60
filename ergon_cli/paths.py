"""Paths of source files as people read them: from the current folder where that is shorter."""

from __future__ import annotations

import os
from pathlib import Path


def near(file: str) -> str:
    """A file by the shorter of its two paths."""
    try:
        relative = os.path.relpath(file, Path.cwd())
    except ValueError:  # on another drive
        return file
    return relative if len(relative) < len(file) else file


def near_line(where: str) -> str:
    """The same of `file:line`."""
    file, colon, line = where.rpartition(":")
    return f"{near(file)}{colon}{line}"
