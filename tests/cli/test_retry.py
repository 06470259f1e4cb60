"""`ergon retry`: what it says and changes, of one flow and of many, and what it refuses."""

from __future__ import annotations

import json

import pytest

from ergon_runtime import Status, Store
from ergon_runtime.core.entries import ChildCreated, Entry, Outcome, Retried, SignalReceived, StepBegun
from tests.cli.shell import Shell, in_store, look, person_typing
from tests.runtime.views import START, STARTED, Scene, ended, error

ORDER: list[Entry] = [STARTED, ended("reserve"), ended("weigh"), ended("charge", None, error("TimeoutError"))]


async def failed(scene: Scene, flow: str, entries: list[Entry] = ORDER, parent: str | None = None) -> None:
    outcome = Outcome(Status.FAILED, error=error("TimeoutError"))
    await scene.place(flow, Status.FAILED, entries, outcome=outcome, parent=parent)


async def blocked(scene: Scene, flow: str, parent: str | None = None) -> None:
    note = {"kind": "stuck", "message": "?"}
    await scene.place(flow, Status.BLOCKED, [STARTED, ended("reserve")], note=note, parent=parent)


def placed(*failures: str) -> None:
    """Failed flows of these ids, a blocked one, one that is completed and one that waits."""

    async def place(store: Store) -> None:
        scene = Scene(store)
        for flow in failures:
            await failed(scene, flow)
        await blocked(scene, "B")
        await scene.place("done", Status.COMPLETED, [STARTED], outcome=Outcome(Status.COMPLETED, "1"))
        await scene.place("waits", Status.WAITING, [STARTED], waits=["signal:go"])

    in_store(place)


def marker(flow: str) -> Retried:
    *_, last = look(flow)[1]
    assert isinstance(last, Retried)
    return last


def test_failed_flow_goes_on_from_the_failure(ergon: Shell) -> None:
    placed("A-17")
    assert ergon("retry", "A-17") == 0
    assert ergon.out == "A-17\n"
    assert ergon.err == (
        "retry A-17: from the failure; 2 recorded steps are kept, charge runs again\n"
        "no live worker serves order; start one: ergon worker\n"
    )
    assert look("A-17")[0].status is Status.PENDING
    assert (marker("A-17").operator, marker("A-17").cut) == (True, None)


def test_nothing_is_said_of_workers_when_one_serves_the_flow(ergon: Shell) -> None:
    placed("A-17")
    in_store(lambda store: Scene(store).serve())
    assert ergon("retry", "A-17") == 0
    assert ergon.err == "retry A-17: from the failure; 2 recorded steps are kept, charge runs again\n"


def test_blocked_flow_is_tried_again_and_nothing_is_written_into_its_journal(ergon: Shell) -> None:
    placed()
    before = look("B")[1]
    assert ergon("retry", "B") == 0
    assert ergon.err.startswith("retry B: tried again at once; 1 recorded step is kept\n")
    row, after = look("B")
    assert (row.status, after) == (Status.PENDING, before)


def test_from_names_the_step_from_which_nothing_is_kept(ergon: Shell) -> None:
    placed("A-17")
    assert ergon("retry", "A-17", "--from", "weigh") == 0
    said = "retry A-17: from weigh; 1 recorded step is kept, weigh and charge run again\n"
    assert ergon.err.startswith(said)
    assert marker("A-17").cut == 2


def test_dry_run_lists_what_would_run_again_and_changes_nothing(ergon: Shell) -> None:
    placed("A-17")
    before = look("A-17")
    assert ergon("retry", "A-17", "--from", "weigh", "--dry-run") == 0
    assert ergon.rows == [["A-17", "weigh", "step", "completed", ""], ["A-17", "charge", "step", "failed", ""]]
    assert ergon.err == "retry A-17: from weigh; 1 recorded step is kept, weigh and charge run again\n"
    assert look("A-17") == before


