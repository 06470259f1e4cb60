"""What the kill loop schedules: a job is a flow, the signals it waits for, and the result that it must have."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from ergon_runtime import FlowValue
from tests.kills import flows


@dataclass(frozen=True, slots=True)
class Job:
    """A flow to be run. `signals` are values to be sent, to its name if `name` is given, else to the flow."""

    id: str
    type: str
    args: dict[str, Any]
    expected: Any
    signals: tuple[int, ...] = ()
    name: str | None = None

    @property
    def flow(self) -> FlowValue[Any]:
        return getattr(flows, self.type)(**self.args)

    @property
    def input(self) -> str:
        return json.dumps(self.args)

    def fits(self, result: Any) -> bool:
        """Whether a result is right; at-most-once steps may have None for theirs."""
        if self.type != "kill_once":
            return bool(result == self.expected)
        return len(result) == len(self.expected) and all(
            got in (None, want) for got, want in zip(result, self.expected, strict=True)
        )


def job(number: int, draw: random.Random) -> Job:
    """Job `number` of a run."""
    kind = draw.choices(tuple(_MAKERS), [weight for weight, _ in _MAKERS.values()])[0]
    return _MAKERS[kind][1](f"{kind}-{number}", draw)


def _steps(flow_id: str, draw: random.Random) -> Job:
    count, ms = draw.randint(1, 8), draw.choice((0, 1, 5, 30))
    return Job(flow_id, "kill_steps", {"count": count, "ms": ms}, sum(range(count)))


def _wide(flow_id: str, draw: random.Random) -> Job:
    count = draw.randint(2, 12)
    return Job(flow_id, "kill_wide", {"count": count, "ms": draw.choice((0, 2, 10))}, sum(range(count)))


def _shaky(flow_id: str, draw: random.Random) -> Job:
    count = draw.randint(1, 3)
    return Job(flow_id, "kill_shaky", {"count": count, "fails": draw.randint(1, 3)}, sum(range(count)))


def _once(flow_id: str, draw: random.Random) -> Job:
    count = draw.randint(1, 4)
    return Job(flow_id, "kill_once", {"count": count, "ms": draw.choice((0, 5, 20))}, [*range(count)])


def _signals(flow_id: str, draw: random.Random) -> Job:
    values = tuple(draw.randrange(1000) for _ in range(draw.randint(1, 3)))
    return Job(flow_id, "kill_signals", {"count": len(values)}, [*values], values)


def _named(flow_id: str, draw: random.Random) -> Job:
    value = draw.randrange(1000)
    return Job(flow_id, "kill_named", {"name": f"for-{flow_id}"}, value, (value,), f"for-{flow_id}")


def _timers(flow_id: str, draw: random.Random) -> Job:
    count = draw.randint(1, 3)
    return Job(flow_id, "kill_timers", {"count": count, "ms": draw.choice((5, 50, 200))}, (0, 0, 101, 103)[count])


def _tree(flow_id: str, draw: random.Random) -> Job:
    depth, width = draw.choice(((1, 3), (1, 6), (2, 2)))
    return Job(flow_id, "kill_tree", {"depth": depth, "width": width}, sum(width**n for n in range(depth + 1)))


def _rounds(flow_id: str, draw: random.Random) -> Job:
    left = draw.randint(1, 4)
    return Job(flow_id, "kill_rounds", {"left": left, "total": 0}, sum(range(left + 1)))


def _again(flow_id: str, draw: random.Random) -> Job:
    fails = draw.randint(1, 3)
    return Job(flow_id, "kill_again", {"fails": fails}, 7 + fails)


_MAKERS = {
    "steps": (6, _steps),
    "wide": (2, _wide),
    "shaky": (2, _shaky),
    "once": (3, _once),
    "signals": (2, _signals),
    "named": (1, _named),
    "timers": (2, _timers),
    "tree": (2, _tree),
    "rounds": (2, _rounds),
    "again": (2, _again),
}
"""How often each kind comes, and who makes it."""
