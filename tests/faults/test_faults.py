"""A short turn of the faults at every call; `python -m tests.faults.run` takes the long one."""

from __future__ import annotations

import pytest

from tests.faults.handle import Mode
from tests.faults.run import SCENARIOS, main, one, plain_run, singles
from tests.faults.scenario import Scenario
from tests.faults.teeth import notice
from tests.simulation.mutants import MUTANTS

ON_REDIS = ["plain_steps", "signal_to_flow", "child_awaited", "failed_and_retried"]


def broken(name: str, store: str, runs: int) -> list[str]:
    """What some of the single faults break."""
    plain = plain_run(SCENARIOS[name], store)
    stride = len(plain.calls) * len(Mode) // runs | 1  # odd, so that all modes have their turn
    first = list(SCENARIOS).index(name)
    return plain.problems + [
        str(failure) for faults in singles(plain, stride, first) if (failure := one(plain, faults))
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_promises_with_a_fault_at_some_calls_hold_on_memory(name: str) -> None:
    assert broken(name, "memory", 8) == []


@pytest.mark.parametrize("name", [name for name, each in SCENARIOS.items() if each.delicate])
def test_promises_with_a_fault_at_some_calls_hold_on_sqlite(name: str) -> None:
    assert broken(name, "sqlite", 2) == []


@pytest.mark.parametrize("name", ON_REDIS)
def test_promises_with_a_fault_at_some_calls_hold_on_redis(name: str) -> None:
    assert broken(name, "redis", 3) == []


def test_calls_of_a_run_are_the_same_again() -> None:
    faults = {9: Mode.DEAD_AFTER}
    plain = plain_run(SCENARIOS["child_awaited"], "memory")
    again = plain_run(SCENARIOS["child_awaited"], "memory")
    assert plain.calls == again.calls
    assert len(plain.calls) > 20
    assert one(plain, faults) is None


@pytest.mark.parametrize(
    ("mutant", "scenario"),
    [
        ("resend", "plain_steps"),
        ("no_fence", "worker_outlived"),
        ("reservation", "reservation_given_back"),
        ("restarted_count", "retried_step"),
        ("no_pool", "flow_retry_keeps"),
    ],
)
def test_rule_switched_off_is_noticed(mutant: str, scenario: str) -> None:
    assert notice(MUTANTS[mutant], [SCENARIOS[scenario]]) is not None


def test_failure_names_the_command_that_repeats_it(capsys: pytest.CaptureFixture[str]) -> None:
    with MUTANTS["resend"].grow():
        assert main(["plain_steps", "--mode", "unanswered", "--show", "1"]) == 1
        said = capsys.readouterr().out
        command = said.split("repeat: python -m tests.faults.run ")[1].splitlines()[0].split()
        assert main(command) == 1
    assert main(command) == 0


def test_scenario_that_breaks_no_promise_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signal_to_flow", "--at", "3", "--mode", "refused"]) == 0
    assert "1 runs   0 violations" in capsys.readouterr().out


def test_scenarios_cover_what_they_are_for() -> None:
    assert len(SCENARIOS) > 60
    assert all(isinstance(each, Scenario) and each.ends for each in SCENARIOS.values())
