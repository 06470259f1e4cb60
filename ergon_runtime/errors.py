"""The exceptions that Ergon raises, in one tree.

    ErgonError
    ├─ DefinitionError       a flow or step is declared wrongly, or used where it cannot work
    ├─ ConfigError           configuration that cannot be used
    ├─ CodecError            a value that cannot be stored as it is, or stored data that cannot be read
    ├─ FlowError             how a flow that somebody waits for ended, or why it does not
    │  ├─ FlowFailed         it failed with an error whose class is not loaded here
    │  ├─ FlowCancelled      it was cancelled
    │  └─ FlowBlocked        it is blocked, and nobody here can free it
    ├─ OperatorRefused       a flow cannot be retried, adopted or forked as asked
    ├─ OutcomeUnknown        an at-most-once step was begun, and nobody knows how it ended
    ├─ NonRetryableError     raised by a step: do not try again
    ├─ RetryableError        raised by a step: try again if the policy allows it
    ├─ HistoryUnreadable     a line of a file that is no history of a flow
    └─ StoreError
       ├─ FlowNotFound       no flow has this id
       ├─ Conflict           the id belongs to a flow of another type or with other arguments
       ├─ LeaseLost          the caller no longer owns the flow; nothing was written
       ├─ StoreUnavailable   cannot be reached, locked, full or read-only; the outcome may be unknown
       │  └─ StoreMissing    there is no store yet, and none was to be created
       ├─ StoreCorrupt       the data is not a store of ours, or is damaged
       ├─ SchemaMismatch     the store was written by a newer Ergon
       ├─ StoreUnfinished    the store is a copy that has not been finished
       ├─ StoreIsBackup      the store is a backup of one that is still there
       ├─ BackupRefused      a backup cannot be written where it was to be
       ├─ StoreLocked        the store is encrypted with keys that are not at hand, or not encrypted though it should be
       ├─ PayloadUnreadable  something of a flow cannot be decrypted, so it cannot be written elsewhere
       └─ CopyRefused        stores cannot be copied as they stand

Errors carry what they know as attributes; messages name the next action. This file imports nothing of ours.
"""

from __future__ import annotations

import shlex
from datetime import timedelta


class ErgonError(Exception):
    """Base of every error that Ergon raises on purpose."""


class DefinitionError(ErgonError):
    """A flow or step is declared wrongly, or used where it cannot work."""


class ConfigError(ErgonError):
    """Configuration that cannot be used: a broken file, an unknown key, a bad value."""


class CodecError(ErgonError):
    """A value that cannot be stored unchanged, or stored data that cannot be read back."""


class FlowError(ErgonError):
    """How a flow that somebody waits for ended, when that was not a result; or why it does not end."""

    def __init__(self, message: str, *, flow_id: str) -> None:
        super().__init__(message)
        self.flow_id = flow_id


class FlowFailed(FlowError):
    """The flow failed with an error whose class is not loaded in this process."""

    def __init__(self, message: str, *, flow_id: str, error_type: str = "Exception") -> None:
        super().__init__(message, flow_id=flow_id)
        self.error_type = error_type


class FlowCancelled(FlowError):
    """The flow was cancelled."""


class FlowBlocked(FlowError):
    """The flow is blocked, and the one who waits for it is the one who runs it: nobody here can free it. `kind` and
    `message` are as in its WHY."""

    def __init__(self, flow_id: str, kind: str, message: str) -> None:
        said = f"flow {flow_id} is blocked ({kind}): {message}; mend the code and run it again, or see: ergon inspect"
        super().__init__(f"{said} {shlex.quote(flow_id)}", flow_id=flow_id)
        self.kind, self.message = kind, message


class OperatorRefused(ErgonError):
    """A flow cannot be retried, adopted or forked as it was asked; nothing was changed. `reason` says why not, `fix` is
    the command that helps, if one does."""

    def __init__(self, flow_id: str, reason: str, fix: str | None = None) -> None:
        super().__init__(f"{reason}; see: {fix}" if fix else reason)
        self.flow_id, self.reason, self.fix = flow_id, reason, fix


class OutcomeUnknown(ErgonError):
    """An at-most-once step was begun and its worker died: whether it took effect must be found out by other means."""


class NonRetryableError(ErgonError):
    """Raise it, or a subclass, from a step to say that trying again is pointless."""


class RetryableError(ErgonError):
    """Raise it from a step; override `is_retryable` to let the error itself decide whether to try again.

    `retry_after` (seconds or timedelta) is how long to wait for the next try, instead of the policy's delay.
    """

    retry_after: float | timedelta | None = None

    def __init__(self, *args: object, retry_after: float | timedelta | None = None) -> None:
        super().__init__(*args)
        if retry_after is not None:
            self.retry_after = retry_after

    def is_retryable(self) -> bool:
        return True


class HistoryUnreadable(ErgonError):
    """A line of a file is no history of a flow. `file`, `line` (from 1), `reason`, and `fix`, the next action."""

    def __init__(self, file: str, line: int, reason: str, fix: str) -> None:
        super().__init__(f"{file}, line {line}: {reason}; {fix}")
        self.file, self.line, self.reason, self.fix = file, line, reason, fix


class StoreError(ErgonError):
    """The store refused or could not do what was asked."""


class FlowNotFound(StoreError):
    """No flow has this id."""

    def __init__(self, flow_id: str) -> None:
        super().__init__(f"no flow {flow_id!r}")
        self.flow_id = flow_id


class Conflict(StoreError):
    """The id belongs to a flow of another type, with other arguments or with another parent."""

    def __init__(self, flow_id: str) -> None:
        super().__init__(f"flow {flow_id!r} exists already, with another type, arguments or parent; choose another id")
        self.flow_id = flow_id


class LeaseLost(StoreError):
    """The caller no longer owns the flow; nothing was written."""

    def __init__(self, flow_id: str) -> None:
        super().__init__(f"the lease on flow {flow_id!r} is lost")
        self.flow_id = flow_id


class StoreUnavailable(StoreError):
    """The store cannot be reached, is locked, full or read-only. A write may or may not have been applied."""


class StoreMissing(StoreUnavailable):
    """There is no store at this address yet, and none was to be created."""


class StoreCorrupt(StoreError):
    """What is there is not a store of ours, or it is damaged."""


class SchemaMismatch(StoreError):
    """The store was written by a newer Ergon than this one."""


class StoreUnfinished(StoreError):
    """The store is a copy of another that has not been finished: it may lack flows, so nothing may run on it."""


class StoreIsBackup(StoreError):
    """The store is a backup of another that is still there: what runs on both would be done twice."""


class BackupRefused(StoreError):
    """A backup cannot be written where it was to be: something is there already, or nothing can be."""


class StoreLocked(StoreError):
    """The store is encrypted with keys that are not at hand, or it is not encrypted though keys are configured."""


class PayloadUnreadable(StoreError):
    """Something that the store has of a flow cannot be decrypted, and so cannot be written elsewhere either. `owner` is
    the flow's id, or the channel that a signal was sent to."""

    def __init__(self, owner: str, message: str) -> None:
        super().__init__(message)
        self.owner = owner


class CopyRefused(StoreError):
    """Stores cannot be copied as they stand: one is in use, or the target has something else in it."""
