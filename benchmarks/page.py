"""What is kept in docs: the figures, the plot, and the tables of docs/benchmarks.md between its two marks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks import plot
from benchmarks.environments import ROOT
from benchmarks.report import Report
from benchmarks.tables import COLUMNS, TARGET_COLUMNS, Side, in_force, measured_on, row, target_row
from benchmarks.works import WORKS

PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "docs" / "benchmarks" / "results.json"
PLOT = ROOT / "docs" / "benchmarks" / "plot.svg"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def write(report: Report) -> None:
    """Keep the figures and the plot, and write the page's tables anew."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    report.write(RESULTS)
    PLOT.write_text(plot.draw(report))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables(report)}\n{END}{after}")


def tables(report: Report) -> str:
    """All tables, as Markdown."""
    lines = ["Measured:", "", *(f"- {line}" for line in measured_on(report))]
    lines += ["", "### Targets", "", *_targets(report)]
    for work in report.works():
        summaries = report.summaries(work)
        lines += ["", f"### {work}: {WORKS[work].title}", ""]
        lines += _table(COLUMNS, (row(each) for each in summaries))
        lines += ["", *(f"- {name}: {settings}" for name, settings in in_force(summaries).items())]
    lines += ["", *(f"Not run: {name}: {why}." for name, why in report.missing.items())]
    return "\n".join(lines).strip() + "\n"


def _targets(report: Report) -> Iterator[str]:
    return _table(TARGET_COLUMNS, (target_row(verdict) for verdict in report.verdicts()))


def _table(columns: Mapping[str, Side], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'|'.join({'left': '---', 'right': '---:'}[side] for side in columns.values())}|"
    for cells in rows:
        yield f"| {' | '.join(cells)} |"