def test_dry_run_asks_for_no_yes(ergon: Shell) -> None:
    placed("A-1", "A-2")
    assert ergon("retry", "--all", "--dry-run") == 0
    assert [row[0] for row in ergon.rows] == ["A-2", "A-1"]
    assert look("A-1")[0].status is look("A-2")[0].status is Status.FAILED


def test_adopted_flow_begins_a_new_life_without_loading_code(ergon: Shell) -> None:
    placed()
    (ergon.folder / "flows.py").write_text("raise RuntimeError('nobody loads this')")
    assert ergon("retry", "B", "--adopt") == 0
    assert ergon.err.startswith(
        "retry B: adopted by the code of today; 1 recorded step is kept, nothing recorded runs again"
    )
    assert look("B")[1][-1].kind == "adopted"


def test_adopting_all_takes_blocked_flows_alone_and_their_parents_wait_for_them(ergon: Shell) -> None:
    placed("A-17")
    in_store(lambda store: blocked(Scene(store), "waits/one", parent="waits"))
    assert ergon("retry", "--all", "--adopt", "--yes") == 0
    assert ergon.out.splitlines() == ["waits/one", "B"]
    assert "parent" not in ergon.err


def test_json_is_the_plan_of_each(ergon: Shell) -> None:
    placed("A-1", "A-2")
    assert ergon("retry", "A-1", "nosuch", "A-2", "--json") == 3
    assert [(plan["id"], plan["action"], plan["keeps"]) for plan in ergon.json] == [
        ("A-1", "retry", 2),
        ("A-2", "retry", 2),
    ]
    assert [each["key"] for each in ergon.json[0]["again"]] == ["charge"]
    assert [json.loads(line)["error"]["code"] for line in ergon.err.splitlines()] == [3]


def test_line_tells_of_all_that_is_not_plain(ergon: Shell) -> None:
    entries: list[Entry] = [
        STARTED,
        ended("reserve"),
        SignalReceived("go", START + 10, "d", "go", "m", "1"),
        StepBegun("charge", START + 20, "d", "charge"),
        *(ended(f"s{n}", None, error()) for n in range(4)),
    ]

    async def place(store: Store) -> None:
        scene = Scene(store)
        await scene.create("P")
        await failed(scene, "P/odd one", entries, parent="P")

    in_store(place)
    assert ergon("retry", "P/odd one") == 0
    assert ergon.err.splitlines()[0] == (
        "retry P/odd one: from the failure; 2 recorded steps are kept, s0, s1 and 2 more run again; "
        "nobody knows how charge ended, and it is not run again; "
        "its parent P has heard of the failure, and gets no other result"
    )
    in_store(lambda store: failed(Scene(store), "Q", entries))
    assert ergon("retry", "Q", "--from", "go", "--dry-run") == 0
    assert ergon.err == (
        "retry Q: from go; 1 recorded step is kept, s0, s1 and 2 more run again, go is waited for again; "
        "nobody knows how charge ended, and it is not run again\n"
    )
    assert ergon.rows[-1] == ["Q", "charge", "step", "running", "at most once: not run again, raises OutcomeUnknown"]


def test_all_takes_failed_and_blocked_flows(ergon: Shell) -> None:
    placed("A-1", "A-2")
    assert ergon("retry", "--all", "--yes") == 0
    assert ergon.out.splitlines() == ["B", "A-2", "A-1"]
    assert [look(flow)[0].status for flow in ("A-1", "A-2", "B", "waits", "done")] == [
        Status.PENDING,
        Status.PENDING,
        Status.PENDING,
        Status.WAITING,
        Status.COMPLETED,
    ]
    assert ergon("retry", "--all", "--yes") == 0
    assert (ergon.out, ergon.err) == ("", "no flows match\n")


def test_cancelled_flows_are_retried_when_they_are_named(ergon: Shell) -> None:
    async def place(store: Store) -> None:
        cancelled = Outcome(Status.CANCELLED)
        await Scene(store).place("C", Status.CANCELLED, [STARTED, ended("reserve")], outcome=cancelled)

    in_store(place)
    assert ergon("retry", "--all", "--yes") == 0
    assert ergon.out == ""
    assert ergon("retry", "--all", "--status", "cancelled", "--yes") == 0
    assert ergon.out == "C\n"


