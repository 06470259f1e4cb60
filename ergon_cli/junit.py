"""Replays as JUnit XML, which every CI shows: a test case for each flow, in a file that is whole or not there."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from ergon_cli import differences
from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.text import escaped
from ergon_runtime.replay import ReplayReport

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write."""


class JUnit:
    """Gathers test cases; `write` makes the file. Raises CommandError: USAGE if its folder is not there."""

    def __init__(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise _unwritten(path, "there is no such folder")
        if os.path.isdir(path):
            raise _unwritten(path, "it is a folder")
        self._path = path
        self._cases: list[ET.Element] = []
        self._counts = {"failure": 0, "error": 0, "skipped": 0}

    def add(self, report: ReplayReport, *, served: bool) -> None:
        """A flow that was replayed. One of a type that is not loaded was skipped, unless it should be `served`."""
        kind = f"{report.flow}@{report.version}" if report.version else report.flow
        case = self._case(kind, report.flow_id)
        match report.verdict:
            case "same":
                pass
            case "unserved":
                self._result(case, "error" if served else "skipped", report.message or "", "unserved", "")
            case "diverged" | "unreadable":
                text = differences.as_text(report)
                self._result(case, "failure", differences.cause(report), report.difference or report.verdict, text)

    def add_error(self, error: CommandError) -> None:
        """What could not be replayed at all."""
        case = self._case("ergon replay", error.message)
        self._result(case, "error", error.message, error.code.name.lower(), error.hint or "")

    def write(self) -> None:
        """Write the file, in one move. Raises CommandError: USAGE if that cannot be."""
        totals = {"tests": len(self._cases), **{f"{kind}s": n for kind, n in self._counts.items() if kind != "skipped"}}
        attributes = {"name": "ergon replay"} | {name: str(n) for name, n in totals.items()}
        suite = ET.Element("testsuite", attributes | {"skipped": str(self._counts["skipped"])})
        suite.extend(self._cases)
        root = ET.Element("testsuites")
        root.append(suite)
        ET.indent(root)
        try:
            _replace(self._path, ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
        except OSError as error:
            raise _unwritten(self._path, error.strerror or str(error)) from None

    def _case(self, kind: str, name: str) -> ET.Element:
        case = ET.Element("testcase", {"classname": clean(kind), "name": clean(name)})
        self._cases.append(case)
        return case

    def _result(self, case: ET.Element, tag: str, message: str, kind: str, text: str) -> None:
        self._counts[tag] += 1
        ET.SubElement(case, tag, {"message": clean(message), "type": kind}).text = clean(text) or None


def _unwritten(path: Path, why: str) -> CommandError:
    return CommandError(ExitCode.USAGE, f"cannot write {path}: {why}", "give --junit a file in a folder that exists")


def clean(text: str) -> str:
    """The text with escapes for characters that XML forbids."""
    return _FORBIDDEN.sub(lambda found: escaped(found[0]), text)


def _replace(path: Path, data: bytes) -> None:
    """Put a file in its place. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(data)
        fresh.replace(path)
    except BaseException:  # whatever ends the writing, no half file stays beside the old one
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
