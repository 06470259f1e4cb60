"""Ergon: durable execution for plain asyncio code. The names in `__all__` are the public interface.

A name is loaded when it is first asked for, so that a program pays for what it uses: a command that lists flows loads
neither the worker nor pydantic. To add one, name it three times below; a test compares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ergon_runtime.lazy import homes_of, loader

if TYPE_CHECKING:
    # How flows are run, and looked at.
    from ergon_runtime.client import Executor, FlowHandle, Scheduler
    from ergon_runtime.core.entries import Outcome
    from ergon_runtime.core.flows import FlowQuery, FlowRow, Status

    # What users write.
    from ergon_runtime.core.retry import RetryPolicy
    from ergon_runtime.dag import run_dag
    from ergon_runtime.definitions import FlowDefinition, FlowValue, flow, flow_type, registry, step

    # What can go wrong.
    from ergon_runtime.errors import (
        BackupRefused,
        CodecError,
        ConfigError,
        Conflict,
        CopyRefused,
        DefinitionError,
        ErgonError,
        FlowBlocked,
        FlowCancelled,
        FlowError,
        FlowFailed,
        FlowNotFound,
        HistoryUnreadable,
        LeaseLost,
        NonRetryableError,
        OperatorRefused,
        OutcomeUnknown,
        PayloadUnreadable,
        RetryableError,
        SchemaMismatch,
        StoreCorrupt,
        StoreError,
        StoreIsBackup,
        StoreLocked,
        StoreMissing,
        StoreUnavailable,
        StoreUnfinished,
    )
    from ergon_runtime.limits import limit_payloads
    from ergon_runtime.logs import ReplayFilter

    # What flow code and step bodies call.
    from ergon_runtime.primitives import (
        ChildHandle,
        StepInfo,
        as_completed,
        continue_as_new,
        heartbeat,
        invoke,
        now,
        patched,
        random,
        sleep,
        sleep_until,
        step_info,
        uuid4,
        wait_signal,
    )
    from ergon_runtime.stores import Keys, Store, StoreIdentity, open_store, read_keys
    from ergon_runtime.worker import RunningWorker, Worker

__version__ = "0.1.0"

__all__ = [
    "BackupRefused",
    "ChildHandle",
    "CodecError",
    "ConfigError",
    "Conflict",
    "CopyRefused",
    "DefinitionError",
    "ErgonError",
    "Executor",
    "FlowBlocked",
    "FlowCancelled",
    "FlowDefinition",
    "FlowError",
    "FlowFailed",
    "FlowHandle",
    "FlowNotFound",
    "FlowQuery",
    "FlowRow",
    "FlowValue",
    "HistoryUnreadable",
    "Keys",
    "LeaseLost",
    "NonRetryableError",
    "OperatorRefused",
    "Outcome",
    "OutcomeUnknown",
    "PayloadUnreadable",
    "ReplayFilter",
    "RetryPolicy",
    "RetryableError",
    "RunningWorker",
    "Scheduler",
    "SchemaMismatch",
    "Status",
    "StepInfo",
    "Store",
    "StoreCorrupt",
    "StoreError",
    "StoreIdentity",
    "StoreIsBackup",
    "StoreLocked",
    "StoreMissing",
    "StoreUnavailable",
    "StoreUnfinished",
    "Worker",
    "as_completed",
    "continue_as_new",
    "flow",
    "flow_type",
    "heartbeat",
    "invoke",
    "limit_payloads",
    "now",
    "open_store",
    "patched",
    "random",
    "read_keys",
    "registry",
    "run_dag",
    "sleep",
    "sleep_until",
    "step",
    "step_info",
    "uuid4",
    "wait_signal",
]

_NAMES_IN = {
    "client": "Executor FlowHandle Scheduler",
    "core.entries": "Outcome",
    "core.flows": "FlowQuery FlowRow Status",
    "core.retry": "RetryPolicy",
    "dag": "run_dag",
    "definitions": "FlowDefinition FlowValue flow flow_type registry step",
    "errors": """BackupRefused CodecError ConfigError Conflict CopyRefused DefinitionError ErgonError FlowBlocked
        FlowCancelled FlowError FlowFailed FlowNotFound HistoryUnreadable LeaseLost NonRetryableError OperatorRefused
        OutcomeUnknown PayloadUnreadable RetryableError SchemaMismatch StoreCorrupt StoreError StoreIsBackup StoreLocked
        StoreMissing StoreUnavailable StoreUnfinished""",
    "limits": "limit_payloads",
    "logs": "ReplayFilter",
    "primitives": """ChildHandle StepInfo as_completed continue_as_new heartbeat invoke now patched random sleep
        sleep_until step_info uuid4 wait_signal""",
    "stores": "Keys Store StoreIdentity open_store read_keys",
    "worker": "RunningWorker Worker",
}
_HOMES = homes_of(_NAMES_IN)

if not TYPE_CHECKING:
    __getattr__ = loader(__name__, _HOMES)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
