"""Mail to flows, by their ids or by a signal's name alone: signals as JSON text, and cancels. It knows no definitions.

P3  A cancel is mail. A flow that never started or is blocked is then claimed, and ended without its code; if whoever
    does that dies, the worker that takes the flow over finds the mail.
"""

from __future__ import annotations

import asyncio
import secrets

from ergon_runtime.core.flows import CANCEL, Message, Send, Status
from ergon_runtime.errors import DefinitionError, FlowNotFound
from ergon_runtime.stores.contract import Store


async def send_signal_text(
    store: Store, name: str, text: str, *, flow: str | None, message_id: str | None = None
) -> bool:
    """Send a signal whose payload is a JSON text; to whoever waits for it if `flow` is None. Equal `message_id`s count
    once. False if the flow does not exist or has ended. Raises DefinitionError for the name, StoreError."""
    if not name or len(name) > 200:
        raise DefinitionError("a signal's name has 1 to 200 characters")
    return await store.send(
        Send(flow, Message(f"{name} {message_id or secrets.token_hex(8)}", f"signal:{name}", text.encode()))
    )


async def cancel_flow(store: Store, flow_id: str) -> bool:
    """Cancel a flow; False if it has ended. Raises FlowNotFound, StoreError."""
    from ergon_runtime.operators import end_flow

    asked = False
    while True:
        row = await store.get(flow_id)
        if row is None:
            raise FlowNotFound(flow_id)
        if row.status.ended:
            return asked and row.status is Status.CANCELLED
        asked = asked or await store.send(Send(flow_id, Message(f"cancel {secrets.token_hex(4)}", CANCEL, b"null")))
        if not asked:
            continue
        never_ran = row.length == 0 and row.status is not Status.RUNNING
        if not never_ran and row.status is not Status.BLOCKED:
            return True
        if await end_flow(store, row):
            return True
        await asyncio.sleep(0.02)
