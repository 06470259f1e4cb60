"""Which ids of `patched` are still needed, from the replays of many flows. Pure; its size does not grow with them.

A row is about one id in one flow type and version, and about flows that are not over: only those need code. By E6, E8:

keep       one was told `old`: it has gone on without the change, so both branches have to stay.
unknown    one could not be replayed to where it stands, or some were not looked at: nobody knows what they need.
keep_call  none is on the old path, but some took the new: their journals hold a marker, or are about to, which the code
           has to ask for. The old branch can go, the call has to stay.
remove     none has come to the call. One that still does takes the new path, call or no call.

All this holds while every worker's code has the call. A worker with older code takes flows past it on the old path.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ergon_runtime.replay import ReplayReport

PatchVerdict: TypeAlias = Literal["keep", "unknown", "keep_call", "remove"]


@dataclass(frozen=True, slots=True)
class PatchRow:
    """One id of `patched` in one flow type: how many flows that are not over stand how to it, and what follows.

    `old` and `new` took that path; of the new ones `remembered` have it in their journals. `ahead` have not come to the
    call. `unclear` could not be replayed far enough to tell.
    """

    id: str
    flow: str
    version: str | None
    verdict: PatchVerdict
    old: int
    new: int
    remembered: int
    ahead: int
    unclear: int

    def to_json(self) -> dict[str, Any]:
        """As `ergon replay --all --json` prints it."""
        return {
            "id": self.id,
            "flow": self.flow,
            "version": self.version,
            "verdict": self.verdict,
            "old": self.old,
            "new": self.new,
            "remembered": self.remembered,
            "ahead": self.ahead,
            "unclear": self.unclear,
        }


_FlowType: TypeAlias = tuple[str, str | None]
_Patch: TypeAlias = tuple[str, str | None, str]


class PatchTally:
    """Counts reports. Add the report of every flow, ended ones too, then read the rows."""

    def __init__(self) -> None:
        self._live: Counter[_FlowType] = Counter()
        self._unclear: Counter[_FlowType] = Counter()
        self._counts: dict[_Patch, Counter[str]] = {}

    def add(self, report: ReplayReport) -> None:
        """Count one flow. Unserved ones say nothing of patches."""
        if report.verdict == "unserved":
            return
        place, live, same = (report.flow, report.version), not report.status.ended, report.verdict == "same"
        self._live[place] += live
        self._unclear[place] += live and not same
        for use in report.patches:
            if not live and use.path is None:
                continue  # an ended flow remembers a call that the code no longer has
            counts = self._counts.setdefault((*place, use.id), Counter())
            if live:
                counts[use.path or "new"] += 1  # a marker that the code did not ask for: it took the new path once
                counts["remembered"] += use.recorded
                counts["told unclear"] += not same

    def rows(self, *, complete: bool = True) -> list[PatchRow]:
        """One row for each id, by flow type. `complete`: every flow that is not over was added."""
        found = sorted(self._counts, key=lambda patch: (patch[0], patch[1] or "", patch[2]))
        return [self._row(patch, complete) for patch in found]

    def _row(self, patch: _Patch, complete: bool) -> PatchRow:
        flow, version, id_ = patch
        counts, place = self._counts[patch], (flow, version)
        old, new = counts["old"], counts["new"]
        unclear = self._unclear[place] - counts["told unclear"]
        verdict: PatchVerdict
        if old:
            verdict = "keep"
        elif unclear or not complete:
            verdict = "unknown"
        else:
            verdict = "keep_call" if new else "remove"
        ahead = self._live[place] - old - new - unclear
        return PatchRow(id_, flow, version, verdict, old, new, counts["remembered"], ahead, unclear)
