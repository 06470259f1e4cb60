"""Loading modules: names and files, what is never imported twice, and how a failure is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

from ergon_cli.arguments import parse_arguments, signature
from ergon_cli.exits import CommandError, code_of, error_text
from ergon_cli.loading import find_flow, load_flows
from ergon_runtime.config import Flags, load_config
from ergon_runtime.definitions import registry as definitions
from ergon_runtime.errors import DefinitionError


@dataclass(frozen=True)
class FakeFlow:
    """A flow as loading sees it."""

    name: str
    version: str | None = None


@dataclass
class FakeRegistry:
    """Modules under test register by `import flow_registry; flow_registry.add("Name")`."""

    names: list[str] = field(default_factory=list)
    resolved: int = 0

    def add(self, name: str) -> None:
        self.names.append(name)

    def flows(self) -> list[FakeFlow]:
        return [FakeFlow(name) for name in self.names]

    def resolve(self) -> None:
        self.resolved += 1


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    """A registry that the modules under test can import; afterwards they and their paths are forgotten."""
    fake, modules, paths = FakeRegistry(), dict(sys.modules), list(sys.path)
    monkeypatch.setitem(sys.modules, "flow_registry", fake)  # type: ignore[arg-type]  anything may stand for a module
    yield fake
    sys.path[:] = paths
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]


def write(root: Path, files: dict[str, str]) -> None:
    """Files by their path without .py; the text `add: A` stands for registering flow A."""
    for name, text in files.items():
        path = root / (name + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        adding = text.startswith("add: ")
        path.write_text(f"import flow_registry\nflow_registry.add({text[5:]!r})\n" if adding else dedent(text))


def load(registry: FakeRegistry, root: Path, *modules: str) -> list[str]:
    return [flow.name for flow in load_flows(load_config(root, {}, Flags(modules=modules)), registry)]


def refusal(registry: FakeRegistry, root: Path, *modules: str) -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        load(registry, root, *modules)
    text = error_text(caught.value)
    assert len(text.splitlines()) <= 6
    assert "ergon_cli" not in text
    assert "importlib" not in text
    return caught.value.code, text


def test_load_dotted_names_and_files_in_order(registry: FakeRegistry, tmp_path: Path) -> None:
    write(tmp_path, {"one": "add: One", "two": "add: Two"})
    assert load(registry, tmp_path, "two", "one.py") == ["Two", "One"]
    assert registry.resolved == 1
    assert sys.path[0] == str(tmp_path)


def test_load_file_inside_package_has_its_dotted_name(registry: FakeRegistry, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    write(tmp_path, {"far/shop/orders": "add: Order"})
    (tmp_path / "far/shop/__init__.py").touch()
    (tmp_path / "here").mkdir()
    assert load(registry, tmp_path / "here", "../far/shop/orders.py") == ["Order"]
    assert "shop.orders" in sys.modules


@pytest.mark.parametrize("modules", [("shop.orders", "shop/orders.py"), ("shop/orders.py", "shop.orders")])
@pytest.mark.parametrize("package", [True, False])
def test_load_one_file_by_two_names_imports_it_once(
    registry: FakeRegistry, tmp_path: Path, modules: tuple[str, ...], package: bool
) -> None:
    write(tmp_path, {"shop/orders": "add: Order"})
    if package:
        (tmp_path / "shop/__init__.py").touch()
    assert load(registry, tmp_path, *modules) == ["Order"]


def test_load_file_through_a_link_imports_it_once(registry: FakeRegistry, tmp_path: Path) -> None:
    write(tmp_path, {"orders": "add: Order"})
    (tmp_path / "link.py").symlink_to(tmp_path / "orders.py")
    assert load(registry, tmp_path, "orders", "link.py") == ["Order"]


def test_load_files_of_equal_name_are_both_imported(registry: FakeRegistry, tmp_path: Path) -> None:
    for folder in ("a-1", "b-2"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, {"flows": f"add: {folder}"})
    assert load(registry, tmp_path, "a-1/flows.py", "b-2/flows.py", "b-2/flows.py") == ["a-1", "b-2"]


def test_load_file_named_like_a_library_imports_the_file(registry: FakeRegistry, tmp_path: Path) -> None:
    (tmp_path / "sub-dir").mkdir()
    write(tmp_path / "sub-dir", {"json": "add: Mine"})
    assert load(registry, tmp_path, "sub-dir/json.py") == ["Mine"]


def test_load_package_without_flows_of_its_own_takes_its_modules(registry: FakeRegistry, tmp_path: Path) -> None:
    write(
        tmp_path, {"shop/__init__": "", "shop/orders": "add: Order", "shop/deep/more": "add: More", "shop/tests": "1/0"}
    )
    (tmp_path / "shop/deep/__init__.py").touch()
    assert sorted(load(registry, tmp_path, "shop")) == ["More", "Order"]


def test_load_package_with_flows_is_left_at_that(registry: FakeRegistry, tmp_path: Path) -> None:
    write(tmp_path, {"shop/__init__": "from . import orders", "shop/orders": "add: Order", "shop/other": "1/0"})
    assert load(registry, tmp_path, "shop") == ["Order"]


@pytest.mark.parametrize("name", ["flows", "flows/orders"])
def test_load_without_modules_takes_flows(registry: FakeRegistry, tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: "add: Order"})
    assert load(registry, tmp_path) == ["Order"]


def test_load_without_modules_or_flows_lists_candidates(registry: FakeRegistry, tmp_path: Path) -> None:
    write(tmp_path, {"orders": "import ergon_runtime", "other": "pass", "jobs/bills": "import ergon_runtime"})
    code, text = refusal(registry, tmp_path)
    assert code == 2
    assert "-m orders.py  -m jobs/bills.py" in text
    assert "other" not in text


def test_load_module_with_wanted_name(registry: FakeRegistry, tmp_path: Path) -> None:
    write(tmp_path, {"flows": "add: Order"})
    assert load(registry, tmp_path, "flows:Order") == ["Order"]


def test_load_module_without_wanted_name_is_exit_7(registry: FakeRegistry, tmp_path: Path) -> None:
    write(tmp_path, {"flows": "add: Order"})
    code, text = refusal(registry, tmp_path, "flows:Ordr")
    assert (code, text.splitlines()) == (7, ["error: no flow 'Ordr' in 'flows'", "  did you mean: Order"])


def test_load_missing_module_suggests_another(registry: FakeRegistry, tmp_path: Path) -> None:
    write(tmp_path, {"flows": "add: Order", "shop/__init__": "", "shop/orders": "add: Bill"})
    for wrong, right in (("flosw", "flows"), ("shop.order", "shop.orders"), ("flosw.py", "flows.py")):
        code, text = refusal(registry, tmp_path, wrong)
        assert code == 7
        assert f"did you mean: {right}" in text


def test_load_import_error_inside_shows_the_users_frames(registry: FakeRegistry, tmp_path: Path) -> None:
    write(tmp_path, {"flows": "import helper\n", "helper": "import helpers_missing\n"})
    code, text = refusal(registry, tmp_path, "flows")
    assert code == 7
    assert text.splitlines() == [
        "error: importing 'flows' failed",
        f'  File "{tmp_path}/flows.py", line 1, in <module>',
        "    import helper",
        f'  File "{tmp_path}/helper.py", line 1, in <module>',
        "    import helpers_missing",
        "ModuleNotFoundError: No module named 'helpers_missing'",
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def (:\n", "SyntaxError"),
        ("x = 1/0\n", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)\n", "SystemExit"),
        ("import missing.deep\n", "No module named 'missing'"),
        ("def f():\n    raise ValueError('a\\nb\\nc')\nf()\n", "ValueError: a"),
    ],
)
@pytest.mark.parametrize("target", ["flows", "flows.py", "pkg.bad"])
def test_load_broken_module_is_exit_7(
    registry: FakeRegistry, tmp_path: Path, source: str, said: str, target: str
) -> None:
    write(tmp_path, {"flows": source, "pkg/__init__": "", "pkg/bad": source})
    code, text = refusal(registry, tmp_path, target)
    assert code == 7
    assert f"importing '{target}' failed" in text
    assert said in text


def test_load_module_without_flows_is_exit_7(registry: FakeRegistry, tmp_path: Path) -> None:
    write(tmp_path, {"flows": "add: Order", "helper": "x = 1"})
    code, text = refusal(registry, tmp_path, "flows", "helper")
    assert code == 7
    assert "'helper' has no flows" in text


def test_load_what_a_module_prints_stays_off_stdout(
    registry: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, {"flows": "import flow_registry\nflow_registry.add('A')\nprint('hello')\n"})
    load(registry, tmp_path)
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize("target", ["..", "a b", "1x", ":Name", "a..b"])
def test_load_what_is_no_module_name_is_exit_2(registry: FakeRegistry, tmp_path: Path, target: str) -> None:
    assert refusal(registry, tmp_path, target)[0] == 2


REAL = """
from dataclasses import dataclass, field
from ergon_runtime.definitions import flow, flow_type

