"""What is measured: the works, the programs that do each, and the targets.

The programs of a work run in turn, round after round. `+ scheduling` after a name is the figure that holds the
scheduling too: DBOS and Restate have no other, so they are compared with ours of that name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.programs.common import FLOW_STEPS

Place = Literal["folder", "everysec", "always"]
"""What a program gets: a new folder, or an empty Redis server with this appendfsync."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One program in a work: `module` of benchmarks.programs, in an environment, does `count`."""

    name: str
    module: str
    count: int
    environment: str = "ergon"
    place: Place = "folder"
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """A work, in words, and who does it. `alone` names a module of benchmarks instead, which prints figures of its own
    rounds; `long`: it is run only if it is asked for by name."""

    title: str
    entries: tuple[Entry, ...] = ()
    alone: str | None = None
    long: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """`factor` times the median of one figure, by the median of another if there is one, must be `at least` the bound,
    or at most. `work` is whose target it is."""

    work: str
    what: str
    figure: tuple[str, str]
    over: tuple[str, str] | None
    bound: float
    at_least: bool = True
    factor: float = 1.0


GROUP, ROWS = "bare sqlite3, group commit", "bare aiosqlite, a commit a row"
SQLITE, EVERYSEC, ALWAYS = "ergon sqlite full", "ergon redis everysec", "ergon redis always"
SQLITE_NORMAL = "ergon sqlite normal"
PEER, PEER_FULL, PEER_REDIS = "pyergon sqlite normal", "pyergon sqlite full", "pyergon redis everysec"
PASS, TYPER = "python -c pass", "typer, two commands --help"
KINDS = ("sqlite", "redis")
SCHEDULING = " + scheduling"


def bare_lua(appendfsync: str) -> str:
    return f"bare lua, {appendfsync}"


def ours(count: int) -> tuple[Entry, ...]:
    """Ergon on its stores."""
    return (
        Entry(SQLITE, "ergon", count),
        Entry(EVERYSEC, "ergon", count, place="everysec"),
        Entry(ALWAYS, "ergon", count, place="always"),
    )


def beside_peers(
    count: int, *, pyergon: tuple[int, int, int], dbos: tuple[int, int], restate: int
) -> tuple[Entry, ...]:
    """Ergon and its peers, each with a count of its own: PyErgon on SQLite, with FULL, and on Redis; DBOS as it is, and
    with WAL and FULL."""
    return (
        *ours(count),
        Entry(SQLITE_NORMAL, "ergon", count, variant="normal"),
        Entry(PEER, "pyergon", pyergon[0], "pyergon"),
        Entry(PEER_FULL, "pyergon", pyergon[1], "pyergon", variant="full"),
        Entry(PEER_REDIS, "pyergon", pyergon[2], "pyergon", "everysec"),
        Entry("dbos sqlite default", "dbos", dbos[0], "dbos", variant="default"),
        Entry("dbos sqlite wal/full", "dbos", dbos[1], "dbos", variant="wal"),
        Entry("restate", "restate", restate, "restate"),
    )


WORKS: dict[str, Work] = {
    "T1": Work(
        "flows of 5 steps, 1,000 at a time, one worker process",
        (
            *beside_peers(4000, pyergon=(1500, 500, 600), dbos=(200, 300), restate=1500),
            Entry(GROUP, "limits", 4000, variant="group"),
            Entry(bare_lua("everysec"), "limits", 4000, place="everysec", variant="lua"),
            Entry(bare_lua("always"), "limits", 4000, place="always", variant="lua"),
        ),
    ),
    "T2": Work(
        "one flow of 1,000 steps",
        (
            *beside_peers(1000, pyergon=(1000, 1000, 1000), dbos=(300, 500), restate=1000),
            Entry(ROWS, "limits", 1000, variant="rows"),
        ),
    ),
    "T3": Work("1 parent and 1,000 children of 5 steps", ours(1000)),
    "T4": Work("1,000 parallel steps in one flow", ours(1000)),
    "T5": Work(
        "latency between processes, with an idle worker",
        (
            Entry(SQLITE, "ergon_apart", 200),
            Entry(EVERYSEC, "ergon_apart", 200, place="everysec"),
        ),
    ),
    "T6": Work("replay of 100 to 100,000 entries", (Entry("ergon", "ergon_replay", 100_000),)),
    "T7": Work(
        "flows of 5 steps, two worker processes against one",
        (
            Entry(SQLITE, "ergon_apart", 4000),
            Entry(EVERYSEC, "ergon_apart", 4000, place="everysec"),
        ),
    ),
    "T8": Work("waiting and finished flows by the million", alone="sleepers", long=True),
    "T9": Work("an idle worker", alone="idle"),
    "T10": Work("how soon commands start", alone="startup"),
}


