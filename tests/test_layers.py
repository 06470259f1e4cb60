"""The shape of the code, read from its syntax trees: layers, hidden imports, core's purity, sizes, broad excepts.

Each rule is a function from a source to its violations, so that the rules themselves are tested below. To add a module,
give it a place in LAYERS; to add an exception to a rule, name the file in that rule's list with the reason.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = (
    ("ergon_runtime.errors", "ergon_runtime.lazy"),
    ("ergon_runtime.core",),
    ("ergon_runtime.limits",),
    ("ergon_runtime.logs",),
    ("ergon_runtime.codec",),
    ("ergon_runtime.definitions",),
    ("ergon_runtime.primitives",),
    ("ergon_runtime.dag",),
    ("ergon_runtime.stores",),
    ("ergon_runtime.journal",),
    (
        "ergon_runtime.engine",
        "ergon_runtime.residents",
        "ergon_runtime.turns",
        "ergon_runtime.waking",
        "ergon_runtime.lease",
        "ergon_runtime.timeouts",
        "ergon_runtime.steps",
        "ergon_runtime.runner",
        "ergon_runtime.fingerprint",
        "ergon_runtime.worker",
    ),
    ("ergon_runtime.operators",),
    ("ergon_runtime.mail",),
    ("ergon_runtime.client",),
    ("ergon_runtime.histories",),
    ("ergon_runtime.audit",),
    ("ergon_runtime.replay",),
    ("ergon_runtime.patches",),
    ("ergon_runtime.view",),
    ("ergon_runtime.config",),
    ("ergon_runtime",),
    ("ergon_cli",),
)
"""From the top down: a module imports its own layer and those above it. The package itself gathers the public names."""

NARROW = {
    "ergon_runtime.core": ("ergon_runtime.errors", "ergon_runtime.core"),
    "ergon_runtime.stores": ("ergon_runtime.errors", "ergon_runtime.core", "ergon_runtime.stores"),
    "ergon_runtime.audit": (
        "ergon_runtime.errors",
        "ergon_runtime.core",
        "ergon_runtime.stores",
        "ergon_runtime.audit",
    ),
    "ergon_runtime.config": ("ergon_runtime.errors", "ergon_runtime.limits"),
}
"""Layers that may import less than all above them: stores know no flows."""

PUBLIC = (
    "ergon_runtime",
    "ergon_runtime.audit",
    "ergon_runtime.client",
    "ergon_runtime.config",
    "ergon_runtime.codec",
    "ergon_runtime.definitions",
    "ergon_runtime.errors",
    "ergon_runtime.histories",
    "ergon_runtime.limits",
    "ergon_runtime.mail",
    "ergon_runtime.operators",
    "ergon_runtime.patches",
    "ergon_runtime.replay",
    "ergon_runtime.stores",
    "ergon_runtime.view",
)
"""What the command line may import of the runtime."""
CLI_LIBRARIES = {"typer", "rich", "uvloop"}

REDIS = "ergon_runtime/stores/redis/"
LAZY = {
    "ergon_cli/app.py": "`ergon --version` loads nothing",
    "ergon_cli/render.py": "rich, only when there is something to draw",
    "ergon_cli/live.py": "rich, only for a person who watches",
    "ergon_cli/logs.py": "flow machines, only where flows are run",
    "ergon_cli/commands/worker.py": "uvloop, only if it is asked for",
    "ergon_runtime/mail.py": "claims and commits, only for a cancel",
    "ergon_runtime/stores/url.py": "each kind of store, only when one is opened; redis above all",
}
"""Files whose functions may import."""

BROAD = {
    "ergon_runtime/core/loop.py": "flow code that is made to leave memory may raise anything",
    "ergon_runtime/core/retry.py": "an error is asked whether it may be tried again, and may raise anything",
    "ergon_runtime/codec/errors.py": "the error of a user may have methods that raise anything",
    "ergon_runtime/codec/values.py": "so may validators, serializers and comparisons",
    "ergon_runtime/stores/sqlite/transaction.py": "what stops a group of writes is handed to each of its callers",
    "ergon_runtime/turns.py": "what the other thread raised is handed to the one who waits",
    "ergon_runtime/steps.py": "whatever a step raises is the step's error",
    "ergon_runtime/worker.py": "one flow's trouble must not end the worker",
    "ergon_cli/app.py": "the last resort: no traceback of ours reaches a user",
    "ergon_cli/loading.py": "importing a user's module may raise anything",
}
"""Files that may catch Exception or BaseException and go on. Anybody may catch them to clean up and raise again."""

CORE_BANS = {
    "time",
    "os",
    "socket",
    "threading",
    "logging",
    "sqlite3",
    "secrets",
    "uuid",
    "subprocess",
    "io",
}
PURE_PARTS = {"random": ("random.Random",), "pathlib": ("pathlib.PurePath", "pathlib.PurePosixPath")}
CLOCK_READS = {"now", "utcnow", "today"}
STDLIB_CLOCKS = {"datetime", "date"}
MAX_FILE = 400
MAX_FUNCTION = 50

Broad = {"Exception", "BaseException"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> list[str]:
    """The Python files below the folders, as paths from the root."""
    return sorted(
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "__pycache__" not in path.parts
    )


SHIPPED = sources("ergon_runtime", "ergon_cli")


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported(node: ast.AST, module: str, package: bool) -> list[str]:
    """The modules that an import statement names; `from a import b` names a.b, which is a module or a name in one."""
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(module=source, names=names, level=level):
            base = module.split(".")
            base = base[: len(base) - level + package] if level else []
            stem = ".".join([*base, *([source] if source else [])])
            return [f"{stem}.{name.name}" for name in names]
        case _:
            return []


def layer_of(module: str) -> str | None:
    """The layer's own name a module belongs to: the longest that fits; the bare package is itself alone."""
    names = [name for layer in LAYERS for name in layer]
    if module.startswith("ergon_cli"):
        return "ergon_cli"
    fits = [name for name in names if name != "ergon_runtime" and (module + ".").startswith(name + ".")]
    return max(fits, key=len) if fits else ("ergon_runtime" if module.count(".") == 0 else None)


