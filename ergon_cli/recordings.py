"""Files of exported histories: which arguments mean them, and reading them one history at a time.

What cannot be read comes as an error in its place, and stops nothing. Standard input can be read only once, so it is
put into a temporary file first, which also a process that takes our place finds as its standard input.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from ergon_cli.exits import CommandError, ExitCode
from ergon_runtime import HistoryUnreadable
from ergon_runtime.histories import FlowHistory, read_lines

STDIN = "-"
SUFFIX = ".jsonl"
Found: TypeAlias = FlowHistory | CommandError


@dataclass(frozen=True, slots=True)
class Survey:
    """What files hold: how many histories, and the hash seeds they were recorded under, in their order."""

    count: int
    seeds: tuple[str, ...]


def are_recordings(words: Sequence[str]) -> bool:
    """Whether these arguments are files of histories, not ids. Raises CommandError: USAGE if some are and some not."""
    files = [word == STDIN or word.endswith(SUFFIX) or _is_file(word) for word in words]
    if any(files) and not all(files):
        word = words[files.index(False)]
        said = f"give files or flow ids, not both: {word!r} is no file, and does not end in {SUFFIX}"
        raise CommandError(ExitCode.USAGE, said, "replay the flows of the store, and the files, by a command each")
    return any(files)


def _is_file(word: str) -> bool:
    try:
        return Path(word).is_file()
    except OSError:  # an id may be longer than any path
        return False


def survey(files: Sequence[str]) -> Survey:
    """Read all of the files once. What cannot be read is passed over: whoever reads them again meets it."""
    count, seeds = 0, dict[str, None]()
    for found in read_recordings(files):
        if isinstance(found, FlowHistory):
            count += 1
            seeds[found.hash_seed] = None
    return Survey(count, tuple(seeds))


def read_recordings(files: Sequence[str]) -> Iterator[Found]:
    """The histories of the files, in their order; an error in the place of each line, or file, that is none."""
    for file in files:
        try:
            with _opened(file) as stream:
                for found in read_lines(stream, "standard input" if file == STDIN else file):
                    yield _error(found) if isinstance(found, HistoryUnreadable) else found
        except OSError as error:
            said = f"cannot read {file}: {error.strerror or error}"
            yield CommandError(ExitCode.USAGE, said, "name files that ergon export wrote")


def _error(error: HistoryUnreadable) -> CommandError:
    return CommandError(ExitCode.USAGE, f"{error.file}, line {error.line}: {error.reason}", error.fix)


@contextlib.contextmanager
def _opened(file: str) -> Generator[BinaryIO]:
    if file == STDIN:
        _rewind_stdin()  # also for other processes' sake: all share one position in it
        with open(sys.stdin.fileno(), "rb", closefd=False) as stream:
            yield stream
    else:
        with open(file, "rb") as stream:
            yield stream


def _rewind_stdin() -> None:
    """Let standard input begin anew, also if it is a pipe: what it holds is kept in a file that has no name. Raises
    OSError."""
    descriptor = sys.stdin.fileno()
    with contextlib.suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        return
    with tempfile.TemporaryFile() as kept:
        with open(descriptor, "rb", closefd=False) as pipe:
            shutil.copyfileobj(pipe, kept)
        kept.flush()
        os.dup2(kept.fileno(), descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)
