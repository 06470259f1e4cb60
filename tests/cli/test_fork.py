"""`ergon fork`: what a fork remembers and changes, of one flow and of many, and what is refused."""

from __future__ import annotations

import json

import pytest

from ergon_runtime import Status, Store, StoreUnavailable
from ergon_runtime.core.entries import (
    ChildCreated,
    Entry,
    Forked,
    Outcome,
    SignalReceived,
    StepBegun,
    StepEnded,
)
from ergon_runtime.stores.records import Kind
from tests.cli.shell import Shell, in_store, look, person_typing
from tests.runtime.views import START, STARTED, Scene, ended, error

SIGNAL = SignalReceived("go", START + 10, "d", "go", "m", "1")
ORDER: list[Entry] = [STARTED, ended("reserve"), SIGNAL, ended("charge", None, error("TimeoutError"))]

FAILED = Outcome(Status.FAILED, error=error("TimeoutError"))


def placed(*failures: str) -> None:
    """Flows of these ids, which failed in `charge`; and one that waits."""

    async def place(store: Store) -> None:
        scene = Scene(store)
        for flow in failures:
            await scene.place(flow, Status.FAILED, ORDER, outcome=FAILED)
        await scene.place("waits", Status.WAITING, [STARTED], waits=["signal:go"])

    in_store(place)


def count() -> int:
    return in_store(lambda store: store.count(Kind.FLOWS))


def test_fork_remembers_what_lies_before_the_step_and_prints_its_id(ergon: Shell) -> None:
    placed("A-17")
    before = look("A-17")
    assert ergon("fork", "A-17", "--from", "charge", "--id", "again", "--yes") == 0
    assert ergon.out == "again\n"
    assert ergon.err == (
        "fork A-17 from charge as again: 2 recorded steps are kept, charge runs again\n"
        "no live worker serves order; start one: ergon worker\n"
    )
    row, entries = look("again")
    assert (row.status, row.args, row.parent) == (Status.PENDING, b'{"n":1}', None)
    assert entries[:-1] == ORDER[:-1]
    assert isinstance(entries[-1], Forked)
    assert look("A-17") == before


def test_fork_without_an_id_gets_one_of_its_own(ergon: Shell) -> None:
    placed("A-17")
    assert ergon("fork", "A-1", "--from", "charge", "--yes") == 0
    made = ergon.out.strip()
    assert made.startswith("A-17-fork-")
    assert look(made)[0].status is Status.PENDING


def test_results_and_signals_are_changed(ergon: Shell) -> None:
    placed("A-17")
    line = ("--result", 'charge={"receipt": 7}', "--result", "reserve=null", "--no-signals", "--id", "again", "--yes")
    assert ergon("fork", "A-17", "--from", "charge", *line) == 0
    assert ergon.err.splitlines()[0] == (
        "fork A-17 from charge as again: 2 recorded steps are kept, go is waited for again; "
        "with another result of charge and reserve; without signal go"
    )
    steps = {entry.key: entry.value for entry in look("again")[1] if isinstance(entry, StepEnded)}
    assert steps == {"reserve": "null", "charge": '{"receipt": 7}'}


def test_children_that_have_ended_since_are_told(ergon: Shell) -> None:
    async def place(store: Store) -> None:
        scene = Scene(store)
        made = ChildCreated("ship", START, "d", "A/ship", "order", None, "{}", True)
        await scene.place("A", Status.FAILED, [STARTED, made, *ORDER[3:]], outcome=FAILED)
        await scene.place("A/ship", Status.COMPLETED, [STARTED], parent="A", outcome=Outcome(Status.COMPLETED, "1"))

    in_store(place)
    assert ergon("fork", "A", "--from", "charge", "--id", "again", "--yes") == 0
    assert ergon.err.startswith(
        "fork A from charge as again: 1 recorded step is kept, charge runs again; with what A/ship has given since\n"
    )


