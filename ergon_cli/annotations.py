"""Differences as annotations of GitHub Actions, at the line of code: `::error file=...,line=...,title=...::message`.

Paths are relative to the root of the repository around the current folder, as GitHub wants them.
"""

from __future__ import annotations

import os
from pathlib import Path

from ergon_cli import differences
from ergon_cli.text import safe
from ergon_runtime.replay import ReplayReport


def annotation(report: ReplayReport) -> str | None:
    """The line for GitHub; None for a flow that is the same, or of a type that is not loaded."""
    if report.verdict not in ("diverged", "unreadable"):
        return None
    properties = {"title": f"{report.verdict}: {report.flow} {report.flow_id}"}
    file, _, line = (report.where or "").rpartition(":")
    if line.isdecimal():
        properties = {"file": _from_root(file), "line": line} | properties
    said = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    lines = [report.message or report.verdict, *differences.as_text(report).splitlines()]
    return f"::error {said}::" + "%0A".join(_data(safe(each)) for each in lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(safe(text)).replace(":", "%3A").replace(",", "%2C")


def _from_root(file: str) -> str:
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)
    relative = os.path.relpath(file, root)
    return file if relative.startswith("..") else relative
