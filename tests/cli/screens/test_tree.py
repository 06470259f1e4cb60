"""The tree as text."""

from __future__ import annotations

import pytest

from ergon_cli.render import cell_width
from ergon_cli.screens.tree import brief, draw
from ergon_runtime import Status
from ergon_runtime.view import FlowTree, Siblings, Why
from tests.cli.screens.made import BUSY, START, flow, look, text

SIGNAL = Why("signal", name="approve", fix="ergon signal approve PAYLOAD")
TREE = FlowTree(
    flow(id="A", status=Status.WAITING, why=Why("child", child="A/ship")),
    (
        FlowTree(
            flow(id="A/ship", flow="ship", status=Status.WAITING, why=SIGNAL),
            (FlowTree(flow(id="A/ship/label", flow="label", took=3100)),),
            more=True,
        ),
        FlowTree(flow(id="A/pay", flow="pay", status=Status.FAILED, error=BUSY)),
    ),
    (Siblings("notify", Status.COMPLETED, 998, 1200, 3400), Siblings("audit", Status.PENDING, 7, 5000, 5000)),
)


def test_tree_shows_who_is_below_whom_and_why_what_is_open_is_open() -> None:
    assert text(draw(TREE, look(100)), look(100)) == [
        "A  order  waiting  10.0s",
        "├─ A/ship  ship  waiting  10.0s  signal approve",
        "│  ├─ A/ship/label  label  completed  3.1s",
        "│  └─ more below: ergon inspect A/ship --view tree",
        "├─ A/pay  pay  failed  10.0s  OSError: busy",
        "├─ + 998 x notify  completed  1.2s..3.4s  (folded; --full)",
        "└─ + 7 x audit  pending  5.0s  (folded; --full)",
    ]


def test_tree_in_ascii_is_drawn_with_ascii() -> None:
    lines = text(draw(TREE, look(100, unicode=False)), look(100, unicode=False))
    assert "".join(lines).isascii()
    assert lines[2:4] == [
        "|  |- A/ship/label  label  completed  3.1s",
        "|  `- more below: ergon inspect A/ship --view tree",
    ]


def test_pipe_gets_rows_with_their_depth_and_the_whole_why() -> None:
    assert [line.split("\t") for line in text(draw(TREE, look(None)), look(None))][:4] == [
        ["0", "A", "order", "waiting", "10.0s", "waits for child A/ship"],
        ["1", "A/ship", "ship", "waiting", "10.0s", "waits for signal approve"],
        ["2", "A/ship/label", "label", "completed", "3.1s", ""],
        ["2", "", "", "", "", "more below: ergon inspect A/ship --view tree"],
    ]


@pytest.mark.parametrize("width", [30, 40, 60])
def test_ids_stay_whole_and_what_does_not_fit_is_cut(width: int) -> None:
    long = flow(id="A/" + "x" * 20, flow="注文" * 10, status=Status.FAILED, error=BUSY)
    lines = text(draw(FlowTree(flow(id="A"), (FlowTree(long),)), look(width)), look(width))
    assert "A/" + "x" * 20 in lines[1]
    assert max(map(cell_width, lines)) <= width


def test_control_characters_in_a_tree_are_escaped() -> None:
    (line,) = text(draw(FlowTree(flow(id="\x1b[2J", flow="\u202e")), look(80)), look(80))
    assert line.startswith(r"\x1b[2J  \u202e  completed")


@pytest.mark.parametrize(
    ("why", "said"),
    [
        (SIGNAL, "signal approve"),
        (Why("child", child="A/ship"), ""),
        (Why("timer", due=START + 20_000), "due in 10.0s"),
        (Why("timer", due=START), "due now"),
        (Why("retry", due=START + 12_000, error=BUSY), "next try in 2.0s: OSError: busy"),
        (Why("no_worker", type="order"), "no live worker serves it"),
        (Why("queued"), "queued"),
        (Why("running", worker="w1"), "on w1"),
        (Why("running", worker="w1", key="pay"), "pay on w1"),
        (Why("lease_expired", worker="w1"), "worker w1 was lost"),
        (Why("stuck", message="awaits what nothing ends"), "awaits what nothing ends"),
    ],
)
def test_why_is_told_in_a_few_words(why: Why, said: str) -> None:
    assert brief(why, START + 10_000) == said
