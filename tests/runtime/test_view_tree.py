"""Trees of flows, read from a store: who is below whom, what is folded, where it ends."""

from __future__ import annotations

import pytest

from ergon_runtime.core.entries import Outcome
from ergon_runtime.core.flows import Status
from ergon_runtime.view import FlowTree, Siblings, read_tree
from tests.runtime.views import START, Scene, error, run, waits

DONE = Outcome(Status.COMPLETED, "1")
FAILED = Outcome(Status.FAILED, None, error("OSError", "busy"))


def shape(tree: FlowTree) -> object:
    """Ids alone: of a flow with nothing below it its id, else the id and what is below."""
    below: list[object] = [shape(child) for child in tree.children]
    below += [(group.count, group.flow, group.status.value) for group in tree.folded]
    below += ["..."] if tree.more else []
    return (tree.flow.id, below) if below else tree.flow.id


class Family(Scene):
    now: int

    async def tree(self, flow: str = "a", *, full: bool = False, statuses: tuple[Status, ...] = ()) -> FlowTree:
        row, workers = await self.row(flow), await self.store.workers()
        return await read_tree(self.store, row, now=self.now, workers=workers, full=full, statuses=statuses)

    async def child(self, flow: str, status: Status = Status.COMPLETED, *, took: int = 0) -> None:
        self.now += 1
        await self.create(flow, parent=flow.rpartition("/")[0])
        self.now += took
        outcome = {Status.COMPLETED: DONE, Status.FAILED: FAILED}.get(status)
        if status is not Status.PENDING:
            note = {"why": {"kind": "stuck", "message": "m"}} if status is Status.BLOCKED else None
            await self.place(flow, status, parent=flow.rpartition("/")[0], outcome=outcome, note=note)


def test_tree_has_every_generation_in_the_order_of_creation() -> None:
    async def scenario(scene: Family) -> None:
        await scene.create("a")
        for flow in ("a/1", "a/2", "a/1/x", "a/2/y", "a/1/x/z", "other"):
            await (scene.child(flow) if flow != "other" else scene.create(flow))
        assert shape(await scene.tree()) == ("a", [("a/1", [("a/1/x", ["a/1/x/z"])]), ("a/2", ["a/2/y"])])
        assert shape(await scene.tree("a/2")) == ("a/2", ["a/2/y"])
        assert shape(await scene.tree("other")) == "other"

    run(scenario(Family()))


def test_large_family_is_folded_and_failures_come_first() -> None:
    async def scenario(scene: Family) -> None:
        await scene.create("a")
        for n in range(30):
            await scene.child(f"a/{n:02}", took=n)
        await scene.child("a/30", Status.BLOCKED)
        for n in range(31, 39):
            await scene.child(f"a/{n}", Status.PENDING)
        await scene.child("a/39", Status.FAILED)
        tree = await scene.tree()
        pending = [f"a/{n}" for n in range(31, 36)]
        assert shape(tree) == (
            "a",
            ["a/39", "a/30", *pending, (3, "order", "pending"), (30, "order", "completed")],
        )
        assert tree.folded[1] == Siblings("order", Status.COMPLETED, 30, 0, 29)
        assert tree.children[0].flow.error is not None
        why = tree.children[1].flow.why
        assert why is not None
        assert (why.kind, why.message) == ("stuck", "m")
        everything = await scene.tree(full=True)
        assert (len(everything.children), everything.folded) == (40, ())
        assert everything.children[0].flow.id == "a/00"

    run(scenario(Family()))


def test_small_family_is_not_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergon_runtime.view.tree.LARGE", 3)

    async def scenario(scene: Family) -> None:
        await scene.create("a")
        for n in range(3):
            await scene.child(f"a/{n}")
        assert shape(await scene.tree()) == ("a", ["a/0", "a/1", "a/2"])
        await scene.child("a/3", Status.FAILED)
        assert shape(await scene.tree()) == ("a", ["a/3", "a/0", "a/1", "a/2"])

    run(scenario(Family()))


