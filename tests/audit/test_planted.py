"""Each check of the audit finds the damage that it is for: planted in a store in which all is well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from ergon_runtime.audit import CHECKS, Check, audit_pieces
from ergon_runtime.audit.case import Case
from ergon_runtime.core.entries import (
    Adopted,
    AttemptFailed,
    CancelReceived,
    ChildCreated,
    Continued,
    Outcome,
    SignalReceived,
    Started,
    StepBegun,
)
from ergon_runtime.core.flows import Status
from ergon_runtime.stores.records import JournalPart, NameRecord, WaitRecord
from tests.audit.worlds import DONE, LEASE, NOW, World, healthy, numbered

Plant = Callable[[World], None]


def wait(channel: str, number: int = 70) -> WaitRecord:
    return WaitRecord(channel, number, 100, None)


def without(world: World, flow: str) -> None:
    del world.flows[flow], world.journals[flow], world.commits[flow]


def reserved_elsewhere(world: World) -> None:
    first, other = world.flows["waiter"].waits
    world.record("waiter", waits=(replace(first, reserved=numbered(21, "signal:other", "k")), other))


def lost_result(world: World) -> None:
    world.record("parent", sent=())
    world.journals["parent"].pop()
    world.commits["parent"].pop()
    world.row("parent", length=4)


def ended_with(result: bytes, status: Status = Status.COMPLETED) -> Plant:
    return lambda world: world.row("done", result=result, status=status)


def retry_without_epoch(world: World) -> None:
    world.entry("again", 2, keep=False)


def cut_ahead(world: World) -> None:
    world.entry("again", 2, cut=7)


def second_start(world: World) -> None:
    world.append("done", Adopted("", 300, 2, 1, 1), StepBegun("once", 310, "d", "once"))


def gone_beyond(world: World) -> None:
    world.append("done", Continued("", 300, 2, 2, "{}"), CancelReceived("cancel c", 310, "c"), length=False)


def renamed_child(world: World) -> None:
    made = ChildCreated("three", 150, "d", "parent/3", "T", None, "{}", True)
    world.append("parent", made)
    row = replace(world.flows["parent/far"].row, id="parent/3")
    world.record("parent/far", row=row)
    world.flows["parent/3"] = world.flows.pop("parent/far")
    world.journals["parent/3"], world.commits["parent/3"] = (
        world.journals.pop("parent/far"),
        world.commits.pop("parent/far"),
    )
    world.journals["parent"].pop(3)
    world.commits["parent"].pop(3)
    world.row("parent", length=5)


def child_reborn(world: World) -> None:
    world.row("parent/one", status=Status.PENDING, due=NOW, result=None, head=None, started=None, length=0)
    world.record("parent/one", ended=None)
    world.journals["parent/one"], world.commits["parent/one"] = [], []


def kept_cancel(world: World) -> None:
    world.record("done", mail=(numbered(70, "cancel", "c"),), sent=(("cancel", "c"),))


def also_waits(world: World, channel: str) -> None:
    world.record("waiter", waits=(*world.flows["waiter"].waits, wait(channel)))


def signal_twice(world: World) -> None:
    world.append("waiter", SignalReceived("x", 160, "d", "x", "m", "1"))


def signal_behind(world: World) -> None:
    world.append("waiter", SignalReceived("y", 160, "d", "y", "y", "1"))
    world.commits["waiter"][-1] -= 1


def kept_under_no_name(world: World) -> None:
    world.kept.append(numbered(71, "child:x", "k"))
    world.names.append(NameRecord("child:x", "k", 5))


def orphan(world: World) -> None:
    world.record("again/c", sent=(), mail=())


def tries_backwards(world: World) -> None:
    world.append("parent/far", *(AttemptFailed("s", 140, "d", "s", "{}", n, 150, "{}", 1, 2, "w") for n in (2, 2)))


def try_after_end(world: World) -> None:
    world.append("done", AttemptFailed("charge", 250, "d", "charge", "{}", 3, 260, "{}", 1, 2, "w"))


PLANTS: tuple[tuple[str, str, str | None, Plant], ...] = (
    ("no owner", "R2", "parent/two", lambda w: w.row("parent/two", owner=None)),
    ("an owner too many", "R2", "done", lambda w: w.row("done", owner="w")),
    ("a lease without end", "R2", "parent/two", lambda w: w.row("parent/two", due=None)),
    ("alone without a lease", "R2", "done", lambda w: w.record("done", alone=True)),
    ("a lease far ahead", "P6", "parent/two", lambda w: w.row("parent/two", due=NOW + 2 * LEASE + 1)),
    ("recoveries of nobody", "R2", "waiter", lambda w: w.row("waiter", recoveries=1)),
    ("more deaths than recoveries", "R2", "parent/two", lambda w: w.row("parent/two", deaths=2)),
    ("ended at no time", "R5", "done", lambda w: w.record("done", ended=None)),
    ("ended and not over", "R5", "blocked", lambda w: w.record("blocked", ended=5)),
    ("ended and due", "R5", "done", lambda w: w.row("done", due=NOW)),
    ("ended and waits", "R5", "done", lambda w: w.record("done", waits=(wait("signal:x"),))),
    ("ended with a cancel", "R5", "done", kept_cancel),
    ("a result too early", "R5", "waiter", lambda w: w.row("waiter", result=DONE)),
    ("pending for ever", "P1", "new", lambda w: w.row("new", due=None)),
    ("a priority that is none", "P1", "new", lambda w: w.row("new", priority=10)),
    ("claimed at no time", "C1", "waiter", lambda w: w.row("waiter", started=None)),
    ("entries of no commit", "C1", "waiter", lambda w: w.row("waiter", head=None)),
    ("an entry too few", "R4", "done", lambda w: w.row("done", length=7)),
    ("an entry too many", "R4", "done", lambda w: w.row("done", length=5)),
    ("a base past the end", "R4", "done", lambda w: w.row("done", base=7)),
    ("mail, and not due", "R7", "waiter", lambda w: w.row("waiter", due=NOW + 1)),
    ("mail, and due at no time", "R7", "waiter", lambda w: w.row("waiter", due=None)),
    (
        "a child's result, and not due",
        "R7",
        "parent",
        lambda w: w.record(
            "parent",
            mail=(numbered(70, "child:parent/two", "result parent/two"),),
            sent=(*w.flows["parent"].sent, ("child:parent/two", "result parent/two")),
        ),
    ),
    ("blocked and waits", "C3", "blocked", lambda w: w.record("blocked", waits=(wait("signal:x"),))),
    ("a wait for cancel", "C3", "waiter", lambda w: also_waits(w, "cancel")),
    ("reserved on another name", "S2", "waiter", reserved_elsewhere),
    ("mail that nobody sent", "R6", "waiter", lambda w: w.record("waiter", sent=())),
    (
        "mail that came twice",
        "R6",
        "waiter",
        lambda w: w.record("waiter", mail=(*w.flows["waiter"].mail, numbered(70, "signal:x", "m"))),
    ),
    ("an entry of nobody's kind", "R4", "done", lambda w: w.journals["done"].__setitem__(2, b'["x",1]')),
    ("no start", "E1", "done", lambda w: w.journals["done"].__setitem__(0, w.journals["done"][2])),
    ("a second start", "E1", "waiter", lambda w: w.append("waiter", Started("again", 160, "seed", None, 1, "3.11"))),
    ("the seed of another flow", "E1", "done", lambda w: w.entry("done", 0, seed="other")),
    ("times that run backwards", "E3", "done", lambda w: w.entry("done", 5, at=50)),
    ("a timer too early", "E3", "done", lambda w: w.entry("done", 3, due=201)),
    ("commits out of order", "C1", "done", lambda w: w.commits.__setitem__("done", [1, 2, 4, 3, 5, 6])),
    ("a key twice", "L3", "done", lambda w: w.entry("done", 2, key="charge")),
    ("a signal behind another", "E7", "waiter", signal_behind),
    ("tries that do not count up", "T2", "parent/far", tries_backwards),
    ("a try after the end", "T2", "done", try_after_end),
    ("a life left out", "M1", "again", lambda w: w.entry("again", 2, life=3)),
    ("an epoch that goes on", "M1", "again", retry_without_epoch),
    ("a cut ahead of itself", "M1", "again", cut_ahead),
    ("a base where no life begins", "M1", "done", lambda w: w.row("done", base=3)),
    ("at most once, twice", "T5", "done", second_start),
    ("another lane", "P1", "done", lambda w: w.row("done", lane="default:U:")),
    ("a result that is none", "R5", "done", ended_with(b"?")),
    ("the result of another end", "R5", "done", ended_with(DONE, Status.CANCELLED)),
    ("failed without an error", "R5", "done", ended_with(Outcome(Status.FAILED).pack(), Status.FAILED)),
    ("blocked without a reason", "P4", "blocked", lambda w: w.row("blocked", note=b"{}")),
    ("passed over and not blocked", "P4", "waiter", lambda w: w.row("waiter", fingerprint="f")),
    ("passed over for ever", "P4", "blocked", lambda w: w.row("blocked", fingerprint="f")),
    ("waiting for nothing", "L9", "parent/far", lambda w: w.row("parent/far", due=None)),
    ("a retry that is later than it says", "L9", "again", lambda w: w.row("again", due=NOW + 51)),
    (
        "a cancel heard and kept",
        "C5",
        "again/c",
        lambda w: w.append("again/c", CancelReceived("cancel c", 140, "end of again life 1")),
    ),
    ("a signal heard and kept", "C5", "waiter", signal_twice),
    ("a child by another name", "K1", "parent", renamed_child),
    ("a child that is not there", "K1", "parent", lambda w: without(w, "parent/two")),
    ("a child of another type", "K1", "parent", lambda w: w.row("parent/two", type="U", lane="default:U:")),
    ("a child with other arguments", "K1", "parent", lambda w: w.row("parent/two", args=b"[]")),
    ("a child that nobody made", "K1", "waiter", lambda w: w.row("done", parent="waiter")),
    ("a result that never came", "K3", "parent", lost_result),
    ("a child that was not cancelled", "K4", "again", orphan),
    ("an end without a beginning", "K3", "parent", child_reborn),
    (
        "a child's end heard and kept",
        "C5",
        "parent",
        lambda w: w.record("parent", mail=(numbered(70, "child:parent/one", "result parent/one"),)),
    ),
    ("a number twice", "R17", "waiter", lambda w: w.record("waiter", mail=(numbered(22, "signal:x", "m"),))),
    ("a kept message beside a waiter", "S1", "waiter", lambda w: also_waits(w, "signal:other")),
    ("a message under no name", "S1", None, kept_under_no_name),
    ("an id that was forgotten", "S3", "waiter", lambda w: w.names.pop()),
)


def test_audit_of_a_healthy_store_finds_nothing() -> None:
    assert audit_pieces(healthy().pieces(), NOW) == []


@pytest.mark.parametrize(("rule", "flow", "plant"), [each[1:] for each in PLANTS], ids=[each[0] for each in PLANTS])
def test_audit_of_a_damaged_store_names_rule_and_flow(rule: str, flow: str | None, plant: Plant) -> None:
    world = healthy()
    plant(world)
    found = audit_pieces(world.pieces(), NOW)
    assert (rule, flow) in {(each.rule, each.flow) for each in found}, found
    assert all("; " in each.text for each in found), "says what to do"


def test_every_check_finds_some_of_the_damage() -> None:
    told = Counter[str]()

    def counting(check: Check) -> Check:
        def look(case: Case) -> list[str]:
            found = list(check.look(case))
            told[check.look.__name__] += len(found)
            return found

        return replace(check, look=look)

    checks = [counting(check) for check in CHECKS]
    for *_, plant in PLANTS:
        world = healthy()
        plant(world)
        audit_pieces(world.pieces(), NOW, checks)
    assert [check.look.__name__ for check in CHECKS if not told[check.look.__name__]] == []


def test_audit_of_a_journal_with_a_gap_names_it() -> None:
    world = healthy()
    pieces = [p for p in world.pieces() if not (isinstance(p, JournalPart) and p.flow == "done")]
    whole = next(p for p in world.pieces() if isinstance(p, JournalPart) and p.flow == "done")
    pieces += [JournalPart("done", 0, whole.entries[:2]), JournalPart("done", 3, whole.entries[3:])]
    assert ("R4", "done") in {(each.rule, each.flow) for each in audit_pieces(pieces, NOW)}


def test_audit_of_a_journal_of_no_flow_names_it() -> None:
    found = audit_pieces([*healthy().pieces(), JournalPart("ghost", 0, (b"x",))], NOW)
    assert [(each.rule, each.flow) for each in found] == [("R4", "ghost")]
