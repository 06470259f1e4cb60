"""Mutants of claims: who may run what, who is blamed, and what is remembered of messages."""

from __future__ import annotations

import dataclasses
from typing import Any

from ergon_runtime.core import asking
from ergon_runtime.core.flows import ClaimRequest, Claims, Commit
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.errors import CodecError
from ergon_runtime.stores.memory import state
from ergon_runtime.stores.memory.state import MemoryState
from tests.simulation.mutant import mutant


@mutant("P1 a claim looks at the first lanes only", (MemoryState, "claim"))
def first_lanes(outer: Any) -> Any:
    def claim(self: Any, request: ClaimRequest) -> Claims:
        found: Claims = outer(self, dataclasses.replace(request, lanes=request.lanes[:6]))
        return found

    return claim


@mutant("P4 code tries what it has blocked itself", (state, "_fits"))
def same_code(outer: Any) -> Any:
    return lambda row, request: outer(row, dataclasses.replace(request, fingerprint=None))


@mutant("P4 nobody tries what was blocked", (state, "_fits"))
def no_other_code(outer: Any) -> Any:
    return lambda row, request: row.fingerprint is None and outer(row, request)


@mutant("P5 suspects run beside others", (state, "SUSPECT"))
def no_suspects(outer: Any) -> Any:
    return 1_000_000


@mutant("P5 what is recorded clears no deaths", (MemoryState, "_apply"))
def deaths_kept(outer: Any) -> Any:
    def apply(self: Any, row: Any, commit: Commit, *rest: Any) -> None:
        recoveries, deaths = row.recoveries, row.deaths
        outer(self, row, commit, *rest)
        row.recoveries, row.deaths = max(row.recoveries, recoveries), max(row.deaths, deaths)

    return apply


@mutant("T4 a result that cannot be stored is tried again", (RetryPolicy, "allows"))
def codec_retried(outer: Any) -> Any:
    def allows(self: Any, error: BaseException, attempt: int) -> bool:
        if isinstance(error, CodecError):
            error = RuntimeError(*error.args)
        return bool(outer(self, error, attempt))

    return allows


@mutant("K4 one of several who give up cancels the child", (asking.ChildRequest, "_waiters"))
def first_to_leave(outer: Any) -> Any:
    return property(lambda self: 1, lambda self, value: None)
