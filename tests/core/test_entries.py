"""Entries in their stored form: round trips, additive evolution, and rows that are none of ours."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergon_runtime.core import entries
from ergon_runtime.core.entries import Delivered, Entry, LifeMarker, Outcome, Recorded, StepEnded, pack, unpack
from ergon_runtime.core.flows import Status
from ergon_runtime.core.history import is_delivered

CLASSES: tuple[type[Entry], ...] = get_args(Entry)
ANY_TEXT = st.text(st.characters(exclude_categories=()))  # halves of surrogate pairs too
by_name = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
EXAMPLES: dict[Any, Any] = {str: "é", int: 5, bool: True, str | None: None, int | None: 7, Status: Status.FAILED}


def entry_strategy(cls: type[Entry]) -> st.SearchStrategy[Entry]:
    hints = get_type_hints(cls)
    plain = {str: ANY_TEXT, int: st.integers(), bool: st.booleans(), Status: st.sampled_from(Status)}
    plain |= {str | None: st.none() | ANY_TEXT, int | None: st.none() | st.integers()}
    return st.builds(cls, **{field.name: plain[hints[field.name]] for field in fields(cls)})


def example(cls: type[Entry]) -> Entry:
    hints = get_type_hints(cls)
    return cls(**{field.name: EXAMPLES[hints[field.name]] for field in fields(cls)})


@given(st.one_of(*map(entry_strategy, CLASSES)), st.integers(1), st.integers(0))
def test_entry_of_any_kind_packed_and_unpacked_is_itself(entry: Entry, commit: int, seq: int) -> None:
    assert unpack(pack(entry, commit), seq) == Recorded(seq, commit, entry)


@by_name
def test_stored_form_is_kind_commit_and_fields_in_order(cls: type[Entry]) -> None:
    entry = example(cls)
    row = json.loads(pack(entry, 3))
    assert row == [cls.kind, 3, *[getattr(entry, field.name) for field in fields(cls)]]


def test_kinds_are_distinct() -> None:
    assert len({cls.kind for cls in CLASSES}) == len(CLASSES)


def test_stored_form_of_known_entries_does_not_change() -> None:
    """Journals outlive releases: what is here stays readable, and is written so. Fields are added at the end only."""
    assert {cls.kind: [field.name for field in fields(cls)] for cls in CLASSES} == {
        "started": ["key", "at", "seed", "version", "engine", "python"],
        "step": [
            "key",
            "at",
            "digest",
            "name",
            "args",
            "value",
            "error",
            "attempts",
            "started",
            "finished",
            "worker",
            "unknown",
        ],
        "stopped": ["key", "at", "digest", "name", "args", "attempts", "started", "worker"],
        "timer": ["key", "at", "digest", "name", "sleep", "asked", "due"],
        "signal": ["key", "at", "digest", "name", "message", "value", "since"],
        "child": ["key", "at", "digest", "message", "child", "status", "value", "error"],
        "cancel": ["key", "at", "message", "before"],
        "attempt": ["key", "at", "digest", "name", "args", "attempt", "due", "error", "started", "finished", "worker"],
        "begun": ["key", "at", "digest", "name"],
        "created": ["key", "at", "digest", "child", "type", "version", "args", "detached"],
        "child_cancelled": ["key", "at", "child"],
        "patched": ["key", "at"],
        "retried": ["key", "at", "life", "attempt", "epoch", "keep", "due", "error", "operator", "cut"],
        "continued": ["key", "at", "life", "epoch", "args"],
        "adopted": ["key", "at", "life", "attempt", "epoch"],
        "forked": ["key", "at", "life", "epoch", "source", "cut"],
    }


@by_name
def test_missing_trailing_fields_take_their_defaults(cls: type[Entry]) -> None:
    row = json.loads(pack(example(cls), 1))
    optional = [field for field in fields(cls) if field.default is not MISSING]
    old = unpack(json.dumps(row[: len(row) - len(optional)]).encode(), 0).entry
    assert [getattr(old, field.name) for field in optional] == [field.default for field in optional]


@by_name
def test_extra_trailing_fields_of_later_versions_are_ignored(cls: type[Entry]) -> None:
    row = [*json.loads(pack(example(cls), 1)), "later", {"x": [1]}]
    assert unpack(json.dumps(row).encode(), 0).entry == example(cls)


@by_name
def test_missing_required_field_is_a_value_error(cls: type[Entry]) -> None:
    required = [field for field in fields(cls) if field.default is MISSING]
    row = json.loads(pack(example(cls), 1))[: 1 + len(required)]
    with pytest.raises(ValueError, match="journal entry 9 cannot be read"):
        unpack(json.dumps(row).encode(), 9)


@by_name
@pytest.mark.parametrize("wrong", [[], {}, 1.5, None, "text", 3])
def test_field_of_another_type_is_a_value_error_or_fits(cls: type[Entry], wrong: object) -> None:
    row = json.loads(pack(example(cls), 1))
    for place, field in enumerate(fields(cls), 2):
        hostile = [*row[:place], wrong, *row[place + 1 :]]
        try:
            entry = unpack(json.dumps(hostile).encode(), 0).entry
        except ValueError:
            continue
        assert isinstance(getattr(entry, field.name), get_type_hints(cls)[field.name])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=10,
)
KINDS = st.sampled_from([cls.kind for cls in CLASSES])


def check_row(row: bytes) -> None:
    """A row gives a sound entry, or a ValueError and nothing else."""
    try:
        entry = unpack(row, 4).entry
    except ValueError as error:
        assert "journal entry 4 cannot be read" in str(error)
        return
    assert unpack(pack(entry, 1), 4).entry == entry
    assert isinstance(entry.at, int)
    assert isinstance(entry.key, str)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_hostile_row_is_a_value_error_or_fits(row: bytes) -> None:
    check_row(row)


@given(KINDS, st.lists(JSON, max_size=16))
def test_hostile_fields_are_a_value_error_or_fit(kind: str, values: list[Any]) -> None:
    check_row(json.dumps([kind, *values]).encode())


@pytest.mark.parametrize(
    "row", [b"[" * 100_000, b'["step",' + b"[" * 100_000, b'["patched",Infinity,"p",1]', b'["patched",1e999]']
)
def test_row_made_to_hurt_is_a_value_error(row: bytes) -> None:
    with pytest.raises(ValueError, match="journal entry 4"):
        unpack(row, 4)


def test_delivered_entries_are_those_that_run_the_flow() -> None:
    delivered = {cls.kind for cls in CLASSES if is_delivered(example(cls))}
    assert delivered == {"step", "stopped", "timer", "signal", "child", "cancel"}
    assert {cls.kind for cls in get_args(Delivered)} == delivered
    assert {cls.kind for cls in get_args(LifeMarker)} == {"retried", "continued", "adopted", "forked"}


def test_entries_are_frozen() -> None:
    entry = example(StepEnded)
    with pytest.raises(AttributeError):
        entry.key = "other"
    assert not hasattr(entry, "__dict__")


# --- outcomes
@given(st.builds(Outcome, st.sampled_from(Status), st.none() | ANY_TEXT, st.none() | ANY_TEXT))
def test_outcome_packed_and_unpacked_is_itself(outcome: Outcome) -> None:
    assert Outcome.unpack(outcome.pack()) == outcome


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_hostile_outcome_is_a_value_error_or_fits(data: bytes) -> None:
    try:
        outcome = Outcome.unpack(data)
    except ValueError as error:
        assert "stored outcome cannot be read" in str(error)
        return
    assert Outcome.unpack(outcome.pack()) == outcome


@pytest.mark.parametrize(
    "data",
    [
        b'["completed",1,null]',
        b'["completed","1",[]]',
        b'["done",null,null]',
        b'{"waiting":1,"a":2,"b":3}',
        b"[" * 100_000,
    ],
)
def test_outcome_of_wrong_parts_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="stored outcome cannot be read"):
        Outcome.unpack(data)


def test_outcome_with_fields_of_later_versions_is_read() -> None:
    assert Outcome.unpack(b'["completed","1",null,"later"]') == Outcome(Status.COMPLETED, "1")


def test_module_knows_every_entry_class() -> None:
    own = {value for value in vars(entries).values() if isinstance(value, type) and hasattr(value, "kind")}
    assert own == set(CLASSES)
