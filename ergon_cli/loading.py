"""Loading the user's modules, so that their flows are registered.

A module is a dotted name, a file or a folder, each perhaps with `:Name`, which must then be a flow in it. The folder of
the configuration is first on `sys.path`. A file inside a package, or below that folder, is imported under its dotted
name, so that no class ever exists twice. What modules print goes to stderr. A module that cannot be imported, or has no
flows, ends the command with code 7.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeVar

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.import_errors import did_you_mean, import_failed, module_missing, target_is_missing
from ergon_runtime.config import Config, shown
from ergon_runtime.errors import DefinitionError

NOT_LOADED = ("__main__", "conftest", "tests", "test")
"""Modules of a package that nobody means when naming the package."""


class FlowLike(Protocol):
    """What loading needs to know of a flow's definition."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str | None: ...


F = TypeVar("F", bound=FlowLike)
F_co = TypeVar("F_co", bound=FlowLike, covariant=True)


class Registry(Protocol[F_co]):
    """Where definitions are gathered while modules load."""

    def flows(self) -> Sequence[F_co]: ...
    def resolve(self) -> None: ...


def load_flows(config: Config, registry: Registry[F]) -> list[F]:
    """Import the configured modules and answer every flow that got registered, in the order of definition.

    Raises CommandError: USAGE when there is nothing to load, IMPORT when a module cannot be imported or has no flows.
    Raises DefinitionError when the definitions do not fit together.
    """
    modules = config.modules or (default_module(config.root),)
    sys.path[:] = [str(config.root), *(entry for entry in sys.path if entry not in ("", str(config.root)))]
    importlib.invalidate_caches()
    with contextlib.redirect_stdout(sys.stderr):
        for module in modules:
            _load(module, config.root, registry)
        registry.resolve()
    return list(registry.flows())


def find_flow(flows: Sequence[F], name: str, version: str | None = None) -> F:
    """The flow of this name; the last version defined unless one is named. Raises CommandError: NOT_FOUND."""
    named = [flow for flow in flows if flow.name == name]
    fitting = [flow for flow in named if version is None or flow.version == version]
    if fitting:
        return fitting[-1]
    if named:
        versions = ", ".join(flow.version or "one without version" for flow in named)
        raise CommandError(ExitCode.NOT_FOUND, f"flow {name} has no version {version!r}", f"there is: {versions}")
    names = list(dict.fromkeys(flow.name for flow in flows))
    hint = did_you_mean(name, names) or f"there is: {', '.join(names)}"
    raise CommandError(ExitCode.NOT_FOUND, f"unknown flow {name!r}", hint)


def default_module(root: Path) -> str:
    """`flows` when the folder has a flows.py or a folder flows with Python files. Raises CommandError: USAGE."""
    folder = root / "flows"
    if (root / "flows.py").is_file() or (folder.is_dir() and any(folder.rglob("*.py"))):
        return "flows"
    found = list(candidates(root))
    hint = "name one: " + "  ".join(f"-m {shown(path, root)}" for path in found) if found else "name one: -m MODULE"
    raise CommandError(ExitCode.USAGE, f"no module given, and no flows.py or flows/ in {root}", hint)


def candidates(root: Path, most: int = 5) -> Iterator[Path]:
    """Files at most two folders deep that speak of ergon_runtime."""
    depths = (root.glob("*.py"), root.glob("*/*.py"), root.glob("*/*/*.py"))
    left = most
    for path in (path for depth in depths for path in sorted(depth)):
        if left and not path.relative_to(root).parts[0].startswith(".") and _mentions_ergon(path):
            left -= 1
            yield path


def _mentions_ergon(path: Path) -> bool:
    try:
        return b"ergon_runtime" in path.read_bytes()
    except OSError:
        return False


