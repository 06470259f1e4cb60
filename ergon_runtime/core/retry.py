"""Retry policies: how often to try again, after how long, and for which errors. Pure data and arithmetic.

T7  An error that says when to try again (`retry_after`) is believed; how often and whether, the policy decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from math import inf
from numbers import Real
from typing import ClassVar

from ergon_runtime.errors import CodecError, NonRetryableError

LONGEST = 100 * 366 * 86_400
"""Seconds: no wait is longer, whatever a policy or an error says. Times stay within what stores can hold."""


def seconds(duration: float | timedelta) -> float:
    """A duration in seconds, from seconds or a timedelta."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a step or flow is tried, and how long to wait between tries.

    `max_attempts` counts the first try. After try n it waits `initial * multiplier ** (n - 1)`, at most `max_delay`,
    then spread by up to `jitter` (a fraction of it) in both directions. Durations are seconds or timedeltas.
    `retryable`, when given, narrows the errors that are tried again; `non_retryable` takes classes out.
    Raises ValueError when a number makes no sense.
    """

    max_attempts: int = 3
    initial: float | timedelta = 1.0
    multiplier: float = 2.0
    max_delay: float | timedelta = 30.0
    jitter: float = 0.0
    retryable: tuple[type[Exception], ...] | None = None
    non_retryable: tuple[type[Exception], ...] = ()

    NONE: ClassVar[RetryPolicy]
    STANDARD: ClassVar[RetryPolicy]
    AGGRESSIVE: ClassVar[RetryPolicy]

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts must be 1 or more, not {self.max_attempts}")
        for name, duration in (("initial", self.initial), ("max_delay", self.max_delay)):
            if not 0 <= seconds(duration) < inf:
                raise ValueError(f"{name} must be a finite time, and not negative: not {duration}")
        if not 1 <= self.multiplier < inf:
            raise ValueError(f"multiplier must be 1 or more, and finite: not {self.multiplier}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is a fraction from 0 to 1, not {self.jitter}")

    def allows(self, error: BaseException, attempt: int) -> bool:
        """Whether the error of try number `attempt` may be followed by another try."""
        return attempt < self.max_attempts and is_retryable(error, self)

    def wait(self, error: BaseException, attempt: int, spread: float = 0.5) -> int:
        """Milliseconds to wait after try number `attempt` failed with this error: what its `retry_after` says, else the
        policy's delay."""
        asked = retry_after(error)
        return self.delay(attempt, spread) if asked is None else round(1000 * min(asked, LONGEST))

    def delay(self, attempt: int, spread: float = 0.5) -> int:
        """Milliseconds to wait after try number `attempt`; `spread` from 0 to 1 is where in the jitter's range it
        falls."""
        longest = seconds(self.max_delay)
        try:
            wait = min(longest, seconds(self.initial) * self.multiplier ** (attempt - 1))
        except OverflowError:
            wait = longest
        return round(1000 * min(LONGEST, wait * (1 + self.jitter * (2 * spread - 1))))


RetryPolicy.NONE = RetryPolicy(max_attempts=1)
RetryPolicy.STANDARD = RetryPolicy(max_attempts=3, initial=1.0, multiplier=2.0, max_delay=30.0)
RetryPolicy.AGGRESSIVE = RetryPolicy(max_attempts=10, initial=0.1, multiplier=1.5, max_delay=10.0)


def is_retryable(error: BaseException, policy: RetryPolicy) -> bool:
    """What the error's class, the error itself and the policy's classes say, whatever the number of tries."""
    if not isinstance(error, Exception) or isinstance(error, (NonRetryableError, CodecError, *policy.non_retryable)):
        return False
    try:
        verdict = getattr(error, "is_retryable", None)
        if callable(verdict) and not verdict():
            return False
    except Exception:  # noqa: BLE001  the user's own code: an error that cannot say whether is not tried again
        return False
    return policy.retryable is None or isinstance(error, policy.retryable)


def retry_after(error: BaseException) -> float | None:
    """Seconds after which the error wants the next try: its attribute `retry_after`, a number or timedelta that is not
    negative. None if it has none that makes sense."""
    try:
        asked: object = getattr(error, "retry_after", None)
        if isinstance(asked, bool) or not isinstance(asked, Real | Decimal | timedelta):
            return None
        found = asked.total_seconds() if isinstance(asked, timedelta) else float(asked)
    except Exception:  # noqa: BLE001  the user's own code: what cannot say when says nothing
        return None
    return found if 0 <= found < inf else None
