"""Flow types to be asked for wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ergon_runtime import flow, flow_type, step, wait_signal

EVIL = "no luck \x1b[31mred\x1b[2J \u202eback\u2066wards [bold]markup[/bold] \x07"


@dataclass
@flow_type
class OrderFlow:
    order_id: str
    amount: Decimal
    express: bool = False
    tags: list[str] | None = None

    @flow
    async def run(self) -> str:
        return f"{self.order_id} {self.amount} {self.express} {self.tags}"


@flow
async def hello(name: str = "world") -> str:
    return f"hello {name}"


@flow
async def unhinted(x):  # type: ignore[no-untyped-def]  # that is what it is for
    return [type(x).__name__, x]


@flow
async def money(amount: Decimal) -> Decimal:
    return amount


@step
async def fail() -> None:
    raise ValueError(EVIL)


@flow
async def broken() -> None:
    await fail()


@flow
async def waits(name: str) -> object:
    return await wait_signal(name)
