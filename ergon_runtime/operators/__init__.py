"""What people do to flows besides sending them mail: cancel those without a life, retry, adopt, fork.

Each is planned first, which changes nothing and can be shown, and then done: the flow is claimed by its id and changed
by one commit, if it still stands as planned for.
"""

from ergon_runtime.operators.cancels import end_flow
from ergon_runtime.operators.children import live_children
from ergon_runtime.operators.forks import ForkPlan, fork_flow, plan_fork
from ergon_runtime.operators.recorded import Rerun
from ergon_runtime.operators.retries import RetryPlan, plan_retry, retry_flow

__all__ = [
    "ForkPlan",
    "Rerun",
    "RetryPlan",
    "end_flow",
    "fork_flow",
    "live_children",
    "plan_fork",
    "plan_retry",
    "retry_flow",
]