@dataclass
@flow_type
class OrderFlow:
    order_id: str
    tags: list[str] = field(default_factory=list)

    @flow
    async def run(self) -> None: ...
"""


@pytest.mark.usefixtures("registry")
def test_load_real_flows_gives_their_definitions(tmp_path: Path) -> None:
    write(tmp_path, {"real_flows": REAL})
    with definitions.isolated() as real:
        (order,) = load_flows(load_config(tmp_path, {}, Flags(modules=("real_flows",))), real)
        assert signature(order) == "OrderFlow(order_id: str, tags: list[str] = ...)"
        assert parse_arguments(order, ["order_id=A", 'tags=["x"]']) == {"order_id": "A", "tags": ["x"]}


@pytest.mark.usefixtures("registry")
def test_load_flow_defined_twice_is_exit_7_naming_both(tmp_path: Path) -> None:
    write(tmp_path, {"real_one": REAL, "real_two": REAL})
    with definitions.isolated() as real, pytest.raises(DefinitionError, match=r"real_one.*real_two") as caught:
        load_flows(load_config(tmp_path, {}, Flags(modules=("real_one", "real_two"))), real)
    assert code_of(caught.value) == 7


def test_find_flow_takes_the_last_version_unless_told() -> None:
    flows = [FakeFlow("A", "1"), FakeFlow("A", "2"), FakeFlow("B")]
    assert find_flow(flows, "A").version == "2"
    assert find_flow(flows, "A", "1").version == "1"


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("Ordr", None, "did you mean: Order"),
        ("Order", "9", "no version '9'"),
        ("Order", "9", "one without version"),
        ("X", None, "Order"),
    ],
)
def test_find_flow_that_is_not_there_is_exit_3(name: str, version: str | None, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        find_flow([FakeFlow("Order")], name, version)
    assert caught.value.code == 3
    assert said in error_text(caught.value)