def test_child_that_the_why_leads_to_comes_before_all_others() -> None:
    async def scenario(scene: Family) -> None:
        note = waits({"kind": "child", "key": "late", "child": "a/late", "since": START})
        await scene.place("a", Status.WAITING, waits=["child:a/late"], note=note)
        for n in range(30):
            await scene.child(f"a/{n:02}", Status.PENDING)
        await scene.child("a/late", Status.PENDING)
        await scene.child("a/bad", Status.FAILED)
        tree = await scene.tree()
        assert [child.flow.id for child in tree.children][:3] == ["a/late", "a/bad", "a/00"]
        assert tree.folded[0].count == 32 - len(tree.children)

    run(scenario(Family()))


def test_family_is_folded_only_if_it_is_large_and_never_to_count_one() -> None:
    async def scenario(scene: Family) -> None:
        await scene.create("a")
        for n in range(14):
            await scene.child(f"a/{n:02}")
        for n in range(14, 20):
            await scene.child(f"a/{n}", Status.PENDING)
        assert len((await scene.tree()).children) == 20
        await scene.child("a/20")
        pending = [f"a/{n}" for n in range(14, 20)]
        assert shape(await scene.tree()) == ("a", [*pending, (15, "order", "completed")])

    run(scenario(Family()))


def test_open_siblings_last_until_now() -> None:
    async def scenario(scene: Family) -> None:
        await scene.create("a")
        for n in range(30):
            await scene.child(f"a/{n:02}", Status.PENDING)
        scene.now += 100
        (group,) = (await scene.tree()).folded
        assert (group.count, group.shortest, group.longest) == (25, 100, 124)

    run(scenario(Family()))


def test_tree_of_some_statuses_leaves_the_others_out() -> None:
    async def scenario(scene: Family) -> None:
        await scene.create("a")
        await scene.child("a/1")
        await scene.child("a/2", Status.FAILED)
        assert shape(await scene.tree(statuses=(Status.FAILED,))) == ("a", ["a/2"])

    run(scenario(Family()))


def test_pages_of_children_are_read_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergon_runtime.view.tree.PAGE", 2)
    monkeypatch.setattr("ergon_runtime.view.tree.AT_ONCE", 2)

    async def scenario(scene: Family) -> None:
        await scene.create("a")
        for n in range(5):
            await scene.child(f"a/{n}")
            await scene.child(f"a/{n}/x")
        assert shape(await scene.tree()) == ("a", [(f"a/{n}", [f"a/{n}/x"]) for n in range(5)])

    run(scenario(Family()))


def test_what_is_too_deep_or_too_much_is_said_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Family) -> None:
        await scene.create("a")
        for flow in ("a/b", "a/b/c", "a/b/c/d"):
            await scene.child(flow)
        monkeypatch.setattr("ergon_runtime.view.tree.DEPTH", 2)
        assert shape(await scene.tree(full=True)) == ("a", [("a/b", [("a/b/c", ["..."])])])
        monkeypatch.setattr("ergon_runtime.view.tree.DEPTH", 3)
        assert shape(await scene.tree(full=True)) == ("a", [("a/b", [("a/b/c", ["a/b/c/d"])])])
        monkeypatch.setattr("ergon_runtime.view.tree.DEPTH", 1)
        assert shape(await scene.tree(statuses=(Status.COMPLETED,))) == ("a", [("a/b", ["..."])])
        await scene.place("a/b/bad", Status.FAILED, parent="a/b", outcome=FAILED)
        await scene.child("a/b/bad/fine")
        assert shape(await scene.tree("a/b", statuses=(Status.FAILED,))) == ("a/b", ["a/b/bad"])
        monkeypatch.setattr("ergon_runtime.view.tree.DEPTH", 3)
        monkeypatch.setattr("ergon_runtime.view.tree.FLOWS", 2)
        assert shape(await scene.tree()) == ("a", [("a/b", ["..."])])

    run(scenario(Family()))
