"""Parent and child flows: many at once, one kind twice, children of children, children that fail, and detached ones.

A child is a flow of its own: it can be looked at and cancelled apart, any worker may run it, and its id is its parent's
followed by its key. The parent holds no worker while it waits.

    ergon worker -m sample_flows/children.py
    ergon schedule greet_guests -m sample_flows/children.py -a 'names=["Ada", "Leo", "Ada"]' --id guests --wait
    ergon inspect guests
    ergon schedule unpack_box -m sample_flows/children.py -a depth=3 --id box --wait
    ergon schedule run_errand -m sample_flows/children.py -a fails=true --id errand --wait
    ergon schedule subscribe -m sample_flows/children.py -a reader=Ada --id ada --wait
    ergon inspect ada/write_welcome

The guests are greeted all at once, by the children guests/greet_guest, guests/greet_guest#2 and guests/greet_guest#3:
["Hello, Ada!", "Hello, Leo!", "Hello, Ada!"]. The boxes print "box 3 > box 2 > box 1 > a ring". The errand's child
waits for 2 s and fails; the parent catches that and fails with an error of its own, "ErrandFailed: no errand: the shop
is closed". With `-a fails=false` it prints "errand done: bread". `subscribe` ends at once; its detached child, of which
it does not wait for the end, writes 2 s later.

Without a worker, here and now:

    ergon run unpack_box -m sample_flows/children.py
"""

from __future__ import annotations

import asyncio

from ergon_runtime import flow, invoke, sleep, step


class ShopClosed(Exception):
    """What stops the child."""


class ErrandFailed(Exception):
    """What the parent makes of it."""


@step
async def shake_hands(name: str) -> str:
    return f"Hello, {name}!"


@flow
async def greet_guest(name: str) -> str:
    return await shake_hands(name)


@flow
async def greet_guests(names: list[str]) -> list[str]:
    return await asyncio.gather(*(invoke(greet_guest(name)) for name in names))


@step
async def open_box(depth: int) -> str:
    return f"box {depth}"


@flow
async def unpack_box(depth: int = 3) -> str:
    if depth == 0:
        return "a ring"
    box = await open_box(depth)
    return f"{box} > {await invoke(unpack_box(depth - 1))}"


@step
async def buy_bread(fails: bool) -> str:
    if fails:
        raise ShopClosed("the shop is closed")
    return "bread"


@flow
async def go_shopping(fails: bool, way: float) -> str:
    await sleep(way, name="way")
    return await buy_bread(fails)


@flow
async def run_errand(fails: bool = False, way: float = 2.0) -> str:
    try:
        bought = await invoke(go_shopping(fails, way))
    except ShopClosed as error:  # the child's own error, by its class
        raise ErrandFailed(f"no errand: {error}") from error
    return f"errand done: {bought}"


@step
async def write_mail(reader: str) -> str:
    print(f"Welcome, {reader}!")
    return f"mail to {reader}"


@flow
async def write_welcome(reader: str, later: float) -> str:
    await sleep(later, name="later")
    return await write_mail(reader)


@flow
async def subscribe(reader: str, later: float = 2.0) -> str:
    mail = invoke(write_welcome(reader, later), detached=True)  # not cancelled when this flow ends
    return f"{reader} is on the list, {mail.id.rpartition('/')[2]} follows"
