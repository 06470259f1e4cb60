"""`ergon cancel`: flows in every state, several at once, and what is printed of them."""

from __future__ import annotations

import json

import pytest

from ergon_runtime import Status, Store
from ergon_runtime.core.entries import Outcome
from ergon_runtime.core.flows import ClaimRequest
from tests.cli.shell import Shell, in_store
from tests.runtime.views import STARTED, Scene


async def placed(store: Store) -> None:
    scene = Scene(store)
    await scene.create("new")
    await scene.place("asks", Status.WAITING, [STARTED], waits=["signal:go"])
    await scene.place("stuck", Status.BLOCKED, [STARTED], note={"kind": "stuck", "message": "?"})
    await scene.place("done", Status.COMPLETED, [STARTED], outcome=Outcome(Status.COMPLETED, "1"))


def status_of(flow: str) -> Status:
    async def look(store: Store) -> Status:
        row = await store.get(flow)
        assert row is not None
        return row.status

    return in_store(look)


def channels_of_mail(flow: str) -> list[str]:
    async def look(store: Store) -> list[str]:
        claims = (await store.claim(ClaimRequest("w", 1000, 1, ids=(flow,)))).claims
        return [message.channel for claim in claims for message in claim.mail]

    return in_store(look)


@pytest.mark.parametrize("flow", ["new", "stuck"])
def test_flow_that_needs_no_cleanup_ends_at_once(ergon: Shell, flow: str) -> None:
    in_store(placed)
    assert ergon("cancel", flow) == 0
    assert (ergon.out, ergon.err) == ("", f"{flow}: cancel asked for\n")
    assert status_of(flow) is Status.CANCELLED


def test_waiting_flow_is_woken_by_mail(ergon: Shell) -> None:
    in_store(placed)
    assert ergon("cancel", "asks") == 0
    assert channels_of_mail("asks") == ["cancel"]


def test_ended_flow_is_left_as_it_is(ergon: Shell) -> None:
    in_store(placed)
    assert ergon("cancel", "done") == 0
    assert ergon.err == "done: has ended already, nothing to cancel\n"
    assert status_of("done") is Status.COMPLETED


def test_several_flows_are_one_line_each_and_the_highest_code(ergon: Shell) -> None:
    in_store(placed)
    assert ergon("cancel", "new", "nosuch", "done", "s", "--json") == 3
    assert ergon.json == [{"id": "new", "asked": True}, {"id": "done", "asked": False}]
    errors = [json.loads(line)["error"] for line in ergon.err.splitlines()]
    assert [error["code"] for error in errors] == [3, 2]
    assert status_of("new") is Status.CANCELLED
