"""Hints: which leave something open, which classes they name, and what they are called."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar

import pytest
from pydantic import BaseModel

from ergon_runtime.codec import UNHINTED, hint_name
from ergon_runtime.codec.hints import facts

Item = TypeVar("Item")
OrderId = NewType("OrderId", str)


class Colour(Enum):
    RED = 1


@dataclasses.dataclass
class Box(Generic[Item]):
    content: Item


@dataclasses.dataclass
class Node:
    next: Node | None
    colour: Colour


class Model(BaseModel):
    node: Node
    more: list[Any] = []


@pytest.mark.parametrize(
    "hint",
    [
        UNHINTED,
        inspect.Parameter.empty,
        object,
        list,
        typing.List,  # noqa: UP006 - the old form is the case
        tuple,
        dict,
        list[dict],
        dict[str, Any],
        Any | None,
        Annotated[Any, 1],
        Box,
        Box[Any],
        Model,
        list[Model] | None,
        NewType("Payload", dict),
        set[int],
        Iterable[int],
    ],
    ids=str,
)
def test_hint_that_leaves_something_open_is_loose(hint: Any) -> None:
    assert facts(hint).loose


@pytest.mark.parametrize(
    "hint", [int, list[int], tuple[()], tuple[int, ...], Node, dict[str, Node], Literal[1], None], ids=str
)
def test_hint_that_says_all_is_not_loose(hint: Any) -> None:
    assert not facts(hint).loose


def test_classes_are_found_through_fields_and_each_once() -> None:
    assert sorted(cls.__name__ for cls in facts(list[Model] | Node).classes) == ["Colour", "Model", "Node"]


def test_class_only_pydantic_can_know_is_foreign() -> None:
    assert facts(list[Path]).foreign
    assert facts(Callable[[], Any]).foreign
    assert not facts(Model).foreign


@pytest.mark.parametrize(
    ("hint", "name"),
    [
        (str, "str"),
        (int | None, "int | None"),
        (Optional[int], "int | None"),
        (list[int], "list[int]"),
        (dict[str, Any], "dict[str, Any]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Literal["a", 1], "Literal['a', 1]"),
        (Annotated[int, 5], "int"),
        (Decimal, "Decimal"),
        (Box[int], "Box[int]"),
        (UNHINTED, "no hint"),
        (None, "None"),
        (Any, "Any"),
        (OrderId, "OrderId"),
        (typing.List[int], "list[int]"),  # noqa: UP006 - the old form is the case
        (typing.Callable[[int], str], "Callable[[int], str]"),
    ],
)
def test_hint_name_is_what_a_person_would_write(hint: Any, name: str) -> None:
    assert hint_name(hint) == name