def _load(target: str, root: Path, registry: Registry[F]) -> None:
    place, _, flow = target.partition(":")
    before, known = list(registry.flows()), set(sys.modules)
    module = _import(place, target, root)
    if hasattr(module, "__path__") and not _added(registry, before):
        for name in submodules(module):
            _import(name, target, root)
    label = _label(place, root)
    if not _added(registry, before) and module.__name__ not in known:
        hint = "define one with @flow, or name another module"
        raise CommandError(ExitCode.IMPORT, f"module '{label}' has no flows", hint)
    if flow and not _has_flow(module, flow, registry):
        names = list(dict.fromkeys(each.name for each in registry.flows()))
        raise CommandError(ExitCode.IMPORT, f"no flow '{flow}' in '{label}'", did_you_mean(flow, names))


def _added(registry: Registry[F], before: Sequence[F]) -> bool:
    # Not the number: a definition that is made again replaces itself.
    return any(flow not in before for flow in registry.flows())


def _has_flow(module: ModuleType, flow: str, registry: Registry[F]) -> bool:
    return hasattr(module, flow) or any(each.name == flow for each in registry.flows())


def _label(place: str, root: Path) -> str:
    return shown(Path(place), root) if os.path.isabs(place) else place


def _import(place: str, target: str, root: Path) -> ModuleType:
    """Import one module by dotted name, or by absolute path."""
    label = _label(place, root)
    try:
        if os.path.isabs(place):
            return _import_path(Path(place), root)
        if not all(part.isidentifier() for part in place.split(".")):
            raise CommandError(ExitCode.USAGE, f"not a module: {target!r}", "write pkg.mod, path/file.py or mod:Name")
        return importlib.import_module(place)
    except (CommandError, DefinitionError):
        raise
    except (Exception, SystemExit) as error:  # a module may raise anything when imported
        if isinstance(error, ModuleNotFoundError) and target_is_missing(error, place):
            raise module_missing(place, root) from None
        raise import_failed(label, error) from error


def _import_path(path: Path, root: Path) -> ModuleType:
    path = path.resolve()
    if not path.exists():
        raise module_missing(str(path), root)
    if loaded := _loaded_from(path):
        return loaded
    folder, name = dotted(path, root.resolve())
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    spec = importlib.util.find_spec(name)
    if path.is_dir() or (spec is not None and spec.origin and Path(spec.origin).resolve() == path):
        return importlib.import_module(name)
    return _import_alone(path)


def _import_alone(path: Path) -> ModuleType:
    """Import a file whose natural name belongs to another module already, or is not a name at all."""
    name = f"_ergon_file_{path.stem}"
    while name in sys.modules:
        name += "_"
    spec = importlib.util.spec_from_file_location(
        name, path, loader=importlib.machinery.SourceFileLoader(name, str(path))
    )
    if spec is None or spec.loader is None:
        raise CommandError(ExitCode.USAGE, f"not a Python file: {path}", "write pkg.mod, path/file.py or mod:Name")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:  # whatever ended the import, half a module is not to be found by the next one
        del sys.modules[name]
        raise
    return module


def _loaded_from(path: Path) -> ModuleType | None:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(path.name) and Path(file).resolve() == path:
            return module
    return None


def dotted(path: Path, root: Path) -> tuple[Path, str]:
    """The folder to import a file or folder from, and its dotted name there.

    That is the folder above the outermost package around it; else `root`, when the file is below; else its own folder.
    """
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    if folder.is_relative_to(root) and all(part.isidentifier() for part in folder.relative_to(root).parts):
        folder = root
    parts = [*path.relative_to(folder).parts[:-1], path.stem if path.is_file() else path.name]
    return folder, ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def submodules(package: ModuleType) -> Iterator[str]:
    """The names of a package's modules, at any depth, but for tests and programs."""
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        last = found.name.rpartition(".")[2]
        if last in NOT_LOADED or last.startswith("test_"):
            continue
        yield found.name
        if found.ispkg:
            yield from submodules(importlib.import_module(found.name))
