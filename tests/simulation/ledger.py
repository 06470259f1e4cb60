"""The effects ledger: every start of a step's body is written down, and those that must not be are problems.

It reads journals by itself, independently of the machine, so that both cannot be wrong together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from random import Random

from ergon_runtime.codec import digest
from ergon_runtime.core.entries import (
    AttemptFailed,
    ChildCreated,
    ChildEnded,
    Entry,
    Forked,
    LifeMarker,
    Recorded,
    Retried,
    SignalReceived,
    StepEnded,
    TimerFired,
    unpack,
)
from ergon_runtime.core.flows import Status
from ergon_runtime.primitives import StepInfo
from tests.simulation.beats import Beats
from tests.simulation.books import Books
from tests.simulation.steps import Execution


class Journals:
    """Decoded journals, read on demand; they only grow."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._known: dict[str, list[Recorded]] = defaultdict(list)

    def __call__(self, flow: str) -> list[Recorded]:
        known = self._known[flow]
        rows = self._books.core.journal(flow, len(known), 1_000_000)
        start = len(known)
        known += [unpack(row, start + n) for n, row in enumerate(rows)]
        return known


def lives(journal: Sequence[Recorded]) -> list[tuple[int, int, Entry]]:
    """(life, epoch, entry) of each entry; a life marker belongs to the life that it begins."""
    found: list[tuple[int, int, Entry]] = []
    life = epoch = 1
    for record in journal:
        if isinstance(record.entry, LifeMarker):
            life, epoch = record.entry.life, record.entry.epoch
        found.append((life, epoch, record.entry))
    return found


def own(journal: Sequence[Recorded]) -> Sequence[Recorded]:
    """What the flow has recorded itself: a fork's journal begins with what another has."""
    marks = [n for n, record in enumerate(journal) if isinstance(record.entry, Forked)]
    return journal[marks[-1] :] if marks else journal


def kept(journal: Sequence[Recorded]) -> list[tuple[int, int, Entry]]:
    """(life, epoch, entry) of each entry that no retry has cut off. A detached child's end stays with its creation."""
    gone: set[int] = set()
    for record in journal:
        if isinstance(record.entry, Retried) and record.entry.cut is not None:
            gone.update(range(record.entry.cut, record.seq))
    created = [each for each in journal if each.seq not in gone and isinstance(each.entry, ChildCreated)]
    far = {each.entry.child for each in created if isinstance(each.entry, ChildCreated) and each.entry.detached}
    gone -= {each.seq for each in journal if isinstance(each.entry, ChildEnded) and each.entry.child in far}
    return [row for record, row in zip(journal, lives(journal), strict=True) if record.seq not in gone]


def is_success(entry: Entry) -> bool:
    """Whether a later life may use the entry again."""
    match entry:
        case StepEnded():
            return entry.error is None
        case ChildEnded():
            return entry.status is Status.COMPLETED
        case TimerFired():
            return entry.sleep
        case _:
            return isinstance(entry, SignalReceived)


def remembered(journal: Sequence[Recorded]) -> dict[str, Entry]:
    """What the present life may take from earlier ones, by key."""
    rows = kept(journal)
    life, epoch = (rows[-1][0], rows[-1][1]) if rows else (1, 1)
    return {entry.key: entry for n, of, entry in rows if n < life and of == epoch and is_success(entry)}


