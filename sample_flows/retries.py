"""Trying again: how often, how soon, for which errors, within which time; and what must not be done twice.

Every flow here shows one way. What fails, fails at its first try by design; `ergon inspect` shows the tries.

    ergon worker -m sample_flows/retries.py
    ergon schedule fetch_report -m sample_flows/retries.py --id report --wait
    ergon inspect report
    ergon schedule ask_oracle -m sample_flows/retries.py --wait
    ergon schedule send_money -m sample_flows/retries.py -a amount=5 --wait

These print "report, at try 3", "42, at try 2" and "5 sent". Likewise: see_doctor prints "appointment, at try 2",
read_number "ValueError, not tried again", catch_bus "walked", pay_bill "5 paid under ...", and build_house "cellar of
attempt 1, roof of attempt 2". With `-a slow=60` there is time to kill the worker (kill -9) while it sends money; the
next one prints "5 sent, says the bank". Without a worker, here and now:

    ergon run build_house -m sample_flows/retries.py
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

from ergon_runtime import NonRetryableError, OutcomeUnknown, RetryableError, RetryPolicy, flow, step, step_info

SOON = RetryPolicy(max_attempts=5, initial=0.05)


@step(retry=RetryPolicy(max_attempts=4, initial=0.05, multiplier=2.0, max_delay=1.0, jitter=0.1))
async def download() -> str:
    if step_info().attempt < 3:  # after a crash the count goes on
        raise ConnectionError("no route")
    return f"report, at try {step_info().attempt}"


@flow
async def fetch_report() -> str:
    """Backoff: 50 ms, then 100 ms, give or take a tenth. Without `retry=` a step is tried once."""
    return await download()


@step(retry=SOON)
async def ring_doctor() -> str:
    if step_info().attempt == 1:
        raise RetryableError("there is a queue", retry_after=0.2)  # counts instead of the policy's 50 ms
    return f"appointment, at try {step_info().attempt}"


@flow
async def see_doctor() -> str:
    """An error that knows when to try again, as services say in a Retry-After header."""
    return await ring_doctor()


@step(retry=RetryPolicy(max_attempts=5, initial=0.05, retryable=(ConnectionError,)))
async def parse(text: str) -> int:
    if not text:
        raise NonRetryableError("there is no text")  # never tried again, whatever the policy
    return int(text)  # a ValueError is not tried again either: the policy names connection errors alone


@flow
async def read_number(text: str = "many") -> str:
    """Errors that trying again would not mend. The flow gets them as raised, and may catch them."""
    try:
        return f"read {await parse(text)}"
    except (ValueError, NonRetryableError) as error:
        return f"{type(error).__name__}, not tried again"


@step(retry=SOON, timeout=0.1)
async def oracle() -> str:
    if step_info().attempt == 1:
        await asyncio.sleep(60)  # it would take a minute; the time limit stops this try, and there is another
    return f"42, at try {step_info().attempt}"


@flow
async def ask_oracle() -> str:
    """A time limit for each try."""
    return await oracle()


@step(retry=RetryPolicy(max_attempts=1000, initial=0.02, max_delay=0.05))
async def wave_at_bus() -> str:
    raise ConnectionError("no bus in sight")


@flow
async def catch_bus(patience: float = 0.2) -> str:
    """A time limit for all tries together is plain asyncio."""
    try:
        async with asyncio.timeout(patience):
            return await wave_at_bus()
    except TimeoutError:
        return "walked"


@step(retry=SOON)
async def pay(amount: Decimal) -> str:
    info = step_info()
    if info.attempt == 1:
        raise ConnectionError("the line went dead: paid or not?")
    return f"{amount} paid under {info.idempotency_key}"


@flow
async def pay_bill(amount: Decimal = Decimal(5)) -> str:
    """A bank that knows the key of a payment pays once, however often it is told: the key is the same in each try."""
    return await pay(amount)


@step(at_most_once=True)
async def send(amount: Decimal, slow: float) -> str:
    await asyncio.sleep(slow)
    return f"{amount} sent"


@step(retry=SOON)
async def look_up(amount: Decimal) -> bool:
    return True  # stands for a look into the account


@flow
async def send_money(amount: Decimal = Decimal(5), slow: float = 0.0) -> str:
    """A bank that knows no keys: the step is begun once. If its worker dies in it, the flow has to find out."""
    try:
        return await send(amount, slow)
    except OutcomeUnknown:
        return f"{amount} sent, says the bank" if await look_up(amount) else f"{amount} not sent"


@step
async def build(part: str) -> str:
    attempt = step_info().flow_attempt
    if part == "roof" and attempt == 1:
        raise ConnectionError("it rains")
    return f"{part} of attempt {attempt}"


@flow(retry=SOON)
async def build_house() -> str:
    """The whole flow is tried again, and what succeeded is kept (unless keep=False; see saga.py)."""
    return f"{await build('cellar')}, {await build('roof')}"
