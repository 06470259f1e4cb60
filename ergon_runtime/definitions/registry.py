"""The registry: every flow and step that has been defined in this process, by name."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Generator
from contextlib import contextmanager

from ergon_runtime.codec import allow_module
from ergon_runtime.definitions.flows import FlowDefinition
from ergon_runtime.definitions.steps import StepDefinition
from ergon_runtime.errors import DefinitionError


class Registry:
    """Flow types by name and version, in the order of definition. One made again at its place replaces itself."""

    def __init__(self) -> None:
        self._flows: dict[tuple[str, str | None], FlowDefinition] = {}
        self._steps: dict[str, StepDefinition] = {}
        self._resolved = True

    def add_flow(self, definition: FlowDefinition) -> None:
        """Raises DefinitionError if another place defines this name and version."""
        key = definition.name, definition.version
        known = self._flows.pop(key, None)
        if known is not None and known.source != definition.source:
            self._flows[key] = known
            raise DefinitionError(
                f"{_called(*key)} is defined twice, at {known.source} and at {definition.source}; "
                "give one of them another name= or version="
            )
        self._flows[key] = definition
        self._resolved = False

    def add_step(self, definition: StepDefinition) -> None:
        self._steps[definition.source] = definition
        self._resolved = False

    def flows(self) -> list[FlowDefinition]:
        """All flow types, in the order of definition."""
        return list(self._flows.values())

    def get(self, name: str, version: str | None) -> FlowDefinition | None:
        """The flow type of exactly this name and version."""
        return self._flows.get((name, version))

    def find(self, name: str, version: str | None = None) -> FlowDefinition:
        """A flow type by name: of this version, or the last one defined. Raises DefinitionError with what there is."""
        found = [definition for definition in self._flows.values() if definition.name == name]
        if version is not None:
            fits = [definition for definition in found if definition.version == version]
            if found and not fits:
                have = ", ".join(definition.version or "one without version" for definition in found)
                raise DefinitionError(f"flow {name} has no version {version!r}; it has {have}")
            found = fits
        if found:
            return found[-1]
        names = sorted({definition.name for definition in self._flows.values()})
        close = difflib.get_close_matches(name, names, n=1)
        guess = f"; did you mean {close[0]}?" if close else f"; defined are {', '.join(names) or 'none'}"
        raise DefinitionError(f"no flow {name!r}{guess}")

    def resolve(self) -> None:
        """Loading has ended: resolve all hints, and allow the modules' classes to be stored. Raises DefinitionError.

        It is cheap when nothing was defined since the last time.
        """
        if self._resolved:
            return
        definitions: list[FlowDefinition | StepDefinition] = [*self._flows.values(), *self._steps.values()]
        for module in {definition.module: None for definition in definitions}:
            if module in sys.modules:
                allow_module(sys.modules[module])
        for definition in definitions:
            definition.resolve()
        self._resolved = True

    @contextmanager
    def isolated(self) -> Generator[Registry]:
        """Empty for the time of a `with` block, as before it afterwards: for tests that define flows in functions."""
        kept = self._flows, self._steps
        self._flows, self._steps, self._resolved = {}, {}, True
        try:
            yield self
        finally:
            (self._flows, self._steps), self._resolved = kept, False


registry = Registry()
"""The one that the decorators fill."""


def _called(name: str, version: str | None) -> str:
    return f"flow {name}" + (f" version {version}" if version else "")
