"""Asking before much is changed: on a terminal, of a person; elsewhere --yes is needed."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from collections.abc import Iterator

import pytest

from ergon_cli.confirming import check_can_ask, confirm
from ergon_cli.exits import CommandError


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal as stdin; what is written to this descriptor has been typed."""
    person, terminal = pty.openpty()
    with os.fdopen(terminal, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield person
    os.close(person)


@pytest.mark.parametrize(
    ("line", "agreed"), [(b"y\n", True), (b" YES \n", True), (b"n\n", False), (b"\n", False), (b"\x04", False)]
)
def test_only_y_and_yes_agree(typed: int, line: bytes, agreed: bool, capsys: pytest.CaptureFixture[str]) -> None:
    os.write(typed, line)
    assert asyncio.run(confirm("retry 2 \x1b[2J flows?", yes=False)) is agreed
    said = capsys.readouterr()
    assert said.err == "retry 2 \\x1b[2J flows? [y/N] " + ("" if agreed else "nothing was changed\n")
    assert said.out == ""


def test_question_that_waits_ends_at_once_when_cancelled(typed: int) -> None:
    async def asked() -> None:
        question = asyncio.create_task(confirm("retry 2 flows?", yes=False))
        await asyncio.sleep(0)
        question.cancel()
        await asyncio.wait([question])
        assert question.cancelled()

    asyncio.run(asked())


def test_yes_is_not_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert asyncio.run(confirm("retry 2 flows?", yes=True))
    assert capsys.readouterr().err == ""


def test_without_a_terminal_yes_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    check_can_ask("retry --all", yes=True)
    with pytest.raises(CommandError, match="retry --all asks first") as refused:
        check_can_ask("retry --all", yes=False)
    assert refused.value.code == 2
    assert refused.value.hint == "add --yes, or --dry-run to see what it would do"
