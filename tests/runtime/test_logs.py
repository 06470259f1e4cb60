"""The replay filter: over a life with interruptions each line of flow code is logged once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.logs import ReplayFilter
from tests.harness import Drive

log = logging.getLogger("test_logs")


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.addFilter(ReplayFilter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def lines() -> Iterator[list[str]]:
    handler, level = Lines(), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler.lines
    log.removeHandler(handler)
    log.setLevel(level)


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    with registry.isolated():
        yield


@step
async def work(n: int) -> int:
    log.info("in step %d", n)
    return n


def logging_flow() -> Any:
    @flow
    async def talks() -> None:
        for n in (1, 2):
            log.info("before %d", n)
            await work(n)
        log.info("end")

    return talks()


def test_first_run_logs_all(lines: list[str]) -> None:
    Drive(logging_flow()).run()
    assert lines == ["before 1", "in step 1", "before 2", "in step 2", "end"]


def test_flow_taken_up_again_logs_what_follows(lines: list[str]) -> None:
    journal = Drive(logging_flow()).run().journal
    lines.clear()
    Drive(logging_flow(), journal=journal[:2]).run()
    assert lines == ["before 2", "in step 2", "end"]


def test_outside_flow_code_everything_is_logged(lines: list[str]) -> None:
    log.info("outside")
    assert lines == ["outside"]
