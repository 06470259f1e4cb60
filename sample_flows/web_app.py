"""Flows inside a web application: FastAPI takes orders over HTTP, and a worker in the same process works on them.

Shows embedding: the application's lifespan opens the store and runs a worker, requests schedule, signal and look up
flows. The order's id is the flow's, so a request that is sent twice makes one order. Kill the server in the middle of
an order and start it again: the order goes on.

    pip install fastapi uvicorn
    uvicorn --app-dir sample_flows web_app:app

    curl -X POST localhost:8000/orders --json '{"id": "A-17", "amount": "99.50"}'
    curl localhost:8000/orders/A-17
    curl -X POST localhost:8000/orders/A-17/approve --json '{"by": "Ada"}'
    curl -X POST 'localhost:8000/orders/A-17/wait?timeout=10'

The last one answers {"id":"A-17","status":"completed","receipt":{"order_id":"A-17",...},"error":null}. The store is the
file ergon.db (or what ERGON_STORE names), so more such servers may share the orders, and the commands know them too:

    ergon worker -m sample_flows/web_app.py
    ergon schedule web_order -m sample_flows/web_app.py -a 'order={"id": "B-4", "amount": "5"}' --id B-4
    ergon list
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from ergon_runtime import (
    Conflict,
    DefinitionError,
    FlowCancelled,
    FlowHandle,
    FlowNotFound,
    NonRetryableError,
    Scheduler,
    Status,
    Worker,
    flow,
    open_store,
    step,
    step_info,
    wait_signal,
)


class WebOrder(BaseModel):
    id: str
    amount: Decimal


class OrderApproval(BaseModel):
    by: str


class WebReceipt(BaseModel):
    order_id: str
    payment: str
    parcel: str
    approved_by: str


class OrderView(BaseModel):
    id: str
    status: Status
    receipt: WebReceipt | None = None
    error: str | None = None


class CardRefused(NonRetryableError):
    """The bank does not want to."""


@step
async def charge_card(order: WebOrder) -> str:
    if order.amount > 1000:
        raise CardRefused(f"{order.amount} is too much")
    return step_info().idempotency_key


@step
async def pack(order_id: str) -> str:
    await asyncio.sleep(float(os.environ.get("PACKING", "0.2")))  # stands for work that takes a while
    return f"parcel-{order_id}"


@flow
async def web_order(order: WebOrder) -> WebReceipt:
    payment = await charge_card(order)
    approval = await wait_signal("approve", OrderApproval)
    parcel = await pack(order.id)
    return WebReceipt(order_id=order.id, payment=payment, parcel=parcel, approved_by=approval.by)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    url = os.environ.get("ERGON_STORE", "sqlite:///ergon.db")
    async with open_store(url) as store, await Worker(store, lease=5.0).register(web_order).start():
        app.state.scheduler = Scheduler(store)
        yield


REFUSALS: dict[type[Exception], HTTPStatus] = {
    FlowNotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,  # the id is that of another order
    DefinitionError: HTTPStatus.UNPROCESSABLE_ENTITY,  # the id cannot be one
}


async def refuse(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, REFUSALS[type(error)])


app = FastAPI(lifespan=lifespan, exception_handlers=dict.fromkeys(REFUSALS, refuse))


def scheduler(request: Request) -> Scheduler:
    found: Scheduler = request.app.state.scheduler
    return found


Flows = Annotated[Scheduler, Depends(scheduler)]


def order_handle(order_id: str, flows: Flows) -> FlowHandle[WebReceipt]:
    return flows.handle(order_id, WebReceipt)


Handle = Annotated[FlowHandle[WebReceipt], Depends(order_handle)]


@app.post("/orders", status_code=HTTPStatus.ACCEPTED)
async def accept(order: WebOrder, flows: Flows) -> OrderView:
    handle = await flows.schedule(web_order(order), id=order.id)
    return OrderView(id=handle.id, status=await handle.status())


@app.get("/orders/{order_id}")
async def show(handle: Handle) -> OrderView:
    status = await handle.status()
    if not status.ended:
        return OrderView(id=handle.id, status=status)
    try:
        return OrderView(id=handle.id, status=status, receipt=await handle.result())
    except (CardRefused, FlowCancelled) as error:
        return OrderView(id=handle.id, status=status, error=str(error))


@app.post("/orders/{order_id}/approve", status_code=HTTPStatus.ACCEPTED)
async def approve(handle: Handle, approval: OrderApproval) -> OrderView:
    taken = await handle.signal("approve", approval, id="approval")  # the id: an approval sent twice is one
    view = await show(handle)
    if not taken:
        raise HTTPException(HTTPStatus.CONFLICT, f"order {view.id} has ended: it is {view.status}")
    return view


@app.post("/orders/{order_id}/wait")
async def wait(handle: Handle, timeout: float = 30.0) -> OrderView:
    """The order as it stands when it has ended, or when `timeout` seconds have passed."""
    with suppress(TimeoutError):
        await handle.outcome(timeout)
    return await show(handle)
