"""WHY in words: one line that says what a flow waits for, or what stopped it. Data in it still has to pass `safe`."""

from __future__ import annotations

from typing import assert_never

from ergon_cli.text import duration
from ergon_runtime.view import ErrorInfo, Why, iso

CHAIN = 3
"""Of children that wait for each other, so many between the first and the last are not named, but counted."""


def why_line(why: Why, now: int) -> str:
    """Why a flow is not over, in one line. `now` is the store's time."""
    match why.kind:
        case "signal":
            return f"waits for signal {why.name}{_since(why, now)}{_limit(why, now)}{_aside(why)}{_also(why)}"
        case "timer":
            return f"waits until {_at(why.due, now)}{_also(why)}"
        case "child":
            return f"waits for child {why.child}{_since(why, now)}{_limit(why, now)}{_cause(why, now)}{_also(why)}"
        case "retry":
            tried = f" after try {why.attempt}" if why.attempt else ""
            said = f" ({error_line(why.error)})" if why.error else ""
            return f"tries {why.key or 'the flow'} again {_in(why.due, now)}{tried}{said}{_also(why)}"
        case "queued":
            return f"waits for a free worker{_since(why, now)}{_full(why)}"
        case "no_worker":
            return f"waits for a worker{_since(why, now)}: no live worker serves {_flow(why)}"
        case "running":
            return f"runs {_what(why)}on {why.worker}{_runs(why, now)}{_also(why)}"
        case "lease_expired":
            after = f"no live worker serves {_flow(why)}" if why.fix else "another worker takes over"
            return f"worker {why.worker} was lost{_since(why, now)}: {after}"
        case "diverged" | "crash_loop" | "unreadable" | "spinning" | "stuck" | "conflict" | "too_long" | "paused":
            return f"is blocked ({why.kind}): {why.message}{_sides(why)}"
        case _:
            assert_never(why.kind)


def _cause(why: Why, now: int) -> str:
    """Why the child that is waited for has not ended; of a long chain of children the last alone."""
    if why.cause is None:
        return ""
    last, between = why.cause, 0
    while last.kind == "child" and last.cause is not None and last.cause.kind == "child":
        last, between = last.cause, between + 1
    if between < CHAIN:
        return f", which {why_line(why.cause, now)}"
    return f", which leads over {between} more to child {last.child}{_cause(last, now)}"


def error_line(error: ErrorInfo) -> str:
    """An error in one line."""
    first = error.message.strip().splitlines()[:1]
    return f"{error.type}: {first[0]}" if first else error.type


def _what(why: Why) -> str:
    if why.key is not None:
        return f"{why.key} "
    return "flow code " if why.open == 0 else ""


def _runs(why: Why, now: int) -> str:
    took = f", {duration(now - why.since)}" if why.since is not None else ""
    tried = f", try {why.attempt}" if (why.attempt or 1) > 1 else ""
    left = f", lease {duration(why.lease_until - now)} left" if why.lease_until is not None else ""
    return took + tried + left


def _full(why: Why) -> str:
    """How full the workers are that serve it."""
    if why.busy is None:
        return ""
    serve = "1 worker serves" if why.workers == 1 else f"{why.workers} workers serve"
    all_ = "it is" if why.workers == 1 else "all"
    return f": {serve} {_flow(why)}, {all_} full ({why.busy} of {why.capacity})"


def _since(why: Why, now: int) -> str:
    return f" for {duration(now - why.since)}" if why.since is not None else ""


def _limit(why: Why, now: int) -> str:
    return f", at most until {_at(why.until, now)}" if why.until is not None else ""


def _at(due: int | None, now: int) -> str:
    return "something happens" if due is None else f"{iso(due)} ({_in(due, now)})"


def _in(due: int | None, now: int) -> str:
    return "now" if due is None or due <= now else f"in {duration(due - now)}"


def _aside(why: Why) -> str:
    count = len(why.aside)
    if not count:
        return ""
    return f"; {count} message{'s' if count > 1 else ''} did not fit its type"


def _also(why: Why) -> str:
    more = max(len(why.also), (why.open or 0) - 1)
    return f"; and {more} more" if more else ""


def _flow(why: Why) -> str:
    return f"{why.type} version {why.version}" if why.version else f"{why.type}"


def _sides(why: Why) -> str:
    sides = f"; recorded {why.recorded}, the code asks for {', '.join(why.current)}" if why.recorded else ""
    return sides + (f", at {why.where}" if why.where else "")
