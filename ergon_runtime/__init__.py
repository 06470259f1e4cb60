"""Ergon: durable execution for plain asyncio code. The names in `__all__` are the public interface."""

from __future__ import annotations

# What users write.
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import FlowValue, flow, flow_type, step

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

__version__ = "0.1.0"

__all__ = [
    "ChildHandle",
    "CodecError",
    "ConfigError",
    "Conflict",
    "DefinitionError",
    "ErgonError",
    "FlowCancelled",
    "FlowError",
    "FlowFailed",
    "FlowNotFound",
    "FlowValue",
    "LeaseLost",
    "NonRetryableError",
    "OutcomeUnknown",
    "ReplayFilter",
    "RetryPolicy",
    "RetryableError",
    "SchemaMismatch",
    "StepInfo",
    "StoreCorrupt",
    "StoreError",
    "StoreUnavailable",
    "as_completed",
    "continue_as_new",
    "flow",
    "flow_type",
    "invoke",
    "now",
    "patched",
    "random",
    "sleep",
    "sleep_until",
    "step",
    "step_info",
    "uuid4",
    "wait_signal",
]
