"""The plan of a class's DAG (D1): who takes part, in which order, and what is refused when loading ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ergon_runtime.definitions import Plan, StepFunction, flow, flow_definition, flow_type, registry, step, wired_steps
from ergon_runtime.errors import DefinitionError


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    with registry.isolated():
        yield


async def no_op(self: Any) -> int:
    return 0


async def of_x(self: Any, x: int) -> int:
    return x


def method(name: str, function: Callable[..., Any] = no_op, **options: Any) -> StepFunction:
    decorate: Any = step(name=name, **options)
    found: StepFunction = decorate(function)
    return found


def made(*steps: StepFunction, bases: tuple[type, ...] = (), **other: Any) -> type:
    """A flow type `Sums` with these steps."""

    async def run(self: Any) -> None: ...

    space: dict[str, Any] = {each.definition.name: each for each in steps} | {"run": flow(run)} | other
    return flow_type(dataclass(type("Sums", bases, space)))


def plan(*steps: StepFunction, final: Any = None, **more: Any) -> Plan:
    return wired_steps(made(*steps, **more)()).plan(final)


def needs(of: Plan) -> dict[str, tuple[str, ...]]:
    return {name: each.needs for name, each in of.steps.items()}


def refusal(*steps: StepFunction, **more: Any) -> str:
    """What `ergon worker` is told when it has loaded such a class."""
    made(*steps, **more)
    with pytest.raises(DefinitionError) as caught:
        registry.resolve()
    return str(caught.value)


# --- who takes part


def test_steps_that_are_wired_or_named_take_part_in_the_order_of_definition() -> None:
    last = method("last", of_x, inputs={"x": "fetch"}, depends_on=("alone", "fetch"))
    fetch, alone, out = method("fetch"), method("alone", depends_on=[]), method("out", of_x)
    assert needs(plan(out, last, fetch, alone)) == {"last": ("alone", "fetch"), "fetch": (), "alone": ()}


def test_steps_are_meant_by_name_or_as_decorated_also_bound() -> None:
    fetch = method("fetch")
    named, given = method("named", depends_on="fetch"), method("given", depends_on=fetch)
    listed = method("listed", depends_on=[fetch, "named"])
    cls = made(fetch, named, given, listed)
    found = wired_steps(cls())
    assert needs(found.plan()) == {"fetch": (), "named": ("fetch",), "given": ("fetch",), "listed": ("fetch", "named")}
    bound: Any = cls()
    assert [*found.plan("given").steps] == [*found.plan(given).steps] == [*found.plan(bound.given).steps]


def test_plan_of_a_final_step_holds_what_it_needs_and_nothing_else() -> None:
    a, b = method("a"), method("b")
    c, d = method("c", depends_on=["a"]), method("d", depends_on=["b", "a"])
    assert needs(plan(d, c, b, a, final="c")) == {"c": ("a",), "a": ()}
    assert needs(plan(d, c, b, a, final="d")) == {"d": ("b", "a"), "b": (), "a": ()}
    assert needs(plan(d, c, b, a, final="a")) == {"a": ()}


def test_step_with_a_second_name_in_the_class_is_one_step() -> None:
    fetch = method("fetch")
    assert needs(plan(fetch, method("parse", depends_on=fetch), again=fetch)) == {"fetch": (), "parse": ("fetch",)}


def test_plan_of_a_class_is_made_once() -> None:
    cls = made(method("a", depends_on=[]))
    registry.resolve()
    assert wired_steps(cls()).plan() is wired_steps(cls()).plan()
    assert wired_steps(cls()).plan("a") is wired_steps(cls()).plan("a")


def test_override_stands_in_its_bases_place_also_where_the_base_is_named() -> None:
    fetch = method("fetch")
    base = type("Base", (), {"fetch": fetch, "parse": method("parse", depends_on=fetch)})
    override = method("fetch", depends_on="early")
    early = method("early")
    assert needs(plan(override, early, bases=(base,))) == {"fetch": ("early",), "parse": ("fetch",), "early": ()}


def test_override_that_is_no_step_takes_the_step_away() -> None:
    base = type("Base", (), {"fetch": method("fetch", depends_on=[]), "parse": method("parse", depends_on=[])})
    assert [*plan(bases=(base,), fetch=None).steps] == ["parse"]


def test_class_made_again_with_slots_has_its_plan() -> None:
    @dataclass(slots=True)
    @flow_type
    class Slotted:
        n: int

        @step
        async def fetch(self) -> int:
            return self.n

        @step(depends_on=fetch)
        async def parse(self) -> int:
            return 1

        @flow
        async def run(self) -> None: ...

    assert [*wired_steps(Slotted(1)).plan().steps] == ["fetch", "parse"]


def test_values_of_a_step_come_from_inputs_and_defaults_in_the_order_of_its_parameters() -> None:
    async def sums(self: Any, a: int, /, b: int = 2, *, c: int, d: int = 4) -> int:
        return a

    fetch = method("fetch")
    found = plan(fetch, method("sums", sums, inputs={"c": fetch, "a": "fetch"}))
    assert [*found.steps["sums"].values({"fetch": 7}).items()] == [("a", 7), ("b", 2), ("c", 7), ("d", 4)]


def test_plan_of_a_long_chain_is_no_deep_recursion() -> None:
    steps = [method("s0"), *(method(f"s{n}", depends_on=f"s{n - 1}") for n in range(1, 3000))]
    assert len(plan(*steps, final="s2999").steps) == 3000


# --- refusals


def test_cycle_is_named_in_full() -> None:
    tail = [method("tail", depends_on="b"), method("free", depends_on=[])]
    cycle = [method("a", depends_on=["free", "b"]), method("b", depends_on="c"), method("c", depends_on="a")]
    assert "steps need each other: a -> b -> c -> a;" in refusal(*tail, *cycle)


def test_step_that_depends_on_itself_is_refused_at_its_place() -> None:
    assert f"step a at {__file__}:" in refusal(method("a", depends_on="a"))
    assert "depends on itself" in refusal(method("a", of_x, inputs={"x": "a"}))


@pytest.mark.parametrize("wired", [{"depends_on": ["fetsh"]}, {"inputs": {"x": "fetsh"}}], ids=str)
def test_unknown_step_is_refused_with_its_place_and_a_guess(wired: dict[str, Any]) -> None:
    said = refusal(method("fetch"), method("parse", of_x, **wired))
    assert said.startswith(f"step parse at {__file__}:")
    assert "no step 'fetsh'; did you mean fetch?" in said


def test_unknown_step_that_is_like_no_other_is_refused_with_all_there_are() -> None:
    assert "no step 'x'; it has fetch, parse" in refusal(method("fetch"), method("parse", depends_on="x"))


def test_step_of_another_class_is_refused() -> None:
    other = method("other")
    made(other)
    with registry.isolated():
        assert "step other of" in refusal(method("a", depends_on=other))


def test_step_function_in_the_class_that_is_no_method_is_no_step_of_the_dag() -> None:
    async def plain() -> None: ...

    helper: Any = step(plain)
    assert "no step 'plain'" in refusal(method("a", depends_on="plain"), helper=helper)
    assert "step plain of" in refusal(method("a", depends_on=helper), helper=helper)


def test_step_that_an_override_took_away_is_refused() -> None:
    fetch = method("fetch")
    base = type("Base", (), {"fetch": fetch, "parse": method("parse", depends_on=fetch)})
    assert "is no method of" in refusal(bases=(base,), fetch=None)


def test_input_for_no_parameter_is_refused_with_a_guess() -> None:
    said = refusal(method("a"), method("b", of_x, inputs={"x": "a", "xx": "a"}))
    assert "has no parameter 'xx'; did you mean x?" in said
    assert "has no parameter 'y'; it has none" in refusal(method("a"), method("b", inputs={"y": "a"}))


@pytest.mark.parametrize("named", [True, False])
def test_parameter_without_default_and_input_is_refused(named: bool) -> None:
    steps = [method("a", of_x), method("b", depends_on="a")] if named else [method("a", of_x, depends_on=[])]
    assert "gets nothing for 'x'" in refusal(*steps)


def test_two_steps_with_one_name_are_refused_with_both_places() -> None:
    said = refusal(method("a", depends_on=[]), again=method("a", of_x))
    assert "2 steps called a" in said
    assert said.count(f"{__file__}:") == 2


def test_wired_function_that_is_no_method_is_refused() -> None:
    step(depends_on=[])(no_op)
    with pytest.raises(DefinitionError, match="is no method; steps of a DAG are methods"):
        registry.resolve()


@pytest.mark.parametrize(
    ("wired", "message"),
    [
        (
            {"depends_on": {"b"}},
            r"step a: depends_on= takes steps and names of steps, not {'b'}; several go into a list",
        ),
        ({"depends_on": [no_op]}, r"not <function no_op .*; put @step on it"),
        ({"inputs": {"x": None}}, r"step a: inputs= takes steps and names of steps, not None"),
        ({"inputs": ["x"]}, r"step a: inputs= takes a dict from parameters to steps, not \['x'\]"),
    ],
    ids=["a set", "a function", "none", "a list"],
)
def test_what_is_no_step_is_refused_at_once(wired: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        method("a", **wired)


def test_final_that_is_no_step_of_the_dag_is_refused() -> None:
    fetch, out = method("fetch", depends_on=[]), method("out", of_x)
    for final, message in [("fetsh", "final=: .* did you mean fetch"), (out, "step out takes no part"), (3, "not 3")]:
        with pytest.raises(DefinitionError, match=f"run_dag: .*{message}"):
            plan(fetch, out, final=final)


def test_class_without_wired_steps_has_no_plan() -> None:
    with pytest.raises(DefinitionError, match="run_dag: no step of flow Sums has depends_on= or inputs="):
        plan(method("fetch"))


@pytest.mark.parametrize("thing", [3, None, object(), Plan([])])
def test_object_of_no_flow_type_is_refused(thing: object) -> None:
    with pytest.raises(DefinitionError, match=r"run_dag takes the object of a @flow_type class"):
        wired_steps(thing)


def test_flow_value_of_a_class_is_refused() -> None:
    value = flow_definition(made(method("a", depends_on=[]))).value()
    with pytest.raises(DefinitionError, match=r"as in run_dag\(self\)"):
        wired_steps(value)
