"""Flow arguments: conversion by hint, the base object, and all errors at once."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from ergon_cli.arguments import edit_arguments, parse_arguments, signature
from ergon_cli.exits import CommandError, error_text
from ergon_runtime import flow, registry
from ergon_runtime.codec import UNHINTED
from ergon_runtime.definitions import flow_definition


@dataclass(frozen=True)
class Parameter:
    """A parameter as arguments see it."""

    name: str
    hint: object
    required: bool = True
    default: object = None


@dataclass(frozen=True)
class Flow:
    """A definition as arguments see it."""

    name: str
    parameters: tuple[Parameter, ...]


ORDER = Flow(
    "OrderFlow",
    (
        Parameter("order_id", str),
        Parameter("amount", Decimal),
        Parameter("express", bool, required=False, default=False),
    ),
)
TAGS = Flow("TagFlow", (Parameter("tags", list[str]), Parameter("note", UNHINTED, required=False)))
GOOD = ["order_id=A-17", "amount=9.50"]
with registry.isolated():

    @flow
    async def order(order_id: str, amount: Decimal, express: bool = False) -> None: ...


def refusal(flow: Flow, pairs: list[str], base: str | None = None) -> str:
    with pytest.raises(CommandError) as caught:
        parse_arguments(flow, pairs, base)
    assert caught.value.code == 2
    text = error_text(caught.value)
    assert len(text.splitlines()) <= 6
    return text


def test_text_is_converted_by_the_hint() -> None:
    values = parse_arguments(ORDER, [*GOOD, "express=true"])
    assert values == {"order_id": "A-17", "amount": Decimal("9.50"), "express": True}
    assert isinstance(values["amount"], Decimal)


def test_text_keeps_everything_after_the_first_sign() -> None:
    assert parse_arguments(ORDER, ["order_id==a:=b\nc", "amount=1"])["order_id"] == "=a:=b\nc"


def test_json_and_files_are_taken(tmp_path: Path) -> None:
    (tmp_path / "tags.json").write_text('["a", "ü"]')
    assert parse_arguments(TAGS, ['tags:=["a"]'])["tags"] == ["a"]
    assert parse_arguments(TAGS, ['tags=["a"]'])["tags"] == ["a"]
    assert parse_arguments(TAGS, [f"tags:=@{tmp_path}/tags.json"])["tags"] == ["a", "ü"]


def test_null_only_by_json() -> None:
    values = parse_arguments(TAGS, ["tags:=[]", "note=null"])
    assert values["note"] == "null"
    assert parse_arguments(TAGS, ["tags:=[]", "note:=null"])["note"] is None


def test_unhinted_text_stays_text() -> None:
    assert parse_arguments(TAGS, ["tags:=[]", "note=5"])["note"] == "5"


def test_absent_optional_argument_is_left_out() -> None:
    assert "express" not in parse_arguments(ORDER, GOOD)


def test_base_object_is_overridden_by_arguments() -> None:
    base = ' {"order_id" : "B" , "amount": 9.25, "express": true}\n'
    values = parse_arguments(ORDER, ["order_id=A"], base)
    assert values == {"order_id": "A", "amount": Decimal("9.25"), "express": True}


def test_base_from_file_and_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '{"order_id": "B", "amount": 1}'
    (tmp_path / "o.json").write_text(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert parse_arguments(ORDER, [], f"@{tmp_path}/o.json")["order_id"] == "B"
    assert parse_arguments(ORDER, [], "-")["order_id"] == "B"
    assert parse_arguments(ORDER, GOOD, "{}")["order_id"] == "A-17"


def test_base_from_a_terminal_is_refused_instead_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert "terminal" in refusal(ORDER, [], "-")


def test_all_errors_are_told_at_once_under_the_signature() -> None:
    assert refusal(ORDER, ["amount=ninety", "ordr_id=A"]).splitlines() == [
        "error: OrderFlow(order_id: str, amount: Decimal, express: bool = False)",
        "  order_id  missing",
        "  amount    not a number: 'ninety'",
        "  ordr_id   unknown; did you mean order_id?",
    ]


def test_many_errors_are_counted() -> None:
    lines = refusal(ORDER, [f"x{n}=1" for n in range(9)]).splitlines()
    assert len(lines) == 6
    assert lines[-1] == "  ... and 7 more"


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([*GOOD, "amount=2"], "amount  given twice"),
        ([*GOOD, "amount:=2"], "amount  given twice"),
        ([*GOOD, "express"], "-a express  not name=text"),
        ([*GOOD, "=x"], "-a =x  not name=text"),
        ([*GOOD, "1x=2"], "not name=text"),
        ([*GOOD, "express:={"], "not JSON"),
        ([*GOOD, "express:="], "not JSON"),
        ([*GOOD, "express:=@/no/such"], "cannot read /no/such"),
        ([*GOOD, "express=maybe"], "express  "),
        (["order_id:=5", "amount=1"], "order_id  "),
        (["order_id:=null", "amount=1"], "order_id  "),
    ],
)
def test_argument_that_cannot_be_used_is_named(pairs: list[str], said: str) -> None:
    assert said in refusal(ORDER, pairs)


def test_hostile_argument_is_shown_harmlessly() -> None:
    assert "\x1b" not in refusal(ORDER, [*GOOD, "express=\x1b[2J"])
    assert "\x1b" not in refusal(ORDER, [*GOOD, "\x1b[2J"])


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ('{"a": x}', "--input is not JSON (line 1, column 7"),
        ("[1]", "--input is not a JSON object"),
        ("", "--input is empty"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": 1, "a": 2}', "names 'a' twice"),
        ("@/no/such", "cannot read /no/such"),
        ('{"zzz": 1}', "zzz"),
        ("9" * 5_000, "not JSON"),
    ],
)
def test_base_that_cannot_be_used_is_refused(base: str, said: str) -> None:
    assert said in refusal(ORDER, [], base)


def test_base_that_is_not_json_points_at_the_place() -> None:
    assert refusal(ORDER, [], '{"a": x}').splitlines()[1:3] == ['  {"a": x}', "        ^"]


@pytest.mark.parametrize(("data", "said"), [(b'{"a": "\xff"}', "UTF-8"), (b" " * (2 * 1024 * 1024 + 1), "2 MiB")])
def test_base_file_of_bad_bytes_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "bad").write_bytes(data)
    assert said in refusal(ORDER, [], f"@{tmp_path}/bad")
    assert said in refusal(ORDER, [*GOOD, f"express:=@{tmp_path}/bad"])


def test_signature_leaves_out_hints_that_are_not_there() -> None:
    assert signature(TAGS) == "TagFlow(tags: list[str], note = None)"


def test_stored_arguments_are_edited_and_the_others_keep_their_text() -> None:
    definition = flow_definition(order)
    stored = b'{"note":"\xc3\xb6","gone":[1 , 2],"amount":"1.50","order_id":"A"}'
    edited = edit_arguments(definition, stored, ["amount=9.50", "express:=true"])
    assert edited == b'{"note":"\xc3\xb6","gone":[1 , 2],"amount":"9.50","order_id":"A","express":true}'
    assert edit_arguments(definition, b"{}", []) == b"{}"


def test_edits_that_do_not_fit_are_told_like_arguments() -> None:
    with pytest.raises(CommandError) as caught:
        edit_arguments(flow_definition(order), b"{}", ["amont=1", "express=maybe", "order_id=A", "order_id=B"])
    text = error_text(caught.value)
    assert "amont     unknown; did you mean amount?" in text
    assert "order_id  given twice" in text
    assert "express" in text
    assert "missing" not in text


@pytest.mark.parametrize("stored", [b"[1]", b"{", b"\xff", b"null"])
def test_stored_arguments_that_are_no_object_are_not_edited(stored: bytes) -> None:
    with pytest.raises(CommandError, match="the stored arguments of flow order are no JSON object") as caught:
        edit_arguments(flow_definition(order), stored, ["order_id=A"])
    assert caught.value.code == 2