class EffectsLedger:
    """Says how each try of a step goes, and complains of tries that must not be. Seeded."""

    def __init__(
        self,
        random: Random,
        books: Books,
        journals: Journals,
        lease: float,
        blame: Callable[[str], None],
        kill: Callable[[], None],
        beats: Beats,
        *,
        changing: bool,
    ) -> None:
        self.runs = 0
        self._random, self._books, self._journals, self._lease = random, books, journals, lease
        self._blame, self._kill, self._beats, self._changing = blame, kill, beats, changing
        self.poison = 0
        """How many workers the poisonous flow still takes down."""
        self.fenced = True
        """Whether no body may start under a stale token; one may when the store's clock has jumped over its lease."""
        self.started: dict[str, set[str]] = defaultdict(set)
        """The keys of the steps that were started under a token."""
        self._failures: Counter[tuple[str, str]] = Counter()
        self._told: dict[tuple[str, int, str], tuple[str, int]] = {}
        self._once: dict[tuple[str, int, str, str], list[int]] = defaultdict(list)

    def begin(self, info: StepInfo, name: str, told: str, fails: int, once: bool) -> Execution:
        """A body starts."""
        self.runs += 1
        self.started[info.token].add(info.key)
        journal = self._journals(info.flow_id)
        fresh = self._books.token(info.flow_id) == info.token
        if fresh:
            self._check(info, name, told, fails, once, journal)
        elif self.fenced:
            self._blame(f"fence: {info.flow_id} {info.key} starts under a stale token")
        which = info.flow_id.split("~")[0], info.key
        failing = self._failures[which] < fails
        self._failures[which] += failing
        life = lives(journal)[-1][0] if journal else 1
        say = self._beats.begin(info, life, digest(_as_stored(told, fails)), fresh=fresh)
        return Execution(self._seconds(), failing, f"{name}={self.runs}", say)

    def after(self, info: StepInfo, needs: Sequence[str]) -> None:
        """A body starts that needs the results of steps in its scope."""
        if self._books.token(info.flow_id) != info.token:
            return  # somebody else may have cut the journal since
        scope = info.key.rpartition("/")[0]
        rows = kept(self._journals(info.flow_id))
        epoch = rows[-1][1] if rows else 1
        done = {entry.key.partition("#")[0] for _, of, entry in rows if of == epoch and is_success(entry)}
        if missing := [need for need in needs if f"{scope}/{need}".lstrip("/") not in done]:
            self._blame(f"{info.flow_id} {info.key} starts, and {missing} have not ended")

    def kills(self, info: StepInfo) -> bool:
        if self.poison <= 0:
            return False
        self.poison -= 1
        self._kill()
        return True

    def _check(self, info: StepInfo, name: str, told: str, fails: int, once: bool, journal: list[Recorded]) -> None:
        flow, key = info.flow_id, info.key
        rows = lives(journal)
        life, epoch = rows[-1][:2] if rows else (1, 1)
        ended = [(n, entry) for n, _, entry in rows if isinstance(entry, StepEnded) and entry.key == key]
        if any(n == life for n, _ in ended):
            self._blame(f"{flow} {key} is journaled in this life and runs again")
        before = [e for n, of, e in kept(journal) if n < life and of == epoch and e.key == key and is_success(e)]
        if any(isinstance(e, StepEnded) and (e.name, e.args) == (name, _as_stored(told, fails)) for e in before):
            self._blame(f"{flow} {key} succeeded in an earlier life and runs again")
        if self._told.setdefault((flow, life, key), (told, fails)) != (told, fails) and not self._changing:
            self._blame(f"{flow} {key} runs a second time with other arguments")
        if info.idempotency_key != f"{flow}:{epoch}:{key}":
            self._blame(f"{flow} {key} has the idempotency key {info.idempotency_key} in epoch {epoch}")
        tries = sum(isinstance(e, AttemptFailed) and e.key == key and n == life for n, _, e in rows)
        if info.attempt != tries + 1:
            self._blame(f"{flow} {key}: {tries} failed tries are journaled, and this is said to be try {info.attempt}")
        if once:
            starts = self._once[flow, epoch, key, told]
            failed = {n for n, entry in ended if entry.error is not None and not entry.unknown}
            if any(n == life or n not in failed for n in starts):
                self._blame(f"at most once: {flow} {key} starts again")
            starts.append(life)

    def _seconds(self) -> float:
        longest = self._lease * 2 if self._random.random() < 0.02 else self._random.choice([0.005, 0.03, 0.2, 0.9])
        return round(self._random.uniform(0.001, longest), 3)


def _as_stored(told: str, fails: int) -> str:
    return f'{{"told":"{told}","fails":{fails}}}'
