"""`ergon signal`: to whom it goes, what it carries, and what is said when nobody waits."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest

from ergon_runtime import Status, Store
from ergon_runtime.core.flows import ClaimRequest
from tests.cli.shell import Shell, in_store
from tests.runtime.views import LEASE, STARTED, Scene

Work = Callable[[Store], Awaitable[None]]


def waiting(*flows: str, name: str = "go") -> Work:
    async def place(store: Store) -> None:
        for flow in flows:
            await Scene(store).place(flow, Status.WAITING, [STARTED], waits=[f"signal:{name}"])

    return place


def mail(flow: str) -> list[object]:
    """The signals that a flow finds when it is claimed."""

    async def look(store: Store) -> list[object]:
        claims = (await store.claim(ClaimRequest("w", LEASE, 1, ids=(flow,)))).claims
        return [json.loads(message.body) for claim in claims for message in claim.mail]

    return in_store(look)


def test_signal_goes_to_whoever_waits_longest_and_says_nothing(ergon: Shell) -> None:
    in_store(waiting("a", "b"))
    assert ergon("signal", "go", '{"ok": true}') == 0
    assert (ergon.out, ergon.err) == ("", "")
    assert (mail("a"), mail("b")) == ([{"ok": True}], [])


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ([], None),
        (["5"], 5),
        (["-5"], -5),
        (["-1.5e3"], -1500.0),
        (["-5 degrees"], "-5 degrees"),
        (["some words"], "some words"),
        (["NaN"], "NaN"),
        (["null"], None),
        (['"x"'], "x"),
        (["5", "--text"], "5"),
        (["{bad", "--text"], "{bad"),
        (["--text", "--", "--nope"], "--nope"),
        (["[bold]", "--text"], "[bold]"),
        (["\x1b[2J\u202e"], "\x1b[2J\u202e"),
    ],
)
def test_payload_is_json_or_text(ergon: Shell, line: list[str], body: object) -> None:
    in_store(waiting("a"))
    assert ergon("signal", "go", *line) == 0
    assert mail("a") == [body]


def test_signal_that_nobody_waits_for_is_kept_and_the_names_are_listed(ergon: Shell) -> None:
    in_store(waiting("a", name="\x1b[2Jgo"))
    in_store(waiting("b", name="approve"))
    assert ergon("signal", "aprove", "1") == 0
    kept = "no flow waits for signal 'aprove' now: it is kept until one does\n"
    assert ergon.err == kept + "waited for: \\x1b[2Jgo, approve\n"
    assert ergon.out == ""


def test_second_signal_is_kept_while_the_first_is_set_apart(ergon: Shell) -> None:
    in_store(waiting("a"))
    assert ergon("signal", "go", "1", "--json") == 0
    assert ergon.json == [{"signal": "go", "payload": 1, "flows": [], "kept": False}]
    assert ergon("signal", "go", "2", "--json") == 0
    assert ergon.json[0]["kept"] is True


def test_signal_to_one_flow_reaches_only_that(ergon: Shell) -> None:
    in_store(waiting("first", "other"))
    assert ergon("signal", "go", "1", "--flow", "oth") == 0
    assert ergon.err == ""
    assert (mail("first"), mail("other")) == ([], [1])


def test_signal_to_a_flow_that_waits_for_another_is_kept_with_a_note(ergon: Shell) -> None:
    in_store(waiting("a"))
    assert ergon("signal", "stop", "1", "--flow", "a") == 0
    assert ergon.err == "flow a does not wait for signal 'stop' now: it is kept until one does\nwaited for: go\n"


def test_signal_to_all_reaches_every_flow_that_waits(ergon: Shell) -> None:
    in_store(waiting("a", "b"))
    in_store(waiting("c", name="stop"))
    assert ergon("signal", "go", "1", "--all", "--json") == 0
    assert sorted(ergon.json[0]["flows"]) == ["a", "b"]
    assert (mail("a"), mail("b"), mail("c")) == ([1], [1], [])


def test_signal_to_all_with_nobody_waiting_is_exit_3(ergon: Shell) -> None:
    in_store(waiting("a"))
    assert ergon("signal", "stop", "--all") == 3
    assert ergon.err == "error: no flow waits for signal 'stop'\n  waited for: go\n"


@pytest.mark.parametrize("target", [[], ["--flow", "a"], ["--all"]])
def test_equal_keys_count_once(ergon: Shell, target: list[str]) -> None:
    in_store(waiting("a"))
    for payload in ("1", "2"):
        assert ergon("signal", "go", payload, "--id", "once", *target) == 0
    assert mail("a") == [1]


def test_no_user_code_is_imported(ergon: Shell) -> None:
    (ergon.folder / "flows.py").write_text("raise SystemExit('imported')")
    in_store(waiting("a"))
    assert ergon("signal", "go", "-m", "flows") == 0
    assert ergon("cancel", "a", "-m", "flows") == 0
