"""Where flows stand, drawn: each task of a flow, what it waits for, and the lines of the user's code under way.

On a terminal the innermost line comes last, its source below it and, where they are known, its variables. Anywhere else
there is a row for each task, frame and variable, told apart by its first cell.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from typing import assert_never

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.paths import near, near_line
from ergon_cli.render import say_json
from ergon_cli.screens.look import Line, Look, Part, look_at, show
from ergon_runtime.replay import Frame, Standing, TaskStack

TASKS = 50
"""Tasks shown to a person, if there are more."""
KEYS = 8
"""Keys named where one was never asked for."""


def show_standing(standing: Standing, *, as_json: bool) -> ExitCode:
    """Say where a flow stands, on stdout; what that means for the shell."""
    if as_json:
        say_json(standing.to_json())
    else:
        look = look_at(sys.stdout, now=0)
        show(drawn(standing, look), look)
    return exit_code(standing)


def exit_code(standing: Standing) -> ExitCode:
    """What a standing means for the shell."""
    match standing.state:
        case "waits" | "ended" | "reached":
            return ExitCode.OK
        case "diverged" | "unreadable":
            return ExitCode.DIVERGED
        case "unserved" | "unreached":
            return ExitCode.NOT_FOUND
        case _:
            assert_never(standing.state)


def never_asked(standing: Standing, key: str) -> CommandError:
    """The error of a key that the code never asks for, with those that it does, the nearest first."""
    close = difflib.get_close_matches(key, standing.asked, n=KEYS, cutoff=0.5)
    asked = [*close, *(each for each in standing.asked if each not in close)]
    hint = f"it asks for: {', '.join(asked[:KEYS])}{', ...' if len(asked) > KEYS else ''}"
    return CommandError(
        ExitCode.NOT_FOUND,
        f"{standing.flow} {standing.flow_id} never asks for {key}, in {_steps(standing)}",
        hint if asked else "it asks for nothing; see: ergon inspect " + standing.flow_id,
    )


def drawn(standing: Standing, look: Look) -> Iterator[Line]:
    """A flow's standing, line by line."""
    yield _title(standing, look)
    if standing.tasks and look.terminal and (said := _introduced(standing)):
        yield [said]
    shown = standing.tasks[:TASKS] if look.terminal and not look.full else standing.tasks
    for task in shown:
        yield from _task(task, look)
    if len(shown) < len(standing.tasks):
        yield [f"({len(standing.tasks) - len(shown):,} tasks more; --json has all)"]


def _title(standing: Standing, look: Look) -> Line:
    version = f" version {standing.version}" if standing.version else ""
    flow = f"{standing.flow} {standing.flow_id}{version}"
    remark = f": {standing.message}" if standing.message else ""
    match standing.state:
        case "waits":
            word, style, said = "STANDS", "bold", f"{standing.status}, after {_steps(standing)}{remark}"
        case "ended":
            word, style, said = "ENDED", "bold", standing.message or standing.status.value
        case "reached":
            word, style, said = "REACHED", "bold", f"asks for {standing.key}, after {_steps(standing)}"
        case "diverged":
            where = f", at {near_line(standing.where)}" if standing.where else ""
            word, style, said = "DIVERGED", "bold red", f"after {_steps(standing)}{remark}{where}"
        case "unreadable" | "unserved" | "unreached":
            word, style, said = standing.state.upper(), "bold red", standing.message or ""
        case _:
            assert_never(standing.state)
    return _cells(look, Part(word, style), flow, said)


def _introduced(standing: Standing) -> str | None:
    match standing.state:
        case "ended":
            return "where it stood then:"
        case "diverged" | "unreadable":
            return "where the code stands there:"
        case _:
            return None


def _steps(standing: Standing) -> str:
    return f"{standing.position} of {standing.total} recorded completions"


def _task(task: TaskStack, look: Look) -> Iterator[Line]:
    name = f"task {task.scope}" if task.scope else "main task"
    called = f' "{task.name}"' if task.name else ""
    if not look.terminal:
        yield ["task", task.scope, task.name or "", "runs" if task.running else ", ".join(task.waits)]
    elif task.running:
        yield [Part(name, "bold"), called, " runs"]
    else:
        yield [Part(name, "bold"), called, " waits for ", Part(", ".join(task.waits), "cyan")]
    for frame in task.frames:
        yield from _frame(frame, look)


def _frame(frame: Frame, look: Look) -> Iterator[Line]:
    place = f"{near(frame.file)}:{frame.line}"
    if not look.terminal:
        yield ["frame", place, frame.function, frame.source or ""]
        yield from (["value", name, value] for name, value in frame.values)
        return
    width = look.width or 0
    yield ["    ", Part(place, "green"), "  in ", frame.function]
    if frame.source:
        yield ["        ", look.cut(frame.source, width - 8)]
    for name, value in frame.values:
        yield ["        ", Part(look.glyph("│", "|"), "dim"), " ", look.cut(f"{name} = {value}", width - 10)]


def _cells(look: Look, *parts: Part | str) -> Line:
    """Parts with two blanks between, where somebody looks."""
    line: list[Part | str] = []
    for part in parts:
        line += ["  ", part] if line and look.terminal else [part]
    return line
