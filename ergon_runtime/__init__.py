"""Ergon: durable execution for plain asyncio code. The names in `__all__` are the public interface."""

from __future__ import annotations

# How flows are run, and looked at.
from ergon_runtime.client import Executor, FlowHandle, Scheduler
from ergon_runtime.core.entries import Outcome
from ergon_runtime.core.flows import FlowQuery, FlowRow, Status

# What users write.
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import FlowDefinition, FlowValue, flow, flow_type, registry, step

# What can go wrong.
from ergon_runtime.errors import (
    CodecError,
    ConfigError,
    Conflict,
    DefinitionError,
    ErgonError,
    FlowCancelled,
    FlowError,
    FlowFailed,
    FlowNotFound,
    LeaseLost,
    NonRetryableError,
    OutcomeUnknown,
    RetryableError,
    SchemaMismatch,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
)
from ergon_runtime.logs import ReplayFilter

# What flow code and step bodies call.
from ergon_runtime.primitives import (
    ChildHandle,
    StepInfo,
    as_completed,
    continue_as_new,
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
from ergon_runtime.stores import Store, StoreIdentity, open_store
from ergon_runtime.worker import RunningWorker, Worker

__version__ = "0.1.0"

__all__ = [
    "ChildHandle",
    "CodecError",
    "ConfigError",
    "Conflict",
    "DefinitionError",
    "ErgonError",
    "Executor",
    "FlowCancelled",
    "FlowDefinition",
    "FlowError",
    "FlowFailed",
    "FlowHandle",
    "FlowNotFound",
    "FlowQuery",
    "FlowRow",
    "FlowValue",
    "LeaseLost",
    "NonRetryableError",
    "Outcome",
    "OutcomeUnknown",
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
    "StoreUnavailable",
    "Worker",
    "as_completed",
    "continue_as_new",
    "flow",
    "flow_type",
    "invoke",
    "now",
    "open_store",
    "patched",
    "random",
    "registry",
    "sleep",
    "sleep_until",
    "step",
    "step_info",
    "uuid4",
    "wait_signal",
]
