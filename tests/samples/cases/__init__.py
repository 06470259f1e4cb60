"""Cases: flows of the samples with what must come of them, whoever runs them and whatever dies meanwhile.

A case stands in the module of its sample's name and is listed in its `CASES`. The tests beside run every case in
process, by `ergon worker`, on every store, and with a crash before and after each commit.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """One flow of a sample and its end.

    `module` is the sample's, as `sample_flows.hello`. `flow` makes the flow (a FlowValue, or an instance of a flow
    type). `signals` are sent to it, in this order, as soon as it is scheduled. It ends with `result` (as JSON, or a
    check of the JSON), or fails with an error whose class is called `error`. `steps`, if given, says how many steps of
    each name end, over the flow and its children, in all their lives. `command` is what `ergon schedule` is told to get
    the same flow: the name of its type, then options.

    A case comes to the same end when a worker dies on the way and the flow stands still for a tenth of a second.
    """

    name: str
    module: str
    flow: Callable[[], Any]
    command: tuple[str, ...]
    result: Any | Callable[[Any], bool] = None
    error: str | None = None
    signals: tuple[tuple[str, Any], ...] = ()
    steps: dict[str, int] | None = None


def all_cases() -> Iterator[Case]:
    """The cases of every sample."""
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        yield from importlib.import_module(f"{__name__}.{found.name}").CASES