def test_child_is_left_to_its_parent_when_both_are_chosen(ergon: Shell) -> None:
    async def place(store: Store) -> None:
        scene = Scene(store)
        await scene.create("P")
        await failed(scene, "P/ship", parent="P")
        await failed(scene, "Q", [STARTED, ChildCreated("ship", START, "d", "Q/ship", "order", None, "{}", False)])
        await failed(scene, "Q/ship", parent="Q")

    in_store(place)
    assert ergon("retry", "--all", "--yes") == 0
    assert ergon.out.splitlines() == ["Q", "P/ship"]
    assert ergon.err.startswith("1 child is left to its parent, which is chosen too\n")


def test_refusal_of_one_flow_stops_no_other(ergon: Shell) -> None:
    placed("A-1", "A-2")
    in_store(lambda store: failed(Scene(store), "A-3", [STARTED]))
    assert ergon("retry", "--all", "--from", "weigh", "--yes", "--status", "failed") == 2
    assert ergon.out.splitlines() == ["A-2", "A-1"]
    assert "'weigh' is not recorded: there is none\n  ergon inspect A-3\n" in ergon.err


REFUSALS: list[tuple[list[str], int, str, str]] = [
    (["done"], 2, "flow done is completed", "ergon fork done --from STEP"),
    (["waits"], 2, "flow waits is not over: it is waiting and goes on by itself", "ergon inspect waits"),
    (["nosuch"], 3, "no flow 'nosuch'", "see what there is: ergon list"),
    (["A", "--from", "chrge"], 2, "'chrge' is not recorded: there is charge", "ergon inspect A"),
    (["A", "--from", "x\x1b[2J"], 2, "'x\\x1b[2J' is not recorded: there is", "ergon inspect A"),
    (["A", "--adopt"], 2, "flow A is failed: only blocked flows are adopted", "ergon retry A"),
    (["A", "--adopt", "--from", "charge"], 2, "--adopt and --from do not go together", "leave one of them out"),
    (["--all"], 2, "ergon retry --all asks first, and there is no terminal", "add --yes, or --dry-run to see"),
    (["--all", "--status", "completed"], 2, "completed flows are not retried", "see: ergon fork --help"),
    (["A", "--flow", "order"], 2, "--flow goes with --all", "add --all, and give no ids"),
    (["--all", "--since", "1"], 2, "not a duration: '1'", "say the unit"),
    ([], 2, "which flows?", "give their ids, or --all"),
]


@pytest.mark.parametrize(("line", "code", "said", "fix"), REFUSALS)
def test_what_cannot_be_done_is_refused_with_a_way_out(
    ergon: Shell, line: list[str], code: int, said: str, fix: str
) -> None:
    placed("A")
    before = look("A")
    assert ergon("retry", *line) == code
    assert ergon.out == ""
    assert ergon.err.startswith("error: ")
    assert said in ergon.err
    assert fix in ergon.err
    assert len(ergon.err.splitlines()) <= 6
    assert look("A") == before


def test_store_that_is_not_there_is_not_created(ergon: Shell) -> None:
    assert ergon("retry", "A") == 3
    assert list(ergon.folder.iterdir()) == []


@pytest.mark.parametrize(("typed", "code", "status"), [(b"y\n", 0, Status.PENDING), (b"\n", 2, Status.FAILED)])
def test_several_flows_are_asked_about_on_a_terminal(
    ergon: Shell, monkeypatch: pytest.MonkeyPatch, typed: bytes, code: int, status: Status
) -> None:
    placed("A-1", "A-2")
    with person_typing(monkeypatch, typed) as screen:
        assert ergon("retry", "A-1", "A-2", "B") == code
    assert "  2 failed order\n  1 blocked order\nretry 3 flows? [y/N] " in screen.getvalue()
    assert look("A-1")[0].status is look("A-2")[0].status is status