def depth(layer: str) -> int:
    return next(index for index, layer_names in enumerate(LAYERS) if layer in layer_names)


def imports_of(path: str, text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        for name in imported(node, module_name(path), path.endswith("__init__.py")):
            yield getattr(node, "lineno", 0), name


def upward_violations(path: str, text: str) -> list[str]:
    """Imports of ours that point down the list of layers, or past a narrow layer's own list."""
    mine = layer_of(module_name(path))
    if mine is None:
        return [f"{path}: not in LAYERS"]
    found: list[str] = []
    for line, name in imports_of(path, text):
        if name.partition(".")[0] not in ("ergon_runtime", "ergon_cli"):
            continue
        # `from ergon_runtime import x` gives the package's name x, unless x is a layer itself.
        theirs = layer_of(name) or "ergon_runtime"
        if mine == "ergon_cli":
            allowed = theirs == "ergon_cli" or theirs in PUBLIC
        elif mine in NARROW:
            allowed = theirs in NARROW[mine]
        else:
            allowed = depth(theirs) <= depth(mine)
        if not allowed:
            found.append(f"{path}:{line} {mine} imports {name}")
    return found


def foreign_cli_imports(path: str, text: str) -> list[str]:
    allowed = CLI_LIBRARIES | set(sys.stdlib_module_names) | {"ergon_cli", "ergon_runtime"}
    return [f"{path}:{line} {name}" for line, name in imports_of(path, text) if name.partition(".")[0] not in allowed]


def hidden_imports(path: str, text: str) -> list[str]:
    if path in LAZY:
        return []
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, Function)]
    return [
        f"{path}:{inner.lineno} import inside {node.name}"
        for node in functions
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]


def redis_leaks(path: str, text: str) -> list[str]:
    """Imports of redis, or of what imports it, by modules that are loaded whether it is needed or not."""
    if path.startswith(REDIS) and path != f"{REDIS}address.py":
        return []
    return [
        f"{path}:{line} imports {name}"
        for line, name in imports_of(path, text)
        if name.partition(".")[0] in ("redis", "hiredis")
        or (path not in LAZY and name.startswith("ergon_runtime.stores.redis.") and ".address" not in name)
    ]


def impurities(path: str, text: str) -> list[str]:
    """Reads of clocks, of the system and of unseeded randomness in the core."""
    found: list[str] = []
    for line, name in imports_of(path, text):
        top = name.partition(".")[0]
        if top in CORE_BANS or (top in PURE_PARTS and name not in (top, *PURE_PARTS[top])):
            found.append(f"{path}:{line} imports {name}")
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Attribute(value=ast.Name(id="random"), attr=attr) if attr != "Random":
                found.append(f"{path}:{node.lineno} random.{attr}")
            case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=attr):
                if owner in STDLIB_CLOCKS and attr in CLOCK_READS:
                    found.append(f"{path}:{node.lineno} {owner}.{attr}")
            case _:
                pass
    return found


def broad_excepts(path: str, text: str) -> list[str]:
    if path in BROAD:
        return []
    handlers = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ExceptHandler)]
    return [f"{path}:{node.lineno} broad except" for node in handlers if is_broad(node) and not raises_again(node)]


def is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in Broad for node in ast.walk(handler.type))


def raises_again(handler: ast.ExceptHandler) -> bool:
    match handler.body[-1]:
        case ast.Raise(exc=None):
            return True
        case _:
            return False


