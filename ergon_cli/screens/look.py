"""How a screen is to look: for whom, how wide, with which characters. And its lines: parts with styles, written once.

Views draw lines of parts and know neither streams nor colours. On a terminal the parts of a line stand side by side;
anywhere else they are cells with tabs between, complete, and without colour. Every part is data that passes `safe`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO, TypeAlias

from ergon_cli.render import cell_width, is_terminal
from ergon_cli.text import safe

GLYPHS = "█░┄\u2571✗▶├└│─…"
"""Characters beyond ASCII that screens are drawn with."""
LEAST = 20
"""A terminal is never taken to be narrower."""
_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "bold": "1", "dim": "2"}


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line. `style`: words of `red green yellow blue cyan bold dim`, as rich has them."""

    text: str
    style: str = ""


Line: TypeAlias = Sequence[Part | str]
"""Plain text is a part without style."""


@dataclass(frozen=True, slots=True)
class Look:
    """How to draw. `now` is the store's time; `width` is None where nobody looks, which means cells and no limit."""

    now: int
    width: int | None = None
    unicode: bool = True
    """Whether GLYPHS can be written; else ASCII does."""
    color: bool = False
    full: bool = False
    """Show every row, and values whole."""
    failed: bool = False
    """Show only rows that failed or are open."""
    encoding: str = "utf-8"

    @property
    def terminal(self) -> bool:
        """Whether a person looks."""
        return self.width is not None

    def text(self, data: object) -> str:
        """Data as it will be seen: safe, and what cannot be written is escaped."""
        text = safe(data)
        if self.unicode or text.isascii():
            return text
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def glyph(self, character: str, ascii_: str) -> str:
        """The character, or what stands for it in ASCII."""
        return character if self.unicode else ascii_

    def cut(self, data: object, width: int) -> str:
        """Text of at most `width` columns, with an ellipsis where something was cut off."""
        text = self.text(data)
        if cell_width(text) <= width:
            return text
        dots = self.glyph("…", "...")[: max(0, width)]
        return _first(text, width - len(dots)) + dots

    def fitted(self, data: object, width: int) -> str:
        """The same, filled up with blanks."""
        text = self.cut(data, width)
        return text + " " * (width - cell_width(text))

    def fold(self, data: object, width: int) -> Iterator[str]:
        """All of a text in lines of at most `width` columns, broken at blanks where there are any."""
        rest = self.text(data)
        while cell_width(rest) > width:
            head = _first(rest, width) or rest[0]
            blank = len(head) if rest[len(head) :].startswith(" ") else head.rfind(" ")
            if blank > 0 and head[:blank].strip():
                head = head[:blank]
            yield head.rstrip()
            rest = rest[len(head) :].lstrip()
        yield rest


def look_at(stream: TextIO, *, now: int, full: bool = False, failed: bool = False) -> Look:
    """How to draw for whoever reads a stream."""
    encoding = stream.encoding or "ascii"
    try:
        GLYPHS.encode(encoding)
        unicode = True
    except UnicodeEncodeError:
        unicode = False
    if not is_terminal(stream):
        return Look(now, unicode=unicode, full=full, failed=failed, encoding=encoding)
    width = max(LEAST, shutil.get_terminal_size().columns)
    return Look(now, width, unicode, not os.environ.get("NO_COLOR"), full, failed, encoding)


def show(lines: Iterable[Line], look: Look) -> None:
    """Write lines to stdout."""
    sys.stdout.writelines(rendered(line, look) + "\n" for line in lines)


def rendered(line: Line, look: Look) -> str:
    """A line as it is written, without its end."""
    parts = [part if isinstance(part, Part) else Part(part) for part in line]
    if not look.terminal:
        return "\t".join(look.text(part.text) for part in parts)
    texts = [look.text(part.text) for part in parts]
    while texts and not texts[-1].strip(" "):
        texts.pop()
    if texts:
        texts[-1] = texts[-1].rstrip(" ")  # coloured ones, too, may be more than there is room for
    return "".join(_styled(text, part.style if look.color else "") for text, part in zip(texts, parts, strict=False))


def _styled(text: str, style: str) -> str:
    if not style or not text:
        return text
    return f"\x1b[{';'.join(_CODES[word] for word in style.split())}m{text}\x1b[0m"


def _first(text: str, width: int) -> str:
    """As much of the beginning as fits into `width` columns."""
    if text.isascii():
        return text[: max(0, width)]
    used = 0
    for place, char in enumerate(text):
        used += cell_width(char)
        if used > width:
            return text[:place]
    return text
