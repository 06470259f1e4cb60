"""What one history is to be: its seed, its store, how much trouble there is, and which kinds of trouble are left out.

A seed alone gives a whole set of options; shrinking and regression tests change some of them. The dice of what is left
out are rolled all the same, so that the rest of a history stays as alike as it can.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields, replace
from random import Random

TROUBLE = (
    "kills",
    "pauses",
    "refused calls",
    "lost replies",
    "late duplicates",
    "slow calls",
    "evictions",
    "drains",
    "clock jumps",
    "skew",
    "cancels",
    "retries",
    "forks",
    "unreadable signals",
    "resent signals",
    "collections",
)
"""Kinds of trouble that can be left out."""


@dataclass(frozen=True, slots=True)
class Options:
    """Of one history."""

    seed: int
    store: str = "memory"
    chaos: float = 1.0
    """How often trouble comes; 0 is never."""
    codes: int = 1
    """How many versions of the code there are, one after the other."""
    poison: int = 0
    """How many workers a poisonous flow takes down."""
    jumps: bool = False
    """Whether the clock of the host is set."""
    prunes: bool = False
    """Whether people delete what has ended."""
    pipelined: bool = False
    """Whether the calls of a process go out together, and share their fate."""
    partial: bool = False
    """Whether workers serve some lanes only, until the calm."""
    flows: int = 3
    """The most flows that people schedule."""
    depth: int = 3
    """The deepest program."""
    calm: float = 0.0
    """When the storm ends, in seconds; 0: as the dice say."""
    without: tuple[str, ...] = ()
    """The kinds of trouble that are left out."""

    def said(self) -> str:
        """The command that repeats it."""
        usual, words = options_of(self.seed), [f"python -m tests.simulation.run 1 --first {self.seed}"]
        for field in fields(self):
            value = getattr(self, field.name)
            if value != getattr(usual, field.name):
                words.append(f"--{field.name} {_text(value)}")
        return " ".join(words)


def options_of(seed: int, store: str = "memory") -> Options:
    """The options that a seed stands for."""
    dice = Random(seed)
    poison = dice.choice([1, 2, 4, 7, 12, 12]) if seed % 7 == 3 else 0
    chaos = dice.choice([0, 1, 1, 3] if not poison else [0, 0, 1])
    return Options(
        seed,
        store,
        chaos,
        codes=dice.choice([2, 2, 3, 4]) if seed % 5 == 0 else 1,
        poison=poison,
        jumps=seed % 11 == 5,
        prunes=seed % 13 == 6,
        pipelined=seed % 3 == 1,
        partial=seed % 4 == 2,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that change options, each by its field's name."""
    for name, kind in (("chaos", float), ("codes", int), ("poison", int), ("flows", int), ("depth", int)):
        parser.add_argument(f"--{name}", type=kind, help="instead of what the seed says")
    parser.add_argument("--calm", type=float, help="when the storm ends, in seconds")
    for name in SWITCHES:
        parser.add_argument(f"--{name}", choices=["yes", "no"])
    parser.add_argument("--without", help=f"kinds of trouble to leave out, between commas: {', '.join(TROUBLE)}")


def changed(options: Options, said: argparse.Namespace) -> Options:
    """Options with what the command line says."""
    words = {name: value for name, value in vars(said).items() if value is not None and name in _CHANGES}
    for name in SWITCHES & words.keys():
        words[name] = words[name] == "yes"
    if "without" in words:
        words["without"] = tuple(words["without"].split(","))
    return replace(options, **words)


SWITCHES = {field.name for field in fields(Options) if field.type == "bool"}
_CHANGES = {field.name for field in fields(Options)} - {"seed", "store"}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(",".join(map(str, value))) if isinstance(value, tuple) else str(value)
