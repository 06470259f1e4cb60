"""Histories as lines of a file: what is read is what was written, and what is none is an error that says so."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergon_runtime.core.entries import Patched, Recorded, pack
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.errors import HistoryUnreadable
from ergon_runtime.histories import FlowHistory, history_line, read_lines
from tests.core.test_entries import CLASSES, entry_strategy

ROW = FlowRow(
    id="a/b~2",
    type="order",
    version=None,
    lane="default:order:",
    priority=5,
    args=b'{"n":1}',
    seed="s",
    parent=None,
    status=Status.RUNNING,
    due=17,
    owner="w",
    head="h",
    length=1,
    base=0,
    result=None,
    note=None,
    fingerprint=None,
    created=1,
    updated=2,
    started=None,
    recoveries=0,
    deaths=0,
)
ENTRY = pack(Patched("p", 3), 1)
ONE = FlowHistory(ROW, (ENTRY,), "42")
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
AWKWARD = (
    *(b"null", b'"text"', b"[1, 2]", b'{"a":1,"a":2}', b"[NaN]", b"[1e999]", b"[" * 5000, b"\xed\xa0\x80", b""),
    '["\ud83d\ude00"]'.encode(errors="surrogatepass"),  # two halves that are not one character
)
PAYLOADS = st.one_of(
    st.binary(),
    st.sampled_from(AWKWARD),
    st.one_of(map(entry_strategy, CLASSES)).map(lambda entry: pack(entry, 1)),
)


def read(*lines: str | bytes, limit: int = 10**6) -> list[FlowHistory | HistoryUnreadable]:
    data = b"".join(line.encode() if isinstance(line, str) else line for line in lines)
    return list(read_lines(io.BytesIO(data), "x.jsonl", limit=limit))


def changed(**changes: Any) -> str:
    """The line with other values in its flow, or of the line itself; ... leaves one out."""
    line = json.loads(history_line(ONE))
    for name, value in changes.items():
        place = line if name in line else line["flow"]
        place[name] = value
        if value is ...:
            del place[name]
    return json.dumps(line) + "\n"


@given(
    st.lists(PAYLOADS, max_size=4), PAYLOADS, st.none() | PAYLOADS, TEXTS, st.none() | TEXTS, st.sampled_from(Status)
)
def test_history_written_and_read_is_itself_byte_for_byte(
    entries: list[bytes], args: bytes, result: bytes | None, seed: str, version: str | None, status: Status
) -> None:
    row = replace(ROW, args=args, result=result, note=result, seed=seed, version=version, status=status)
    history = FlowHistory(replace(row, base=7, length=7 + len(entries)), tuple(entries), "0")
    line = history_line(history)
    assert line.isascii()
    assert line.index("\n") == len(line) - 1
    assert read(line) == [history]


@pytest.mark.parametrize("raw", AWKWARD, ids=range(len(AWKWARD)))
def test_bytes_that_are_hard_to_keep_are_kept(raw: bytes) -> None:
    history = FlowHistory(replace(ROW, args=raw, result=raw), (raw,), "0")
    assert read(history_line(history)) == [history]


def test_line_holds_every_field_of_a_flow_but_its_waits_and_mail() -> None:
    line = json.loads(history_line(ONE))
    assert list(line) == ["ergon", "flow", "hash_seed", "entries"]
    assert set(line["flow"]) == {field.name for field in fields(FlowRow)} - {"waits", "aside"}


def test_stored_json_is_json_in_the_line() -> None:
    line = json.loads(history_line(ONE))
    assert (line["ergon"], line["hash_seed"]) == (1, "42")
    assert line["entries"] == [["patched", 1, "p", 3]]
    assert line["flow"]["args"] == {"n": 1}


def test_lines_are_read_one_by_one_and_blank_ones_passed_over() -> None:
    lines = read_lines(io.BytesIO((history_line(ONE) + "\n" + changed(id="c")).encode()), "x")
    assert next(lines) == ONE
    assert [each.row.id for each in lines if isinstance(each, FlowHistory)] == ["c"]


def test_file_of_other_tools_is_read_with_a_mark_at_its_start_and_with_fields_of_later_releases() -> None:
    line = changed(later={"x": 1}, seed="ü")
    plain = json.dumps(json.loads(line), ensure_ascii=False, indent=None, separators=(",", ":"))
    assert read(b"\xef\xbb\xbf" + plain.encode()) == [replace(ONE, row=replace(ROW, seed="ü"))]


def test_history_that_lacks_entries_is_read_and_says_so_when_it_is_used() -> None:
    (found,) = read(changed(length=5))
    assert isinstance(found, FlowHistory)
    assert (found.row.length, len(found.entries)) == (5, 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense\n", "it is not JSON"),
        ("[1]\n", "the line is no JSON object"),
        ('{"id": "a"}\n', '"ergon": 1, ...} is missing'),
        (changed(ergon=True), '"ergon": 1, ...} is missing'),
        (changed(ergon=2), "it has form 2, and this Ergon reads form 1; upgrade"),
        ("[" * 100_000 + "\n", "nested too deeply"),
        ('{"ergon": NaN}\n', "NaN is no number"),
        ('{"ergon": ' + "9" * 5000 + "}\n", "it is not JSON"),
        (history_line(ONE).encode("utf-16"), "it is not UTF-8; some shells write UTF-16"),
        (changed(flow=3), "flow is no JSON object"),
        (changed(id=...), "id is missing"),
        (changed(id=""), "id is wrong: it is empty"),
        (changed(id="a\0"), "id is wrong: it holds a NUL"),
        (changed(type="x" * 10_001), "type is wrong"),
        (changed(seed="\ud800"), "seed is wrong"),
        (changed(args=None), "args is wrong: no list, object or string"),
        (changed(args="\ud800"), "args is wrong"),
        (changed(status="asleep"), "status is wrong"),
        (changed(status=[]), "status is wrong"),
        (changed(created=-1), "created is wrong"),
        (changed(created=True), "created is wrong: no whole number"),
        (changed(due=2**53 + 1), "due is wrong"),
        (changed(priority=10), "priority is wrong: 10 is not between 0 and 9"),
        (changed(length=0), "it has 1 entries from 0 on, and says 0"),
        (changed(hash_seed="random"), "hash_seed is wrong: no PYTHONHASHSEED"),
        (changed(hash_seed="4294967296"), "hash_seed is wrong: no PYTHONHASHSEED"),
        (changed(entries={}), "entries is no list"),
        (changed(entries=[["patched"], 1]), "entry 1 is wrong: no list, object or string"),
    ],
)
def test_line_that_is_no_history_is_an_error_and_the_next_goes_on(line: str | bytes, said: str) -> None:
    if isinstance(line, bytes):
        (error, *_) = read(line)
    else:
        first, error, last = read(history_line(ONE), line, history_line(ONE))
        assert first == last == ONE
    assert isinstance(error, HistoryUnreadable)
    assert said in str(error)
    assert str(error).startswith(f"x.jsonl, line {error.line}: {error.reason}; {error.fix}")


def test_line_that_is_too_long_is_passed_over_without_reading_it_whole() -> None:
    limit = len(changed(seed="s" * 100))
    error, last = read(changed(seed="s" * 10**6), history_line(ONE), limit=limit)
    assert isinstance(error, HistoryUnreadable)
    assert f"longer than {limit:,} bytes" in str(error)
    assert last == ONE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([*json.loads(history_line(ONE))["flow"], "entries", "hash_seed", "flow", "ergon"]), JSON)
def test_hostile_field_is_an_error_or_a_history_that_can_be_written(name: str, value: object) -> None:
    (found,) = read(changed(**{name: value}))
    if isinstance(found, FlowHistory):
        assert read(history_line(found)) == [found]


def test_recorded_entries_of_a_file_keep_their_sequence() -> None:
    """An entry after a continue_as_new stands where it stood, as errors and cuts name it."""
    history = FlowHistory(replace(ROW, base=40, length=41), (ENTRY,), "42")
    (found,) = read(history_line(history))
    assert isinstance(found, FlowHistory)
    assert asyncio.run(found.records()) == [Recorded(40, 1, Patched("p", 3))]
