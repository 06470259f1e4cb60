"""The audit of pieces that lie in memory: everything that a store holds, at a quiet moment. Pure.

`looks_at` says of what the pieces are: whoever has journals that are no journals of ours takes ROWS alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ergon_runtime.audit.case import Check, Violation, make_case
from ergon_runtime.audit.families import FAMILIES
from ergon_runtime.audit.flows import FLOWS
from ergon_runtime.audit.journals import JOURNALS
from ergon_runtime.audit.post import Post
from ergon_runtime.audit.rows import ROWS
from ergon_runtime.core.flows import CANCEL
from ergon_runtime.stores.records import FlowRecord, JournalPart, NameRecord, Numbered, Record

CHECKS = (*ROWS, *JOURNALS, *FLOWS, *FAMILIES)
"""All checks of one flow."""


def audit_pieces(pieces: Iterable[Record | JournalPart], now: int, checks: Sequence[Check] = CHECKS) -> list[Violation]:
    """What is wrong with all that a store holds; `now` is its clock, in UTC milliseconds."""
    flows: dict[str, FlowRecord] = {}
    journals: dict[str, list[bytes]] = {}
    names: list[NameRecord] = []
    post, found = Post(), list[Violation]()
    for piece in pieces:
        match piece:
            case FlowRecord():
                flows[piece.row.id] = piece
                post.flow(piece)
            case JournalPart(flow, start, entries):
                journal = journals.setdefault(flow, [])
                if len(journal) != start:
                    text = f"its journal goes on at entry {start} after {len(journal)}; restore a backup"
                    found.append(Violation("R4", flow, text))
                journal.extend(entries)
            case NameRecord():
                names.append(piece)
            case Numbered():
                post.kept(piece)
    families: dict[str, dict[str, FlowRecord]] = {}
    for each in flows.values():
        if each.row.parent is not None:
            families.setdefault(each.row.parent, {})[each.row.id] = each
    for flow, record in flows.items():
        journal, children = journals.pop(flow, []), families.get(flow, {})
        rows = {child: piece.row for child, piece in children.items()}
        cancelled = frozenset(child for child, piece in children.items() if was_cancelled(piece))
        case = make_case(record, journal, now, rows, cancelled)
        post.journal(case)
        for check in checks:
            found += check.violations(case)
    found += [Violation("R4", flow, "a journal of no flow; restore a backup") for flow in journals]
    for name in names:
        post.name(name)
    return found + [suspicion.violation for suspicion in post.suspicions()]


def was_cancelled(record: FlowRecord) -> bool:
    """Whether the flow was ever sent a cancel."""
    return any(channel == CANCEL for channel, _ in record.sent)
