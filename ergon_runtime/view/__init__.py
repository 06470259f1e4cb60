"""The one read model behind `inspect`, `list` and their JSON: what a store tells of a flow, without the flow's code.

`view_flow` reads everything, `view_row` what a list needs; `find_flows` and `every_flow` give their rows.
`read_tree` reads a flow with all that is below it.
`EventReader` reads the raw journal, `failures` finds where an error came from.
"""

from __future__ import annotations

from ergon_runtime.view.events import UNREADABLE as UNREADABLE
from ergon_runtime.view.events import EventReader as EventReader
from ergon_runtime.view.events import EventView as EventView
from ergon_runtime.view.failures import Failure as Failure
from ergon_runtime.view.failures import chain as chain
from ergon_runtime.view.failures import failing_step as failing_step
from ergon_runtime.view.failures import failures as failures
from ergon_runtime.view.model import Aside as Aside
from ergon_runtime.view.model import ErrorInfo as ErrorInfo
from ergon_runtime.view.model import FlowView as FlowView
from ergon_runtime.view.model import StepView as StepView
from ergon_runtime.view.model import Try as Try
from ergon_runtime.view.model import Why as Why
from ergon_runtime.view.model import iso as iso
from ergon_runtime.view.read import every_flow as every_flow
from ergon_runtime.view.read import find_flows as find_flows
from ergon_runtime.view.read import view_flow as view_flow
from ergon_runtime.view.read import view_row as view_row
from ergon_runtime.view.tree import FlowTree as FlowTree
from ergon_runtime.view.tree import Siblings as Siblings
from ergon_runtime.view.tree import read_tree as read_tree
