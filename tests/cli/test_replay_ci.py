"""What CI reads of replays: JUnit XML, and annotations of GitHub Actions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from ergon_cli.annotations import annotation
from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.junit import JUnit
from ergon_cli.replaying import Wish, go_through
from ergon_cli.sources import Found, Source
from ergon_runtime import Status
from ergon_runtime.replay import ReplayReport, Verdict


def report(verdict: Verdict, flow_id: str = "a", **given: Any) -> ReplayReport:
    return ReplayReport(flow_id, "order", "v1", Status.WAITING, verdict, **given)


BAD = report("diverged", "b,1:2", message="100% wrong\x00\x1b[2J", recorded="step pay(1)", current=("step\ud800 ship",))


def test_junit_has_a_test_case_for_each_flow_and_every_character_is_legal(tmp_path: Path) -> None:
    made = JUnit(tmp_path / "r.xml")
    made.add(report("same"), served=False)
    made.add(BAD, served=False)
    made.add(report("unreadable", "c", message="entry 1 cannot be read"), served=False)
    made.add(report("unserved", "d", message="no flow order"), served=False)
    made.add(report("unserved", "e", message="no flow order"), served=True)
    made.add_error(CommandError(ExitCode.NOT_FOUND, "no flow 'x'", "see: ergon list"))
    made.write()
    (suite,) = ET.parse(tmp_path / "r.xml").getroot()
    assert suite.attrib == {"name": "ergon replay", "tests": "6", "failures": "2", "errors": "2", "skipped": "1"}
    found = [(case.get("classname"), case.get("name"), [each.tag for each in case]) for case in suite]
    assert found == [
        ("order@v1", "a", []),
        ("order@v1", "b,1:2", ["failure"]),
        ("order@v1", "c", ["failure"]),
        ("order@v1", "d", ["skipped"]),
        ("order@v1", "e", ["error"]),
        ("ergon replay", "no flow 'x'", ["error"]),
    ]
    failure = suite[1][0]
    assert failure.get("message") == "100% wrong\\x00\\x1b[2J"
    assert "step pay(1)" in (failure.text or "")
    assert "step\\ud800 ship" in (failure.text or "")


def test_junit_file_is_replaced_whole_or_left_alone(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text("old")
    JUnit(tmp_path / "r.xml").write()
    assert [path.name for path in tmp_path.iterdir()] == ["r.xml"]
    assert ET.parse(tmp_path / "r.xml").getroot().tag == "testsuites"
    with pytest.raises(CommandError, match="cannot write"):
        JUnit(tmp_path / "none" / "r.xml")
    (tmp_path / "taken").mkdir()
    with pytest.raises(CommandError, match="cannot write"):
        JUnit(tmp_path / "taken")
    with pytest.raises(CommandError, match="it is a folder"):
        JUnit(Path())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.xml", "taken"]


def test_annotation_names_the_line_from_the_root_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "app").mkdir()
    monkeypatch.chdir(tmp_path / "app")
    where = f"{tmp_path}/app/a,b.py:7"
    line = annotation(report("diverged", "x", message="it differs", where=where))
    assert line is not None
    assert line.startswith("::error file=app/a%2Cb.py,line=7,title=diverged%3A order x::it differs%0A")
    assert (annotation(report("same")), annotation(report("unserved"))) == (None, None)
    outside = annotation(report("diverged", message="no", where="/somewhere/else.py:1"))
    assert outside is not None
    assert "file=/somewhere/else.py," in outside


def test_annotation_is_one_line_whatever_is_in_it() -> None:
    line = annotation(BAD)
    assert line is not None
    assert re.fullmatch(r"::error title=diverged%3A order b%2C1%3A2::100%25 wrong\\x00\\x1b\[2J%0A[ -~≠…]*", line)


def test_replay_writes_both_and_ends_with_the_highest_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def found() -> AsyncIterator[Found]:
        for each in (report("same"), BAD, CommandError(ExitCode.USAGE, "unreadable file")):
            yield each

    wish = Wish(junit=tmp_path / "r.xml", github=True)
    assert asyncio.run(go_through(Source(found(), many=True, served=True), wish)) == ExitCode.DIVERGED
    out = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in out] == ["DIVERGED", "::error", "2"]
    assert len(ET.parse(tmp_path / "r.xml").getroot()[0]) == 3
