"""The auditor: it stands before the store's core and looks at every claim and commit as it is applied."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from ergon_runtime.core.entries import (
    Adopted,
    AttemptFailed,
    ChildCancelled,
    ChildCreated,
    ChildEnded,
    Entry,
    LifeMarker,
    Patched,
    SignalReceived,
    StepBegun,
    StepEnded,
    StepStopped,
    unpack,
)
from ergon_runtime.core.flows import (
    CRASH_LOOP,
    SUSPECT,
    ClaimRequest,
    Claims,
    Commit,
    CommitReply,
    FlowRow,
    NewFlow,
    Send,
    Status,
)
from tests.simulation.beats import Beats
from tests.simulation.books import Books
from tests.simulation.ledger import Journals, kept, lives, own
from tests.simulation.programs import is_spinning, is_stuck


class Auditor:
    """A store's core, watched. What is not watched goes through as it is."""

    def __init__(
        self, books: Books, journals: Journals, clock: Callable[[], int], blame: Callable[[str], None], beats: Beats
    ) -> None:
        self.claims: Counter[str] = Counter()
        self.disturbed: Counter[str] = Counter()
        """Per flow: things that allow one more claim."""
        self.told: set[tuple[str | None, str]] = set()
        """(flow, message id) of what flows sent."""
        self.stats: Counter[str] = Counter()
        self.codes = 1
        """How many versions of the code there are; the last fits every journal."""
        self.only_poison = False
        """Whether nothing but the poisonous flow kills workers."""
        self.poison = 0
        self.started: dict[str, set[str]] = defaultdict(set)
        """Per token: the steps that were started under it."""
        self.draining: set[str] = set()
        """The workers that make no more tries."""
        self._claimed: dict[str, int] = {}
        self._marks: dict[str, str | None] = {}
        """The code that has blocked a flow, of those that are blocked."""
        self._books, self._journals, self._clock, self._blame, self._beats = books, journals, clock, blame, beats
        self._core = books.core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def create(self, flow: NewFlow) -> bool:
        return self._core.create(flow)

    def send(self, send: Send) -> bool:
        self.disturb(send)
        return self._core.send(send)

    def disturb(self, send: Send) -> None:
        """A message may wake its flow, or any that waits on its name."""
        if send.to is not None:
            self.disturbed[send.to] += 1
        else:
            self.disturbed["*"] += 1

    def claim(self, request: ClaimRequest) -> Claims:
        found = self._core.claim(request)
        for claim in found.claims:
            flow = claim.lease.flow
            self.claims[flow] += 1
            self._claimed[claim.lease.token] = self._clock()
            self.disturbed[flow] += claim.status is Status.RUNNING
            self.stats["claims"] += 1
            self.stats["claims alone"] += request.alone
            if claim.status is Status.BLOCKED and not request.operator:
                self._look_at_other_code(flow, request.fingerprint)
        return found

    def commit(self, commit: Commit) -> CommitReply:
        flow, core = commit.lease.flow, self._core
        row = core.get(flow)
        if row is None:  # it was pruned: LeaseLost
            return core.commit(commit)
        again = row.head == commit.id
        stale = not again and (self._books.token(flow) != commit.lease.token or row.head != commit.predecessor)
        self.stats["stale writes"] += stale
        reply = core.commit(commit)
        if again:
            self.stats["resends"] += 1
            return reply
        if stale:
            self._blame(f"{flow}: a stale token or head wrote")
        self._look(row, commit)
        return reply

    def _look_at_other_code(self, flow: str, fingerprint: str | None) -> None:
        """A worker has claimed a blocked flow: it has other code than blocked it, and that mark is gone (P4)."""
        self.stats["P4 other code tries"] += 1
        if fingerprint == self._marks.get(flow):
            self._blame(f"{flow} was blocked by {fingerprint}, which claims it again (P4)")
        row = self._core.get(flow)
        if row is not None and row.fingerprint is not None:
            self._blame(f"{flow} is claimed, and {row.fingerprint} is still marked as the code that does not fit (P4)")

    def _look(self, row: FlowRow, commit: Commit) -> None:
        """At a commit that was applied; `row` is the flow before it."""
        flow = row.id
        self.stats["commits"] += 1
        self.stats["signals set aside"] += len(commit.aside)
        entries = [unpack(entry, 0).entry for entry in commit.entries]
        for entry in entries:
            self.stats[f"entry {entry.kind}"] += 1
        for send in commit.sends:
            self.told.add((send.to, send.message.id))
            self.disturb(send)
        if commit.status.ended and row.parent is not None:
            self.disturbed[row.parent] += 1
        if commit.release and commit.status in (Status.PENDING, Status.BLOCKED):
            self.disturbed[flow] += 1
        late = commit.due is not None and commit.due < self._claimed.get(commit.lease.token, 0)
        if commit.release and commit.status is Status.WAITING and late and row.owner not in self.draining:
            self._blame(f"{flow}: given back with a due time that had passed when it was claimed")
        if commit.status is Status.BLOCKED:
            self._marks[flow] = commit.fingerprint
            if row.owner != "operator":  # they only give back what was
                self._look_blocked(row, commit)
        self._look_at_steps(row, commit, entries)
        self._look_at_children(row, commit, entries)
        self._look_at_heartbeats(row, commit, entries)
        if sum(isinstance(entry, SignalReceived) for entry in entries) > 1:
            self._blame(f"{flow}: one commit holds several signals (E7)")
        over = commit.status.ended or any(isinstance(entry, LifeMarker) for entry in entries)
        adopted = any(isinstance(entry, Adopted) for entry in entries)
        if over and (row.owner != "operator" or adopted):  # whoever retries what has ended finds its life over
            self._look_at_end(row, commit, adopted=adopted)

    def _look_blocked(self, row: FlowRow, commit: Commit) -> None:
        why = json.loads(commit.note or b"{}").get("why", {})
        kind = why.get("kind")
        self.stats[f"blocked {kind}"] += 1
        patched = any(isinstance(record.entry, Patched) for record in self._journals(row.id))
        old = commit.fingerprint != f"code {self.codes - 1}"
        rolled_back = kind == "diverged" and old and patched
        seed = json.loads(row.args)["p"]
        stuck = kind == "stuck" and is_stuck(seed)
        spins = kind == "spinning" and is_spinning(seed) and commit.fingerprint == "code 0"
        if kind == "crash_loop" and self.only_poison and (row.id != "poison" or self.poison < SUSPECT + CRASH_LOOP):
            self._blame(f"{row.id} is blamed for what poison did")
        if not (stuck or spins or rolled_back or kind == "crash_loop"):
            self._blame(f"{row.id} is blocked: {why}")

    def _look_at_end(self, row: FlowRow, commit: Commit, *, adopted: bool) -> None:
        """When a life ends its steps have ended (L7), and the children that it leaves behind are cancelled (K4)."""
        rows = lives(self._journals(row.id))
        life = lives(self._journals(row.id)[: commit.start])[-1][0] if commit.start else 1
        entries = [entry for n, _, entry in rows if n == life]
        ended = {entry.key for entry in entries if isinstance(entry, StepEnded | StepStopped | AttemptFailed)}
        if running := self.started[commit.lease.token] - ended:
            self._blame(f"{row.id}: life {life} ends, and its steps {sorted(running)} run")
        over = {entry.child for entry in entries if isinstance(entry, ChildEnded | ChildCancelled)}
        over |= {send.to for send in commit.sends if send.to is not None}
        made = {entry.child for entry in entries if isinstance(entry, ChildCreated) and not entry.detached}
        left = made - over
        if adopted:  # some had ended before, unheard
            left = {child for child in left if (found := self._core.get(child)) is None or not found.status.ended}
        if left:
            self._blame(f"{row.id}: life {life} ends, and its children {sorted(left)} are not cancelled")

    def _look_at_steps(self, row: FlowRow, commit: Commit, entries: Sequence[Entry]) -> None:
        """What cannot be stored is not tried again (T4). Nobody's end is unknown who has not begun here (T5, M1)."""
        for entry in entries:
            if isinstance(entry, StepEnded) and entry.error is not None and "CodecError" in entry.error:
                self.stats["T4 results that cannot be stored"] += 1
            if isinstance(entry, AttemptFailed) and "CodecError" in entry.error:
                self._blame(f"{row.id}: {entry.key} cannot be stored, and is to be tried again (T4)")
            if isinstance(entry, StepEnded) and entry.unknown:
                self.stats["T5 outcomes unknown"] += 1
                mine = own(self._journals(row.id))
                if not any(isinstance(each.entry, StepBegun) and each.entry.key == entry.key for each in mine):
                    self._blame(f"{row.id}: the outcome of {entry.key} is unknown, and it was never begun here")

    def _look_at_heartbeats(self, row: FlowRow, commit: Commit, entries: Sequence[Entry]) -> None:
        failed = [entry for entry in entries if isinstance(entry, AttemptFailed)]
        if not failed and b"heartbeats" not in (commit.note or b""):
            return
        rows = lives(self._journals(row.id))
        life = rows[-1][0] if rows else 1
        over = {entry.key for n, _, entry in rows if n == life and isinstance(entry, StepEnded | StepStopped)}
        self._beats.look(commit, life, over, failed)

    def _look_at_children(self, row: FlowRow, commit: Commit, entries: Sequence[Entry]) -> None:
        """One child for a detached call in all lives of an epoch, unless it failed or its arguments changed (M3)."""
        for entry in entries:
            if not isinstance(entry, ChildCreated) or not entry.detached:
                continue
            rows = kept(own(self._journals(row.id)[: commit.start]))
            life, epoch = rows[-1][:2] if rows else (1, 1)
            for n, of, old in rows:
                same = isinstance(old, ChildCreated) and (old.key, old.digest) == (entry.key, entry.digest)
                if not same or n >= life or of != epoch:
                    continue
                assert isinstance(old, ChildCreated)
                child = self._core.get(old.child)
                if child is not None and child.status not in (Status.FAILED, Status.CANCELLED):
                    self._blame(f"{row.id}: detached child {entry.key} made twice, {old.child} is {child.status}")
