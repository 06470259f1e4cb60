"""A signal's payload: JSON if it parses, else text, unless it was meant to be JSON."""

from __future__ import annotations

import pytest

from ergon_cli.exits import CommandError
from ergon_cli.payloads import members, parse_payload
from ergon_runtime.limits import limits


@pytest.mark.parametrize(
    ("payload", "stored"),
    [
        (None, "null"),
        ("5", "5"),
        ("-5", "-5"),
        ('{"ok": true}', '{"ok": true}'),
        ("yes", '"yes"'),
        ("", '""'),
        ("NaN", '"NaN"'),
        ("ü", '"\\u00fc"'),
        ("1 2", '"1 2"'),
    ],
)
def test_payload_is_json_or_text(payload: str | None, stored: str) -> None:
    assert parse_payload(payload) == stored


def test_payload_as_text_is_never_json() -> None:
    assert parse_payload("{", as_text=True) == '"{"'
    assert parse_payload("5", as_text=True) == '"5"'


@pytest.mark.parametrize(
    "payload", ["{", " [1,", '"open', "{'a': 1}", "[NaN]", "1e999", '{"a":1,"a":2}', "[" * 99 + "]" * 99]
)
def test_payload_that_was_meant_otherwise_is_exit_2(payload: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_payload(payload)
    assert caught.value.code == 2
    assert caught.value.hint == "--text sends it as it is"


def test_payload_of_more_than_2_mib_is_exit_2() -> None:
    with pytest.raises(CommandError, match="larger than 2 MiB"):
        parse_payload("x" * (limits().max_bytes + 1), as_text=True)


def test_members_keep_their_own_text() -> None:
    assert members('\n{"a" :1.10,\t"b":{"c": [1, "}"]} , "d": "x,y"}') == [
        ("a", "1.10"),
        ("b", '{"c": [1, "}"]}'),
        ("d", '"x,y"'),
    ]
    assert members(" { } ") == []