@pytest.mark.usefixtures("flows")
def test_arguments_are_read_by_the_hints_and_the_others_are_kept(ergon: Shell) -> None:
    placed("A-17")
    assert ergon("fork", "A-17", "--from", "charge", "-a", "amount=9.50", "--id", "again", "--yes", "--json") == 0
    assert look("again")[0].args == b'{"n":1,"amount":"9.50"}'
    expected = {"id": "again", "source": "A-17", "flow": "order", "version": None, "from": "charge", "cut": 3}
    assert ergon.json[0].items() >= (expected | {"keeps": 2, "edited_args": True, "edited": [], "dropped": []}).items()


@pytest.mark.usefixtures("flows")
def test_arguments_that_do_not_fit_are_told_under_the_signature(ergon: Shell) -> None:
    placed("A-17")
    assert ergon("fork", "A-17", "--from", "charge", "-a", "amont=1", "-a", "n=x", "--yes") == 2
    assert ergon.err.startswith("error: order(n: int, amount: Decimal = Decimal('1.50'), note: str | None = None)\n")
    assert "amont  unknown; did you mean amount?" in ergon.err
    assert count() == 2


def test_arguments_of_a_type_that_is_not_loaded_are_refused(ergon: Shell, flows: None) -> None:
    placed("A-17")
    (ergon.folder / "flows.py").write_text(
        "from ergon_runtime import flow\n@flow(version='v9')\nasync def order(n: int) -> None: ..."
    )
    assert ergon("fork", "A-17", "--from", "charge", "-a", "n=2", "--yes") == 3
    assert ergon.err == "error: flow order without a version is not loaded\n  name its module: -m MODULE\n"


def test_dry_run_lists_what_would_run_again_and_makes_nothing(ergon: Shell) -> None:
    placed("A-17")
    assert ergon("fork", "A-17", "--from", "reserve", "--dry-run") == 0
    assert ergon.rows == [
        ["A-17", "reserve", "step", "completed", ""],
        ["A-17", "go", "signal", "completed", ""],
        ["A-17", "charge", "step", "failed", ""],
    ]
    assert ergon.err == (
        "fork A-17 from reserve: no recorded step is kept, reserve and charge run again, go is waited for again\n"
    )
    assert count() == 2


def test_all_forks_failed_flows_and_tells_which_cannot_be(ergon: Shell) -> None:
    placed("A-1", "A-2")

    async def place(store: Store) -> None:
        await Scene(store).place("done", Status.COMPLETED, ORDER, outcome=Outcome(Status.COMPLETED, "1"))
        await Scene(store).place("early", Status.FAILED, [STARTED], outcome=FAILED)

    in_store(place)
    line = ("fork", "--all", "--flow", "order", "--error", "TimeoutError", "--from", "charge", "--yes", "--json")
    assert ergon(*line) == 2
    assert [plan["source"] for plan in ergon.json] == ["A-2", "A-1"]
    assert [json.loads(text)["error"]["code"] for text in ergon.err.splitlines()] == [2]
    assert "early" in ergon.err
    assert count() == 7


def test_all_run_again_makes_no_fork_twice(ergon: Shell) -> None:
    placed("A-1", "A-2")
    line = ("fork", "--all", "--from", "charge", "--yes")
    assert ergon(*line, "--limit", "1") == 0
    first = ergon.out.strip()
    assert ergon(*line) == 0
    assert ergon.err.startswith(f"fork A-2 from charge as {first}: is there already, and left alone\n")
    assert ergon.out.startswith("A-1-fork-")
    assert ergon(*line, "--no-signals") == 0
    assert len(ergon.out.splitlines()) == 2
    assert count() == 7


def test_all_forks_anew_what_has_gone_on_since(ergon: Shell) -> None:
    placed("A-1")
    assert ergon("fork", "--all", "--from", "charge", "--yes") == 0
    first = ergon.out
    assert ergon("retry", "A-1") == 0
    assert ergon("fork", "--all", "--status", "pending", "--from", "charge", "--yes") == 2  # the fork has no such step
    assert ergon.out.startswith("A-1-fork-")
    assert ergon.out != first
    assert count() == 4


