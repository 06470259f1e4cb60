"""What people do to flows besides sending them mail: cancel those without a life, retry, adopt, fork.

Each is planned first, which changes nothing and can be shown, and then done: the flow is claimed by its id and changed
by one commit, if it still stands as planned for. A name is loaded when it is first asked for: who only looks at flows
asks for `unfinished` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ergon_runtime.lazy import homes_of, loader

if TYPE_CHECKING:
    from ergon_runtime.operators.cancels import end_flow as end_flow
    from ergon_runtime.operators.children import live_children as live_children
    from ergon_runtime.operators.forks import ForkPlan as ForkPlan
    from ergon_runtime.operators.forks import fork_flow as fork_flow
    from ergon_runtime.operators.forks import plan_fork as plan_fork
    from ergon_runtime.operators.recorded import Rerun as Rerun
    from ergon_runtime.operators.retries import RetryPlan as RetryPlan
    from ergon_runtime.operators.retries import plan_retry as plan_retry
    from ergon_runtime.operators.retries import retry_flow as retry_flow
else:
    _NAMES_IN = {
        "cancels": "end_flow",
        "children": "live_children",
        "forks": "ForkPlan fork_flow plan_fork",
        "recorded": "Rerun",
        "retries": "RetryPlan plan_retry retry_flow",
    }
    __getattr__ = loader(__name__, homes_of(_NAMES_IN))
