"""Errors as text: nothing stops the encoding, everything long is cut, and people can read it without the class."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergon_runtime.codec import Unstored, decode_error, describe_error, encode_error, for_hint, is_error_loaded
from ergon_runtime.errors import CodecError


def stored(error: BaseException) -> Any:
    return decode_error(encode_error(error, "error of step test"))


class Declined(Exception):
    pass


class Odd:
    def __repr__(self) -> str:
        return "<odd>"

    def __str__(self) -> str:
        return "odd"


class Bad:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_argument_that_cannot_be_stored_reads_as_it_did() -> None:
    error = ValueError(Odd())
    error.where = Odd()  # type: ignore[attr-defined]  # what the test is about
    back = stored(error)
    assert str(back) == "odd"
    assert repr(back) == "ValueError(<odd>)"
    assert back.where == Unstored("<odd>", "odd")
    assert encode_error(back).count("<odd>") == encode_error(error).count("<odd>")


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot say")


class Hostile(Exception):
    """Fails at everything it is asked."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")


def deep() -> object:
    value: object = 1
    for _ in range(500):
        value = [value]
    return value


@pytest.mark.parametrize(
    "make",
    [
        Silent,
        Hostile,
        lambda: ValueError(Bad()),
        lambda: ValueError("\ud800"),
        lambda: ValueError("x" * 10_000_000),
        lambda: ValueError(*["x" * 60_000] * 100),
        lambda: ValueError(deep()),
        lambda: ValueError(10**5000),
        lambda: ValueError(object(), lambda: None, int),
        lambda: ExceptionGroup("\ud800", [ValueError(Bad())]),
        lambda: RecursionError("deep"),
    ],
)
def test_encoding_an_error_never_fails_and_stays_small(make: Callable[[], BaseException]) -> None:
    error = make()
    text = encode_error(error, "error of step test")
    assert len(text.encode()) <= 512 * 1024
    assert isinstance(decode_error(text), Exception)
    assert describe_error(text).type == type(error).__name__


def test_text_that_utf8_cannot_hold_is_shown_escaped() -> None:
    error = ValueError("file \udc80", 5)
    view = describe_error(encode_error(error))
    assert view.message == r"('file \udc80', 5)"
    assert describe_error(encode_error(KeyError("\ud800"))).message == r"'\ud800'"
    assert describe_error(encode_error(ValueError("\ud800"))).message == r"\ud800"
    assert stored(error).args[1] == 5


def raise_it() -> None:
    raise Declined("order A was declined")


def test_traceback_of_what_ran_in_a_thread_of_a_pool_begins_with_the_users_line() -> None:
    def charge() -> None:
        raise ConnectionError("busy")

    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(charge).exception()
    assert error is not None
    trace = describe_error(encode_error(error)).traceback or ""
    assert re.findall(r'File "(.+)", line \d+, in (\w+)', trace) == [(__file__, "charge")]


def test_traceback_shows_user_frames_only() -> None:
    async def flow() -> None:
        raise_it()

    with pytest.raises(Declined) as caught:
        asyncio.run(flow())
    trace = describe_error(encode_error(caught.value)).traceback
    assert trace is not None
    assert trace.startswith("Traceback (most recent call last):\n")
    assert "in raise_it" in trace
    assert "runners.py" not in trace
    assert trace.endswith("Declined: order A was declined\n")


def test_frames_of_the_runtime_are_cut() -> None:
    with pytest.raises(CodecError) as caught:
        for_hint(int).encode("x", "result")
    trace = describe_error(encode_error(caught.value)).traceback
    assert trace is not None
    assert "test_frames_of_the_runtime_are_cut" in trace
    assert "values.py" not in trace


def test_description_reads_the_cause_without_the_class() -> None:
    text = json.dumps(
        {
            "types": ["nowhere:Own"],
            "message": "m",
            "cause": {"types": ["nowhere:In.Ner"], "message": "n", "traceback": "t"},
        }
    )
    view = describe_error(text)
    assert (view.type, view.message, view.traceback) == ("Own", "m", None)
    assert view.cause is not None
    assert (view.cause.type, view.cause.traceback) == ("Ner", "t")


@pytest.mark.parametrize("text", ["", "1", "[]", "{}", '{"types":[],"message":"x"}', '{"types":["a:b"]}', "[" * 100])
def test_text_that_is_no_error_is_a_codec_error(text: str) -> None:
    for read in (decode_error, describe_error, is_error_loaded):
        with pytest.raises(CodecError):
            read(text)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.decimals()
)


@given(st.lists(scalars, max_size=4), st.dictionaries(st.text(), scalars, max_size=3))
def test_arguments_and_attributes_come_back_or_leave_a_placeholder(args: list[Any], attributes: dict[str, Any]) -> None:
    error = LookupError(*args)
    vars(error).update(attributes)
    back = stored(error)
    for old, new in zip(error.args, back.args, strict=True):
        assert repr(old) == repr(new)
    for name, value in vars(back).items():
        assert repr(attributes[name]) == repr(value)
    again = stored(back)
    assert repr(again) == repr(back)
