"""What is kept and what runs again, in words and rows: of the plans of `retry` and `fork`. Data in it still has to pass
`safe`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ergon_runtime.operators import Rerun

NAMED = 3
"""Keys that a line names."""
COLUMNS = ("ID", "KEY", "KIND", "STATUS", "NOTE")
ACTIVE = ("step", "child")
"""Kinds that run; the others are waited for."""


def kept_and_again(keeps: int, again: Sequence[Rerun] | None = None) -> str:
    """Both in one line: 3 recorded steps are kept, charge runs again. Without `again` nothing is said of what runs."""
    if again is None:
        return _kept(keeps)
    active = [each.key for each in again if each.kind in ACTIVE]
    waits = [each.key for each in again if each.kind not in ACTIVE]
    parts = [_kept(keeps)]
    if not again:
        parts.append("nothing recorded runs again")
    if active:
        parts.append(f"{named(active)} {'run' if len(active) > 1 else 'runs'} again")
    if waits:
        parts.append(f"{named(waits)} {'are' if len(waits) > 1 else 'is'} waited for again")
    return ", ".join(parts)


def rerun_rows(flow_id: str, again: Sequence[Rerun], unknown: Sequence[Rerun] = ()) -> Iterator[tuple[str, ...]]:
    """A row for each of them, in COLUMNS."""
    for each in again:
        yield flow_id, each.key, each.kind, each.status, "at most once" if each.at_most_once else ""
    for each in unknown:
        yield flow_id, each.key, each.kind, each.status, "at most once: not run again, raises OutcomeUnknown"


def _kept(count: int) -> str:
    match count:
        case 0:
            return "no recorded step is kept"
        case 1:
            return "1 recorded step is kept"
        case _:
            return f"{count} recorded steps are kept"


def named(keys: Sequence[str]) -> str:
    """Some keys as people say it: a, b and 4 more."""
    shown = list(keys if len(keys) <= NAMED else keys[: NAMED - 1])
    if len(shown) < len(keys):
        shown.append(f"{len(keys) - len(shown)} more")
    *first, last = shown
    return f"{', '.join(first)} and {last}" if first else last
