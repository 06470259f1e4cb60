"""Histories that once failed, with what was wrong. Each has to go well from now on. `shrink` says what to enter."""

from __future__ import annotations

from tests.simulation.options import Options, options_of

REGRESSIONS: dict[str, Options] = {
    "a spinning flow was cancelled": options_of(3100024),
    "a flow gave a child up in the turn in which it spins": Options(213, chaos=0, depth=2),
    "a flow was blocked amid a commit that ended steps, and kept their heartbeats": options_of(70018403),
    "a fork was half made of a child that was then pruned": options_of(70004629),
    "a fork that was cancelled half made is over, though its code is not": options_of(70025104),
    "a part of a fork's journal came after the fork was cancelled and pruned": options_of(70025559),
    "a late copy of a commit came after its flow was pruned": options_of(3000042, "sqlite"),
}
"""By what was wrong."""
