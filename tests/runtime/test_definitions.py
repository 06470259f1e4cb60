"""Definitions: names and versions, the registry, hints, arguments, refusals."""

from __future__ import annotations

import asyncio
import functools
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import (
    NO_DEFAULT,
    FlowValue,
    StepFunction,
    flow,
    flow_definition,
    flow_type,
    flow_value,
    registry,
    step,
)
from ergon_runtime.errors import CodecError, DefinitionError


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    with registry.isolated():
        yield


@dataclass
class Money:
    amount: Decimal


async def code(order: str, amount: Decimal = Decimal(1)) -> Money:
    return Money(amount)


# --- names, versions, the registry


def test_names_are_the_functions_own_unless_given() -> None:
    flow(code)
    flow(name="other.name-1", version="2")(code)
    assert [(d.name, d.version, d.lane) for d in registry.flows()] == [
        ("code", None, "default:code:"),
        ("other.name-1", "2", "default:other.name-1:2"),
    ]
    assert registry.flows()[0].source.startswith(f"{__file__}:")


@pytest.mark.parametrize("name", ["", "1st", "a b", "a/b", "a#2", "é", "x" * 101])
def test_name_that_cannot_be_stored_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="cannot name a flow"):
        flow(name=name)(code)
    with pytest.raises(DefinitionError, match="cannot name a step"):
        step(name=name)(code)


@pytest.mark.parametrize("version", ["", "a b", "x" * 51])
def test_version_that_cannot_be_stored_is_refused(version: str) -> None:
    with pytest.raises(DefinitionError, match="cannot be a version"):
        flow(version=version)(code)


def test_two_definitions_of_one_name_and_version_name_both_places() -> None:
    @flow(name="twice")
    async def first() -> None: ...

    with pytest.raises(DefinitionError) as caught:

        @flow(name="twice")
        async def second() -> None: ...

    assert str(caught.value).count(f"{__file__}:") == 2
    assert [d.name for d in registry.flows()] == ["twice"]
    assert flow_value(first()).definition is registry.find("twice")


def test_definition_made_again_at_its_place_replaces_itself() -> None:
    def load() -> Any:
        @dataclass(slots=True)
        @flow_type
        class Again:
            @flow
            async def run(self) -> None: ...

        return Again

    old, new = load(), load()
    assert registry.flows() == [flow_definition(new)]
    assert flow_definition(old) is not flow_definition(new)


def test_find_gives_the_last_version_defined_unless_told() -> None:
    for version in ("1", "3", None, "2"):
        flow(version=version)(code)
    assert registry.find("code").version == "2"
    assert registry.find("code", "1").version == "1"
    assert registry.get("code", None) is not None
    with pytest.raises(DefinitionError, match=r"no version '9'; it has 1, 3, one without version, 2"):
        registry.find("code", "9")


def test_version_defined_again_is_the_last() -> None:
    for version in ("1", "2", "1"):
        flow(version=version)(code)
    assert registry.find("code").version == "1"


def test_find_of_an_unknown_name_guesses() -> None:
    flow(code)
    with pytest.raises(DefinitionError, match="did you mean code"):
        registry.find("coed")
    with pytest.raises(DefinitionError, match="defined are code"):
        registry.find("zzz")


def test_isolated_registry_gives_back_what_was_there() -> None:
    flow(code)
    with registry.isolated():
        assert registry.flows() == []
        flow(name="inner")(code)
    assert [d.name for d in registry.flows()] == ["code"]


# --- hints and arguments


def test_hints_of_a_function_in_a_function_are_found_around_it() -> None:
    @dataclass
    class Local:
        n: int

    @flow
    async def takes(local: Local, more: list[Local]) -> Local:
        return local

    registry.resolve()
    definition = registry.find("takes")
    assert [p.hint for p in definition.parameters] == [Local, list[Local]]
    assert definition.result.hint is Local


def test_hints_of_fields_may_name_the_class_itself_and_locals() -> None:
    @dataclass
    class Local:
        n: int

    @flow_type
    @dataclass
    class Node:
        local: Local
        parent: Node | None

        @flow
        async def run(self) -> Local:
            return self.local

    registry.resolve()
    assert [p.hint for p in registry.find("Node").parameters] == [Local, Node | None]


def test_hints_of_a_method_are_found_around_its_class() -> None:
    @dataclass
    class Local:
        n: int

    class Holder:
        Inner = Local

        @step
        async def takes(self, local: Local, inner: Inner) -> None: ...

    takes: Any = Holder.takes
    assert [p.hint for p in takes.definition.parameters] == [Local, Local]


