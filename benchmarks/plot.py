"""The rates of T1 and T2 as bars, in SVG drawn by hand: no library is needed for so little."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from benchmarks.report import Report, Summary
from benchmarks.tables import number
from benchmarks.works import SCHEDULING, WORKS

DRAWN = ("T1", "T2")
WIDTH, LEFT, BAR, GAP, HEAD = 860, 290, 18, 6, 44
COLOURS = {"ergon": "#2563eb", "bare": "#9ca3af"}
OTHER = "#d97706"


def draw(report: Report) -> str:
    """One picture of all works that have rates."""
    parts, top = list[str](), 10
    for work in DRAWN:
        shown = list(bars(report.summaries(work)))
        if shown:
            parts += _work(f"{work}: {WORKS[work].title} (steps/s, medians)", shown, top)
            top += HEAD + len(shown) * (BAR + GAP) + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" '
        'font-family="sans-serif" font-size="13">\n'
        f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def bars(summaries: list[Summary]) -> Iterator[Summary]:
    """One figure of each system, fastest first: without its scheduling, if there is such a figure."""
    names = {each.name for each in summaries}
    for each in sorted(summaries, key=lambda each: -each.median):
        plain = each.name.removesuffix(SCHEDULING)
        if each.name == plain or plain not in names:
            yield each


def _work(title: str, shown: list[Summary], top: int) -> Iterator[str]:
    most = max(each.median for each in shown)
    yield f'<text x="10" y="{top + 20}" font-weight="bold">{escape(title)}</text>'
    for place, each in enumerate(shown):
        y = top + HEAD - 10 + place * (BAR + GAP)
        width = max(1.0, (WIDTH - LEFT - 80) * each.median / most)
        colour = COLOURS.get(each.name.split()[0], OTHER)
        yield f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(each.name)}</text>'
        yield f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>'
        yield f'<text x="{LEFT + width + 6:.1f}" y="{y + 14}">{number(each.median)}</text>'
