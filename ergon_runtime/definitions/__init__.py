"""What users write: flows and steps, declared by decorators, and the registry that knows them."""

from __future__ import annotations

from ergon_runtime.definitions.binding import NO_DEFAULT as NO_DEFAULT
from ergon_runtime.definitions.binding import Parameter as Parameter
from ergon_runtime.definitions.calls import flow_definition as flow_definition
from ergon_runtime.definitions.calls import flow_value as flow_value
from ergon_runtime.definitions.calls import wired_steps as wired_steps
from ergon_runtime.definitions.decorators import flow as flow
from ergon_runtime.definitions.decorators import flow_type as flow_type
from ergon_runtime.definitions.decorators import step as step
from ergon_runtime.definitions.flows import FlowDefinition as FlowDefinition
from ergon_runtime.definitions.flows import FlowValue as FlowValue
from ergon_runtime.definitions.flows import HasRun as HasRun
from ergon_runtime.definitions.flows import current_flow as current_flow
from ergon_runtime.definitions.plan import Plan as Plan
from ergon_runtime.definitions.plan import PlannedStep as PlannedStep
from ergon_runtime.definitions.registry import Registry as Registry
from ergon_runtime.definitions.registry import registry as registry
from ergon_runtime.definitions.steps import StepCall as StepCall
from ergon_runtime.definitions.steps import StepDefinition as StepDefinition
from ergon_runtime.definitions.steps import StepFunction as StepFunction
from ergon_runtime.definitions.steps import unreadable as unreadable
from ergon_runtime.definitions.wiring import StepRef as StepRef
