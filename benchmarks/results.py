"""One measured figure, and its form: a line of JSON, `{"work", "name", "value", "unit", ...settings}`.

Every program of the benchmarks prints such lines on stdout, and nothing else there. A setting is whatever was in force
and matters to the figure; it is read back, not assumed. This file imports only the standard library, and nothing of
ours: programs use it in environments where Ergon is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Setting = str | int | float
_OWN = ("work", "name", "value", "unit")


@dataclass(frozen=True, slots=True)
class Result:
    """A figure. `work` is the work's name (T1, T2...), `name` who did it or what of it was measured."""

    work: str
    name: str
    value: float
    unit: str
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])

    def line(self) -> str:
        """It as one line of JSON, without the line's end."""
        own = {"work": self.work, "name": self.name, "value": self.value, "unit": self.unit}
        return json.dumps({**own, **self.settings})


def emit(work: str, name: str, value: float, unit: str, **settings: Setting) -> None:
    """Print a figure."""
    print(Result(work, name, value, unit, settings).line(), flush=True)


def read(line: str) -> Result:
    """A figure from its line. Raises ValueError if it is none."""
    try:
        said = json.loads(line)
        work, name, value, unit = (said[key] for key in _OWN)
        settings = {key: value for key, value in said.items() if key not in _OWN}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a figure: {line[:200]}") from error
    return Result(str(work), str(name), float(value), str(unit), settings)


def read_all(lines: Iterable[str]) -> list[Result]:
    """The figures of a program's output, blank lines aside. Raises ValueError."""
    return [read(line) for line in lines if line.strip()]