def at_least(work: str, name: str, over: str, bound: float) -> Target:
    return Target(work, f"{name} / {over}", (work, name), (work, over), bound)


def cost(work: str, name: str, each: float) -> Target:
    """What one child, or step, of a work costs, against that of `each` steps in T1."""
    what = f"{name}: cost of one / {each:g} steps of T1"
    return Target(work, what, ("T1", name), (work, name), 1.5, at_least=False, factor=1 / each)


def at_most(work: str, name: str, bound: float, over: str | None = None) -> Target:
    what = name if over is None else f"{name} / {over}"
    return Target(work, what, (work, name), None if over is None else (work, over), bound, at_least=False)


def replay_of(entries: int) -> tuple[str, str]:
    return "T6", f"ergon, replay of {entries}"


def latency(name: str, middle: float, late: float) -> tuple[Target, ...]:
    """The targets of both waits, in milliseconds."""
    return tuple(
        at_most("T5", f"{name}, {what} {part}", bound)
        for what in ("schedule to start", "signal to resume")
        for part, bound in (("p50", middle), ("p99", late))
    )


TARGETS: tuple[Target, ...] = (
    at_least("T1", SQLITE, PEER, 10),
    at_least("T1", SQLITE + SCHEDULING, "dbos sqlite wal/full" + SCHEDULING, 30),
    at_least("T1", SQLITE + SCHEDULING, "restate" + SCHEDULING, 8),
    at_least("T1", SQLITE, GROUP, 0.35),
    at_least("T1", EVERYSEC, PEER_REDIS, 10),
    at_least("T1", ALWAYS, PEER_REDIS, 10),
    at_least("T1", EVERYSEC, bare_lua("everysec"), 0.25),
    at_least("T1", ALWAYS, bare_lua("always"), 0.25),
    *(
        at_least("T2", SQLITE + SCHEDULING, peer + SCHEDULING, 2.5)
        for peer in (PEER, PEER_REDIS, "dbos sqlite wal/full", "restate")
    ),
    at_least("T2", SQLITE, ROWS, 0.6),
    *(cost("T3", name, FLOW_STEPS) for name in (SQLITE, EVERYSEC, ALWAYS)),
    *(cost("T4", name, 1) for name in (SQLITE, EVERYSEC, ALWAYS)),
    *latency(SQLITE, 10, 50),
    *latency(EVERYSEC, 5, 25),
    Target("T6", "entries/s beyond decoding, of 100,000", replay_of(100_000), None, 50_000),
    Target("T6", "time of 100,000 / of 10,000", replay_of(10_000), replay_of(100_000), 12, at_least=False, factor=10),
    at_least("T7", f"{EVERYSEC}, 2 workers", f"{EVERYSEC}, 1 worker", 1.5),
    at_least("T7", f"{SQLITE}, 2 workers", f"{SQLITE}, 1 worker", 1.0),
    *(at_most("T8", f"{kind}, {what}, full / empty", 1.5) for kind in KINDS for what in ("schedule", "claim")),
    *(at_most("T8", f"{kind}, memory of the worker", 200) for kind in KINDS),
    *(at_most("T9", f"{kind}, CPU of an idle worker", 1.5) for kind in KINDS),
    *(at_most("T9", f"{kind}, writes for a sign of life", 1.3) for kind in KINDS),
    at_most("T10", "ergon --version", 4, PASS),
    *(at_most("T10", f"ergon {command}", 1.3, TYPER) for command in ("--help", "list", "signal name 1")),
)