def test_all_run_again_finishes_what_was_interrupted(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: object) -> None:
        raise StoreUnavailable("the power went")

    placed("A-1")
    line = ("fork", "--all", "--from", "charge", "--yes")
    with monkeypatch.context() as patch:
        patch.setattr("ergon_runtime.operators.forks._release", interrupted)
        assert ergon(*line) == 6
    assert count() == 3
    assert ergon(*line) == 0
    assert look(ergon.out.strip())[0].status is Status.PENDING
    assert count() == 3


def test_step_that_runs_at_most_once_is_marked(ergon: Shell) -> None:
    async def place(store: Store) -> None:
        begun = StepBegun("charge", START, "d", "charge")
        await Scene(store).place("A", Status.FAILED, [STARTED, begun, *ORDER[3:]], outcome=FAILED)

    in_store(place)
    assert ergon("fork", "A", "--from", "charge", "--dry-run") == 0
    assert ergon.rows == [["A", "charge", "step", "failed", "at most once"]]


REFUSALS: list[tuple[list[str], int, str, str]] = [
    (["A", "--from", "charge"], 2, "ergon fork asks first, and there is no terminal to ask on", "add --yes, or"),
    (["A", "--yes"], 2, "missing option '--from'", "see: ergon fork --help"),
    (["nosuch", "--from", "charge", "--yes"], 3, "no flow 'nosuch'", "see what there is: ergon list"),
    (["A", "--from", "chrge", "--yes"], 2, "'chrge'", "ergon inspect A"),
    (["A", "--from", "charge", "--yes", "--id", "waits"], 2, "flow waits exists already", "choose another id"),
    (["A", "--from", "charge", "--yes", "--id", "-x"], 2, "'-x' cannot be a flow id", "begin with a letter"),
    (["A", "--from", "reserve", "--yes", "--result", "charge=1"], 2, "'charge'", "ergon inspect A"),
    (["A", "--from", "charge", "--yes", "--result", "charge"], 2, "--result charge: not STEP=JSON", "charge=7"),
    (["A", "--from", "charge", "--yes", "--result", "charge=paid"], 2, "--result charge is not JSON", '"text"\''),
    (["A", "--from", "x", "--yes", "--result", "a=1", "--result", "a=2"], 2, "--result a: given twice", "leave one"),
    (["A", "--from", "charge", "--yes", "--sample", "2"], 2, "--sample goes with --all", "add --all"),
    (["--all", "--from", "charge", "--yes", "--id", "x"], 2, "--id names one fork", "leave one of them out"),
    (["A", "--from", "charge", "--yes", "-a", "n=2"], 2, "no module given", "name one: -m MODULE"),
]


@pytest.mark.parametrize(("line", "code", "said", "fix"), REFUSALS)
def test_what_cannot_be_done_is_refused_with_a_way_out(
    ergon: Shell, line: list[str], code: int, said: str, fix: str
) -> None:
    placed("A")
    assert ergon("fork", *line) == code
    assert ergon.out == ""
    shown = ergon.err[ergon.err.index("error: ") :]
    assert said in shown
    assert fix in shown
    assert len(shown.splitlines()) <= 6
    assert count() == 2


@pytest.mark.parametrize(("typed", "code", "flows"), [(b"y\n", 0, 3), (b"n\n", 2, 2)])
def test_fork_is_asked_about_on_a_terminal(
    ergon: Shell, monkeypatch: pytest.MonkeyPatch, typed: bytes, code: int, flows: int
) -> None:
    placed("A-17")
    with person_typing(monkeypatch, typed) as screen:
        assert ergon("fork", "A-17", "--from", "reserve") == code
    assert "  reserve  step  completed\n  go  signal  completed\n  charge  step  failed\nfork A-17? [y/N] " in (
        screen.getvalue()
    )
    assert count() == flows
