"""The ways out of a difference, in words, with the names that are at hand."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import assert_never

from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.replay.differences import Finding

_ODD = re.compile(r"[^A-Za-z0-9]+")


def ways_out(finding: Finding, row: FlowRow) -> tuple[str, ...]:
    """What can be done, the simplest first. An ended flow needs nothing itself; flows like it may."""
    at = f" at {_short(finding.where)}" if finding.where else ""
    blocked = "" if row.status is Status.BLOCKED else ", once it is blocked"
    adopt = f"for this flow alone{blocked}, take the code as it is: ergon retry {row.id} --adopt"
    if finding.difference == "result" and finding.key is not None:
        return (
            f"serve code that reads what is recorded: widen the type{at} (recorded: {finding.recorded})",
            f"give the change a new flow version: version={_next(row.version)!r}",
        )
    guard = () if finding.difference in ("end", "result") else (_guard(finding, at),)
    version = f"give the changed flow a new version: version={_next(row.version)!r}; this one goes on with the old code"
    return (f"serve code that fits: {_fitting(finding)}", *guard, version, *(() if row.status.ended else (adopt,)))


def _fitting(finding: Finding) -> str:
    recorded, current = finding.recorded, finding.current[0]
    match finding.difference:
        case "extra" if finding.key is not None:
            return f"ask for {recorded} before {current}"
        case "extra":
            return f"end without {current}"
        case "missing":
            return f"ask for {recorded} again"
        case "order":
            return f"ask for {recorded} first, as recorded"
        case "step" | "arguments" | "kind":
            return f"ask for {recorded}, not for {current}"
        case "end" if finding.key is not None:
            return f"go on to {recorded}"
        case "result" | "end":
            return f"let it end as recorded: {recorded}"
        case _:
            assert_never(finding.difference)


def _guard(finding: Finding, at: str) -> str:
    new, old = _name(finding.current[0]), _name(finding.recorded)
    if finding.difference == "extra":
        return f'guard what is new{at}: if patched("add-{new}"): ...'
    if finding.difference == "missing":
        return f'keep the old call for flows like this one{at}: if not patched("drop-{old}"): ...'
    return f'guard the change{at}: if patched("{new if new != old else f"change-{new}"}"): ... else: as it was'


def _name(described: str) -> str:
    """A word for what is described: `charge` of `step 1/charge#2("n":1)`."""
    key = described.partition("(")[0].split(" ")[-1]
    return _ODD.sub("-", key.rpartition("/")[2].partition("#")[0]).strip("-") or "change"


def _next(version: str | None) -> str:
    if version is None:
        return "2"
    return str(int(version) + 1) if version.isdecimal() else f"{version}-2"


def _short(where: str) -> str:
    file, _, line = where.rpartition(":")
    return f"{PurePath(file).name}:{line}"
