"""Errors of child flows: which are tried again, and what reaches the parent.

Shows exceptions of one's own that know whether trying again helps (`is_retryable`), flow retries of child and parent,
and the parent catching a child's error by its class, with its message and attributes.

    ergon worker -m sample_flows/child_errors.py
    ergon schedule buy -m sample_flows/child_errors.py -a trouble=network --id network --wait
    ergon inspect network/pay
    ergon schedule buy -m sample_flows/child_errors.py -a trouble=outage --id outage --wait
    ergon schedule buy -m sample_flows/child_errors.py -a trouble=funds --id funds --wait
    ergon schedule buy -m sample_flows/child_errors.py -a trouble=card --id card --wait
    ergon inspect card

- network: the child fails twice, its third try goes through. The parent never hears of it: "paid at try 3".
- outage: the child gives up after three tries. The parent is tried again, which starts a new child, outage/pay~2:
  "paid at try 1".
- funds: trying again would not help, so nobody does. The parent catches it: "19.50 short of 99.50".
- card: not tried again either. The parent does not catch it, so it fails, after one try of its own: exit code 4, and
  "InvalidCard: the card ending in 1234 is not valid".

Without a worker, here and now:

    ergon run buy -m sample_flows/child_errors.py -a trouble=network
"""

from __future__ import annotations

from decimal import Decimal

from ergon_runtime import RetryableError, RetryPolicy, flow, invoke, step, step_info

TRIES = RetryPolicy(max_attempts=3, initial=0.05, multiplier=2.0)


class PaymentError(Exception):
    """Any class will do: a method `is_retryable` is what counts. Without one, an error is tried again."""

    def is_retryable(self) -> bool:
        return False


class InsufficientFunds(PaymentError):
    def __init__(self, available: Decimal, required: Decimal) -> None:
        super().__init__(f"{available} is not enough for {required}")
        self.available, self.required = available, required


class InvalidCard(PaymentError):
    def __init__(self, digits: str) -> None:
        super().__init__(f"the card ending in {digits} is not valid")
        self.digits = digits


class NetworkTimeout(RetryableError):
    """Ergon's own base, which says yes."""


@step
async def charge_card(amount: Decimal, trouble: str) -> str:
    info = step_info()
    if trouble == "funds":
        raise InsufficientFunds(Decimal("80.00"), amount)
    if trouble == "card":
        raise InvalidCard("1234")
    first_child = "~" not in info.flow_id
    if (trouble == "network" and info.flow_attempt < 3) or (trouble == "outage" and first_child):
        raise NetworkTimeout("no answer from the bank")
    return f"paid at try {info.flow_attempt}"


@flow(retry=TRIES)
async def pay(amount: Decimal, trouble: str) -> str:
    return await charge_card(amount, trouble)


@step
async def reserve(amount: Decimal) -> None:
    print(f"reserving goods for {amount}")


@flow(retry=TRIES)
async def buy(amount: Decimal = Decimal("99.50"), trouble: str = "") -> str:
    await reserve(amount)  # not again when the flow is tried again
    try:
        return await invoke(pay(amount, trouble))
    except InsufficientFunds as error:
        return f"{error.required - error.available} short of {error.required}"
