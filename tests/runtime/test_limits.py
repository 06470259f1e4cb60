"""The caps on stored text, and its digest."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergon_runtime.codec import UNHINTED, Limits, digest, for_hint
from ergon_runtime.errors import CodecError
from ergon_runtime.limits import check, limit_payloads, shown_size

MIB = 1024 * 1024


def test_depth_counts_brackets_outside_strings_only() -> None:
    limits = Limits(max_bytes=10_000, max_depth=3)
    check(json.dumps([[["[[[[{{{{", '"[[[[', "\\"], []], *([[]] * 50)]), limits)
    with pytest.raises(CodecError, match="more than 3 levels"):
        check(json.dumps([[[{}]], "pad" * 20]), limits)


@given(
    st.recursive(
        st.text('[]{}"\\', max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.text('[]"', max_size=2), inner),
    )
)
def test_depth_is_that_of_the_value(value: object) -> None:
    def depth(part: object) -> int:
        match part:
            case list():
                return 1 + max(map(depth, part), default=0)
            case dict():
                return 1 + max(map(depth, part.values()), default=0)
            case _:
                return 0

    text = json.dumps([value])
    for limit in range(1, 8):
        try:
            check(text, Limits(max_depth=limit))
            taken = True
        except CodecError:
            taken = False
        assert taken == (depth([value]) <= limit) or len(text) <= limit


def test_value_at_the_deepest_level_is_written_and_read() -> None:
    value: list[object] = []
    for _ in range(63):
        value = [value]
    codec = for_hint(UNHINTED)
    assert codec.decode(codec.encode(value, "x"), "x") == value
    with pytest.raises(CodecError, match="64 levels"):
        codec.encode([value], "x")


def test_too_big_a_value_names_both_sizes() -> None:
    with pytest.raises(CodecError, match=r"it takes 2,097,153 bytes, and 2,097,152 is the most"):
        for_hint(str).encode("a" * (2 * MIB - 1), "result of step load")


def test_bytes_of_utf8_are_counted_not_characters() -> None:
    with pytest.raises(CodecError, match="bytes"):
        check("é" * 60, Limits(max_bytes=100))


def test_little_stack_left_is_a_codec_error() -> None:
    value: object = 1
    for _ in range(60):
        value = [value]
    codec = for_hint(UNHINTED)

    def dive(left: int) -> None:
        if left:
            dive(left - 1)
        else:
            codec.encode(value, "x")

    seen: set[str] = set()
    for left in range(sys.getrecursionlimit() - 150, sys.getrecursionlimit()):
        try:
            dive(left)
        except (CodecError, RecursionError) as error:
            seen.add(f"{type(error).__name__} {'stack' in str(error)}")
    assert "CodecError True" in seen


def test_digest_is_sixteen_digits_and_differs() -> None:
    assert len(digest("a")) == 16
    assert digest("a") != digest("b")


@pytest.fixture
def unlimited() -> Iterator[None]:
    """Caps may be changed: they are put back."""
    yield
    limit_payloads()


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("hint", [UNHINTED, str, bytes, list[str]])
def test_cap_in_force_is_the_most_for_writing_and_for_reading(hint: object) -> None:
    codec = for_hint(hint)
    value = {str: "x" * 1100, bytes: b"x" * 1100}.get(hint, ["x" * 1100])  # type: ignore[call-overload]
    text = codec.encode(value, "it")
    limit_payloads(1024)
    with pytest.raises(CodecError, match=r"1,024 is the most; .*or raise payload\.max"):
        codec.encode(value, "it")
    with pytest.raises(CodecError, match="1,024 is the most"):
        codec.decode(text, "it")
    limit_payloads(4096)
    assert codec.decode(codec.encode(value, "it"), "it") == value


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("size", [1023, 64 * MIB + 1])
def test_cap_out_of_bounds_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="max_bytes must be between 1024 and 67108864"):
        limit_payloads(size)


@pytest.mark.usefixtures("unlimited")
def test_big_value_is_warned_of_once_for_each_place(caplog: pytest.LogCaptureFixture) -> None:
    limit_payloads(warn_bytes=1000)
    with caplog.at_level(logging.WARNING, "ergon_runtime"):
        for where in ("result of step a", "result of step a", "result of step b"):
            for_hint(str).encode("é" * 500, where)
        for_hint(str).encode("x" * 998, "result of step c")
    assert [record.getMessage().split(" takes ")[0] for record in caplog.records] == [
        "result of step a",
        "result of step b",
    ]


@pytest.mark.parametrize(("size", "shown"), [(300, "300 bytes"), (1536, "1.5 KiB"), (2 * MIB, "2 MiB")])
def test_size_is_shown_in_its_unit(size: int, shown: str) -> None:
    assert shown_size(size) == shown
