"""`--view tree`: a flow with its children, theirs, and so on, and in a few words why each is not over.

On a terminal large families are folded, and what does not fit is cut, but never an id. A pipe gets every flow, in rows
of depth, id, flow type, status, duration and WHY.
"""

from __future__ import annotations

from collections.abc import Iterator

from ergon_cli.render import STATUS_STYLES, cell_width
from ergon_cli.screens.look import Line, Look, Part
from ergon_cli.text import duration
from ergon_cli.why import error_line, why_line
from ergon_runtime import Status, Store
from ergon_runtime.view import FlowTree, FlowView, Siblings, Why, read_tree

OPEN = tuple(status for status in Status if status is not Status.COMPLETED)


async def screen(store: Store, view: FlowView, look: Look) -> Iterator[Line]:
    """The tree below a flow, as it is now."""
    row = await store.get(view.id)
    if row is None:  # pruned meanwhile
        return iter(())
    full = look.full or not look.terminal
    statuses = OPEN if look.failed else ()
    workers = await store.workers()
    return draw(await read_tree(store, row, now=look.now, workers=workers, full=full, statuses=statuses), look)


def draw(tree: FlowTree, look: Look) -> Iterator[Line]:
    """A tree that was read."""
    return _branch(tree, look, "", "", 0)


def _branch(tree: FlowTree, look: Look, lead: str, below: str, depth: int) -> Iterator[Line]:
    yield _flow(tree.flow, look, lead, depth)
    items: list[FlowTree | Siblings | None] = [*tree.children, *tree.folded, *([None] if tree.more else [])]
    for place, item in enumerate(items, 1):
        last = place == len(items)
        joint = below + (look.glyph("└─ ", "`- ") if last else look.glyph("├─ ", "|- "))
        match item:
            case FlowTree():
                yield from _branch(item, look, joint, below + ("   " if last else look.glyph("│  ", "|  ")), depth + 1)
            case Siblings():
                yield _siblings(item, look, joint)
            case None:
                yield _more(tree.flow, look, joint, depth + 1)


def _flow(view: FlowView, look: Look, lead: str, depth: int) -> Line:
    took = duration((view.updated_at if view.status.ended else look.now) - view.created_at)
    if look.width is None:
        said = why_line(view.why, look.now) if view.why else error_line(view.error) if view.error else ""
        return str(depth), view.id, view.flow, view.status.value, took, said
    said = brief(view.why, look.now) if view.why else error_line(view.error) if view.error else ""
    id_, style = look.text(view.id), STATUS_STYLES[view.status.value]
    left = look.width - cell_width(lead) - cell_width(id_) - 1
    facts = [Part(view.status.value, style), Part(took), Part(said, "dim")]
    parts: list[Part | str] = [Part(lead, "dim"), Part(id_, "bold")]
    for part in (Part(view.flow), *facts):
        if part.text and left > 1:
            text = look.cut(part.text, left - 1)
            parts += ["  " if len(parts) > 1 else "", Part(text, part.style)]
            left -= cell_width(text) + 2
    return parts


def _siblings(group: Siblings, look: Look, lead: str) -> Line:
    low, high = duration(group.shortest), duration(group.longest)
    return (
        Part(lead, "dim"),
        f"+ {group.count:,} x {look.text(group.flow)}  ",
        Part(group.status.value, STATUS_STYLES[group.status.value]),
        f"  {low if low == high else f'{low}..{high}'}  ",
        Part("(folded; --full)", "dim"),
    )


def _more(view: FlowView, look: Look, lead: str, depth: int) -> Line:
    text = f"more below: ergon inspect {view.id} --view tree"
    return (str(depth), "", "", "", "", text) if look.width is None else (Part(lead, "dim"), Part(text, "dim"))


def brief(why: Why, now: int) -> str:
    """Why a flow is not over, in a few words; of a wait for a child nothing, since the child is shown."""
    match why.kind:
        case "child":
            return ""
        case "signal":
            return f"signal {why.name}"
        case "timer" | "retry" if why.due is not None:
            when = "now" if why.due <= now else f"in {duration(why.due - now)}"
            said = f": {error_line(why.error)}" if why.error else ""
            return f"{'due' if why.kind == 'timer' else 'next try'} {when}{said}"
        case "running":
            return f"{why.key} on {why.worker}" if why.key else f"on {why.worker}"
        case "no_worker":
            return "no live worker serves it"
        case "lease_expired":
            return f"worker {why.worker} was lost"
        case _:
            return why.message or why.kind
