"""What a mutant is: the real source with one rule broken, and the rig that kills it. Also a copy to break it in.

The breaks are in `breaks/*.toml`. A patch replaces text that occurs exactly once in its file, so that a change of the
code cannot leave it behind unnoticed. The checkout itself is never touched.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "*.db", "*.db-*")


@dataclass(frozen=True, slots=True)
class Patch:
    """In `file`, `new` in place of `old`."""

    file: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """The text with the break in it. Raises ValueError if `old` is not there exactly once."""
        found = text.count(self.old)
        if found != 1:
            raise ValueError(f"{self.file} has {self.old!r} {found} times: say anew what this mutant replaces")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class SourceMutant:
    """A broken rule. `killer` is the rig that must notice: tests (a node of pytest, or several), or a module of a rig
    with its arguments; `part` is the file of breaks it is from."""

    part: str
    name: str
    rule: str
    what: str
    killer: str
    patches: tuple[Patch, ...]


def read(path: Path) -> Iterator[SourceMutant]:
    """The mutants of one file of breaks. Its head has short names of files, and what the killers have in common."""
    told = tomllib.loads(path.read_text())
    files: dict[str, str] = told.pop("files")
    suite, kind = str(told.pop("suite", "")), str(told.pop("kind", ""))
    for name, each in told.items():
        patches = tuple(Patch(files[part["file"]], part["old"], part["new"]) for part in (each, *each.get("also", ())))
        killer: str = each["killer"]
        whole = killer if killer.startswith("tests") else f"{suite}{killer}{kind}"
        yield SourceMutant(path.stem, f"{path.stem}_{name}", each["rule"], each["what"], whole, patches)


TABLE = tuple(mutant for path in sorted((Path(__file__).parent / "breaks").glob("*.toml")) for mutant in read(path))


class Copy:
    """A private copy of the checkout."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "repo"
        shutil.copytree(ROOT, self.root, ignore=LEFT_OUT, copy_function=_copy)

    @contextmanager
    def broken(self, mutant: SourceMutant) -> Generator[None]:
        """The copy with the mutant in it, as long as this lasts."""
        before: dict[str, str] = {}
        try:
            for patch in mutant.patches:
                text = (self.root / patch.file).read_text()
                before.setdefault(patch.file, text)
                self._write(patch.file, patch.applied(text))
            yield
        finally:
            for file, text in before.items():
                self._write(file, text)

    def _write(self, file: str, text: str) -> None:
        path = self.root / file
        path.write_text(text)
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):  # it may be taken for that of a file as long
            compiled.unlink()


def _copy(source: str, target: str) -> None:
    with suppress(FileNotFoundError):  # other tests may have files of a moment in the checkout
        shutil.copy2(source, target)