def test_unresolvable_hint_is_an_error_that_names_it() -> None:
    @flow
    async def takes(order: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821  the mistake under test

    with pytest.raises(DefinitionError, match="flow takes: the hint 'Missing' of parameter order cannot be resolved"):
        registry.resolve()


def test_unresolvable_hint_of_a_steps_result_is_found_when_loading_ends() -> None:
    @step
    async def gives() -> Missing: ...  # type: ignore[name-defined]  # noqa: F821  the mistake under test

    with pytest.raises(DefinitionError, match="step gives: the hint 'Missing' of the result"):
        registry.resolve()


def test_parameters_tell_defaults_and_codecs() -> None:
    flow(code)
    order, amount = registry.find("code").parameters
    assert (order.name, order.required, order.default) == ("order", True, NO_DEFAULT)
    assert (amount.required, amount.filled(), amount.hint) == (False, Decimal(1), Decimal)


def test_arguments_go_through_text_with_defaults_filled_in() -> None:
    made = flow(code)
    definition = registry.find("code")
    assert definition.encode_arguments(made("A")) == '{"order":"A","amount":"1"}'
    assert definition.encode_arguments({"order": "A"}) == '{"order":"A","amount":"1"}'
    assert asyncio.run(definition.start('{"order": "A", "amount": "2.50"}')) == Money(Decimal("2.50"))
    assert asyncio.run(definition.start('{"order":"A"}')) == Money(Decimal(1))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "needs an argument 'order'"),
        ('{"order":"A","old":1}', "takes no argument 'old'"),
        ('{"order":3}', "argument order of flow code"),
        ("[]", "cannot be read"),
        ("[" * 100_000, "nested too deeply"),
        ('{"order":"A",}', "cannot be read"),
        ('{"order" "A"}', "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_stored_arguments_that_do_not_fit_are_refused(text: str, complaint: str) -> None:
    flow(code)
    with pytest.raises(CodecError, match=complaint):
        registry.find("code").start(text)


def test_result_of_a_flow_goes_through_text() -> None:
    flow(code)
    definition = registry.find("code")
    text = definition.encode_result(Money(Decimal(2)))
    assert definition.decode_result(text) == Money(Decimal(2))
    with pytest.raises(CodecError, match="result of flow code"):
        definition.encode_result("two")


def test_classes_of_a_modules_flows_are_allowed_when_loading_ends() -> None:
    module = types.ModuleType("orders_of_a_test")
    source = "from dataclasses import dataclass\nfrom ergon_runtime.definitions import flow\n"
    source += "@dataclass\nclass OnlyHere:\n    n: int\n@flow\nasync def keeps(x): return x\n"
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, "orders_of_a_test.py", "exec"), vars(module))
        registry.resolve()
        definition = registry.find("keeps")
        value = module.OnlyHere(3)
        assert asyncio.run(definition.start(definition.encode_arguments(module.keeps(value)))) == value
    finally:
        del sys.modules[module.__name__]


# --- what is passed


def test_call_of_a_flow_gives_a_value_that_is_not_awaited() -> None:
    made = flow(code)
    value = made("A")
    assert isinstance(value, FlowValue)
    assert repr(value) == "code(order='A', amount=Decimal('1'))"

    async def main() -> None:
        await value  # type: ignore[misc]  # the mistake under test

    with pytest.raises(TypeError, match=r"await invoke\(code\(...\)\)"):
        asyncio.run(main())
    with pytest.raises(TypeError, match=r"code\(\) missing a required argument: 'order'"):
        made()  # type: ignore[call-arg]  # the mistake under test


def test_value_made_by_name_is_checked_like_a_call() -> None:
    flow(code)
    definition = registry.find("code")
    assert definition.value(order="A").arguments == {"order": "A", "amount": Decimal(1)}
    with pytest.raises(TypeError):
        definition.value(ordr="A")


# --- refusals


def generator(n: int) -> Iterator[int]:
    yield n


async def async_generator(n: int) -> AsyncIterator[int]:
    yield n


async def stars(*args: int) -> None: ...


async def keywords(**options: int) -> None: ...


def sync() -> None: ...


@pytest.mark.parametrize(
    ("decorate", "thing", "complaint"),
    [
        (step, generator, "generator"),
        (step, async_generator, "generator"),
        (step, stars, r"\*args: .* cannot be stored"),
        (step, functools.partial(sync), "goes on a function"),
        (step, staticmethod(sync), "@staticmethod belongs above"),
        (step, "text", "goes on a function"),
        (flow, sync, "is not async"),
        (flow, keywords, r"\*\*options: .* cannot be stored"),
        (flow, Money, "use @flow_type"),
        (flow_type, sync, "use @flow"),
        (step(timeout=1), step(sync), "not both"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_decorator_on_what_it_cannot_take_is_refused(
    decorate: Callable[[Any], Any], thing: Any, complaint: str
) -> None:
    with pytest.raises(DefinitionError, match=complaint):
        decorate(thing)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"heartbeat_timeout": 0},
        {"heartbeat_timeout": timedelta(-1)},
        {"retry": 3},
        {"at_most_once": True, "retry": RetryPolicy.STANDARD},
    ],
)
def test_step_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError):
        step(**options)(sync)


def test_step_keeps_the_look_of_its_function() -> None:
    made = step(code)
    assert isinstance(made, StepFunction)
    assert (made.__name__, made.__wrapped__) == ("code", code)
