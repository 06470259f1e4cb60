"""Classes as flow types: every order of decorators, subclasses, and what such a class may not have."""

from __future__ import annotations

import asyncio
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, flow_definition, flow_type, flow_value, registry
from ergon_runtime.errors import DefinitionError


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    with registry.isolated():
        yield


@dataclass
class Money:
    amount: Decimal


def plain(options: dict[str, Any], above: bool) -> Any:
    """A flow type class with the decorators in either order."""

    class Order:
        number: int
        money: Money = field(default_factory=lambda: Money(Decimal(5)))

        @flow(retry=RetryPolicy.STANDARD, keep=False)
        async def run(self) -> Money:
            assert type(self) is Order or options.get("slots")
            return self.money

    make = dataclass(**options)
    return flow_type(version="7")(make(Order)) if above else make(flow_type(version="7")(Order))


@pytest.mark.parametrize("above", [True, False], ids=["flow_type above", "flow_type below"])
@pytest.mark.parametrize(
    "options", [{}, {"slots": True}, {"frozen": True}, {"frozen": True, "slots": True}, {"kw_only": True}], ids=str
)
def test_class_is_a_flow_type_in_either_order(options: dict[str, Any], above: bool) -> None:
    cls = plain(options, above)
    definition = flow_definition(cls)
    assert (definition.name, definition.version, definition.keep) == ("Order", "7", False)
    assert definition.retry == RetryPolicy.STANDARD
    value = flow_value(cls(number=1))
    assert value == cls(number=1).run()
    args = definition.encode_arguments(value)
    assert args == '{"number":1,"money":{"amount":"5"}}'
    assert asyncio.run(definition.start(args)) == Money(Decimal(5))


@pytest.mark.parametrize("count", [0, 2])
def test_class_without_exactly_one_flow_method_is_refused(count: int) -> None:
    async def run(self: object) -> None: ...

    class Holder:
        pass

    for n in range(count):
        setattr(Holder, f"run{n}", flow(name=f"run{n}")(run))
    with pytest.raises(DefinitionError, match=f"has {count or 'no'} @flow method"):
        flow_type(Holder)


def test_class_that_is_no_dataclass_is_refused_when_resolved() -> None:
    @flow_type
    class Bare:
        @flow
        async def run(self) -> None: ...

    with pytest.raises(DefinitionError, match="flow Bare is no dataclass"):
        registry.resolve()


@pytest.mark.parametrize(("outer", "inner"), [("1", "2"), ("2", "1")])
def test_versions_in_both_places_must_agree(outer: str, inner: str) -> None:
    class Both:
        @flow(version=inner)
        async def run(self) -> None: ...

    with pytest.raises(DefinitionError, match=f"version {outer!r} at @flow_type and {inner!r} at @flow"):
        flow_type(version=outer)(Both)


def test_method_with_parameters_is_refused() -> None:
    @flow_type
    @dataclass
    class Takes:
        @flow
        async def run(self, n: int) -> None: ...

    with pytest.raises(DefinitionError, match="'n'; make it a field"):
        registry.resolve()


def test_init_only_field_is_refused() -> None:
    @flow_type
    @dataclass
    class Hides:
        secret: InitVar[int]

        @flow
        async def run(self) -> None: ...

    with pytest.raises(DefinitionError, match="secret is no field"):
        registry.resolve()


def test_subclass_needs_the_decorator_itself() -> None:
    @flow_type
    @dataclass
    class Base:
        n: int

        @flow
        async def run(self) -> int:
            return self.n

    @dataclass
    class Undecorated(Base):
        pass

    @flow_type
    @dataclass
    class Decorated(Base):
        extra: int = 0

    with pytest.raises(DefinitionError, match="put @flow_type on the class"):
        Undecorated(1).run()
    assert Decorated(1).run().definition is registry.find("Decorated")
    assert Base(1).run().definition is registry.find("Base")


def test_bad_arguments_of_an_object_show_when_it_starts() -> None:
    @flow_type
    @dataclass
    class Checks:
        n: int

        def __post_init__(self) -> None:
            if self.n < 0:
                raise ValueError("negative")

        @flow
        async def run(self) -> int:
            return self.n

    started = registry.find("Checks").start('{"n":-1}')
    with pytest.raises(ValueError, match="negative"):
        asyncio.run(started)