def oversizes(path: str, text: str) -> list[str]:
    found = [f"{path}: {lines} lines"] if (lines := text.count("\n")) > MAX_FILE else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Function) and (size := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION:
            found.append(f"{path}:{node.lineno} {node.name}: {size} lines")
    return found


Rule = Callable[[str, str], list[str]]
CORE = [path for path in SHIPPED if path.startswith("ergon_runtime/core/")]
CLI = [path for path in SHIPPED if path.startswith("ergon_cli/")]
RULES: list[tuple[Rule, list[str]]] = [
    (upward_violations, SHIPPED),
    (foreign_cli_imports, CLI),
    (hidden_imports, SHIPPED),
    (redis_leaks, SHIPPED),
    (impurities, CORE),
    (broad_excepts, SHIPPED),
    (oversizes, [*SHIPPED, *sources("sample_flows", "tests", "benchmarks")]),
]


@pytest.mark.parametrize(("rule", "paths"), RULES, ids=lambda value: getattr(value, "__name__", ""))
def test_sources_under_each_rule_have_no_violation(rule: Rule, paths: list[str]) -> None:
    assert paths
    assert [found for path in paths for found in rule(path, (ROOT / path).read_text())] == []


BREACHES: list[tuple[Rule, str, str]] = [
    (upward_violations, "ergon_runtime/errors.py", "from ergon_runtime.core.flows import Status"),
    (upward_violations, "ergon_runtime/core/flows.py", "from ergon_runtime import codec"),
    (upward_violations, "ergon_runtime/core/flows.py", "from .. import codec"),
    (upward_violations, "ergon_runtime/core/flows.py", "import ergon_runtime.stores.contract"),
    (upward_violations, "ergon_runtime/stores/memory.py", "from ergon_runtime.definitions import registry"),
    (upward_violations, "ergon_runtime/codec.py", "from ergon_runtime import flow"),
    (upward_violations, "ergon_runtime/stray.py", ""),
    (upward_violations, "ergon_runtime/view.py", "import ergon_cli"),
    (upward_violations, "ergon_cli/app.py", "from ergon_runtime.core.machine import FlowMachine"),
    (foreign_cli_imports, "ergon_cli/app.py", "import click"),
    (hidden_imports, "ergon_cli/exits.py", "def f():\n    import os"),
    (redis_leaks, "ergon_runtime/worker.py", "from redis.asyncio import Redis"),
    (redis_leaks, "ergon_runtime/stores/redis/address.py", "import redis"),
    (redis_leaks, "ergon_runtime/stores/__init__.py", "from ergon_runtime.stores.redis.store import RedisStore"),
    (impurities, "ergon_runtime/core/loop.py", "import time"),
    (impurities, "ergon_runtime/core/loop.py", "import random\nrandom.random()"),
    (impurities, "ergon_runtime/core/loop.py", "from random import choice"),
    (impurities, "ergon_runtime/core/loop.py", "import datetime\ndatetime.datetime.now()"),
    (broad_excepts, "ergon_runtime/lease.py", "try: pass\nexcept (OSError, Exception): pass"),
    (broad_excepts, "ergon_runtime/lease.py", "try: pass\nexcept: pass"),
    (broad_excepts, "ergon_runtime/lease.py", "try: pass\nexcept BaseException as e: raise OSError from e"),
    (oversizes, "ergon_runtime/worker.py", "x = 1\n" * (MAX_FILE + 1)),
    (oversizes, "ergon_runtime/worker.py", "def f():\n" + "    x = 1\n" * MAX_FUNCTION),
]


@pytest.mark.parametrize(("rule", "path", "text"), BREACHES)
def test_rule_given_a_breach_names_it(rule: Rule, path: str, text: str) -> None:
    assert rule(path, text)


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (upward_violations, "ergon_runtime/stores/memory.py", "from ergon_runtime.stores.contract import Store"),
        (upward_violations, "ergon_runtime/stores/sqlite/store.py", "from ergon_runtime.core import flows"),
        (upward_violations, "ergon_runtime/__init__.py", "from .worker import Worker"),
        (upward_violations, "ergon_cli/commands/worker.py", "from ergon_runtime import Worker"),
        (impurities, "ergon_runtime/core/loop.py", "import asyncio, contextvars\nfrom random import Random"),
        (impurities, "ergon_runtime/core/stack.py", "from pathlib import PurePath"),
        (redis_leaks, "ergon_runtime/stores/url.py", "from ergon_runtime.stores.redis.address import parse_redis"),
        (redis_leaks, "ergon_runtime/stores/redis/link.py", "from redis.asyncio import Redis"),
        (broad_excepts, "ergon_runtime/lease.py", "try: pass\nexcept BaseException:\n    x = 1\n    raise"),
    ],
)
def test_rule_given_what_is_allowed_stays_silent(rule: Rule, path: str, text: str) -> None:
    assert rule(path, text) == []


def test_named_exceptions_still_exist() -> None:
    assert [path for path in BROAD if not (ROOT / path).exists()] == []
