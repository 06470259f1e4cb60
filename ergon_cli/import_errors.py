"""What to say when a user's module cannot be imported.

Either the target itself is missing, or something in it raised; then the user's frames are shown, and nothing of ours.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import pkgutil
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

from ergon_cli.exits import CommandError, ExitCode

HIDDEN = (
    "<frozen ",
    str(Path(importlib.util.__file__).parent) + os.sep,
    *(f"{Path(__file__).parent.parent / name}{os.sep}" for name in ("ergon_cli", "ergon_runtime")),
)
"""Where frames come from that say nothing to the author of a module."""
LIBRARIES = tuple({f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")})
"""Where frames come from that say less than those above them."""
MAX_FRAMES = 2


def did_you_mean(written: str, known: Iterable[str]) -> str | None:
    """A suggestion for a mistyped name, if one is close."""
    close = difflib.get_close_matches(written, list(known), n=1, cutoff=0.6)
    return f"did you mean: {close[0]}" if close else None


def target_is_missing(error: ModuleNotFoundError, target: str) -> bool:
    """Whether the module that was asked for is missing, rather than one that it imports."""
    return error.name is not None and f"{target}.".startswith(f"{error.name}.")


def module_missing(target: str, root: Path) -> CommandError:
    """No such module or file."""
    if target.startswith("/"):
        path = Path(target)
        near = [each.name for each in path.parent.glob("*.py")] if path.parent.is_dir() else []
        return CommandError(ExitCode.IMPORT, f"no file {target}", did_you_mean(path.name, near) or "check the path")
    parent, _, last = target.rpartition(".")
    near = [module.name for module in pkgutil.iter_modules(_search_path(parent, root))]
    hint = did_you_mean(last, near)
    if hint and parent:
        hint = hint.replace(": ", f": {parent}.")
    said = f"no module '{target}' (looked in {root} and the installed packages)"
    return CommandError(ExitCode.IMPORT, said, hint or "write pkg.mod, path/file.py or mod:Name")


def _search_path(parent: str, root: Path) -> list[str]:
    if not parent:
        return [str(root)]
    package = sys.modules.get(parent)
    return list(getattr(package, "__path__", []))


def import_failed(label: str, error: BaseException) -> CommandError:
    """The module was found, and something in it raised."""
    return CommandError(ExitCode.IMPORT, "\n".join([f"importing '{label}' failed", *user_lines(error)]))


def user_lines(error: BaseException) -> list[str]:
    """The traceback for the author of the module: the last frames of theirs, and the error."""
    if isinstance(error, SystemExit):
        said = [f"SystemExit: the module ended the program ({error.code!r}); guard that with __name__ == '__main__'"]
    else:
        said = "".join(traceback.format_exception_only(error)).rstrip("\n").splitlines()
    if isinstance(error, SyntaxError):
        return said
    lines: list[str] = []
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(HIDDEN)]
    own = [frame for frame in frames if not frame.filename.startswith(LIBRARIES)]
    for frame in (own or frames)[-MAX_FRAMES:]:
        lines.append(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}')
        if frame.line:
            lines.append(f"    {frame.line}")
    return [*lines, *said[:1]]
