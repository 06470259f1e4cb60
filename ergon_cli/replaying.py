"""What `ergon replay` does with each flow that its source gives: compare it with today's code, or say where it stands.

What flow code prints is no data of ours, and goes to stderr. What cannot be found or read stops nothing; the command
ends with the highest code met.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ergon_cli.annotations import annotation
from ergon_cli.debugger import debug
from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.junit import JUnit
from ergon_cli.progress import Progress
from ergon_cli.recordings import STDIN
from ergon_cli.render import note, say, say_json
from ergon_cli.replays import exit_code, report_line, show_patches, show_report, summary_line, summary_note
from ergon_cli.selecting import Selection
from ergon_cli.sources import Source
from ergon_cli.stacks import never_asked, show_standing
from ergon_runtime import registry
from ergon_runtime.histories import FlowHistory
from ergon_runtime.patches import PatchTally
from ergon_runtime.replay import ReplayReport, Verdict, replay_history, stand


@dataclass(frozen=True, slots=True)
class Wish:
    """What the options say."""

    json: bool = False
    check_result: bool = False
    junit: Path | None = None
    github: bool = False
    stack: bool = False
    until: str | None = None
    debug: bool = False

    @property
    def stands(self) -> bool:
        """Whether it is asked where flows stand, not whether they differ."""
        return self.stack or self.until is not None

    def check(self, chosen: Selection, ids: Sequence[str]) -> None:
        """Refuse what does not go together. Raises CommandError: USAGE."""
        refused: str | None = None
        if self.debug and self.until is None:
            refused = "--debug goes with --until: it opens a debugger where the code asks for that step"
        elif self.debug and (self.json or len(ids) != 1 or STDIN in ids):
            refused = "--debug is for one flow, and a person: not with --json, several ids or standard input"
        elif self.stands and chosen.every:
            refused = "--stack and --until are for flows that are named, not for --all"
        elif self.stands and (self.check_result or self.junit or self.github):
            refused = "--check-result, --junit and --github compare, --stack and --until do not"
        if refused is not None:
            raise CommandError(ExitCode.USAGE, refused, "see: ergon replay --help")


async def go_through(source: Source, wish: Wish) -> ExitCode:
    """Do what is wished with every flow of the source."""
    return await (_stand_each(source, wish) if wish.stands else _compare_each(source, wish))


async def replayed(history: FlowHistory, wish: Wish) -> ReplayReport:
    """What comparing one flow has found."""
    with contextlib.redirect_stdout(sys.stderr):
        return await replay_history(history, registry.get, check_result=wish.check_result)


async def _stand_each(source: Source, wish: Wish) -> ExitCode:
    worst = ExitCode.OK
    async for found in source.histories:
        code = await _stand(found, wish) if isinstance(found, FlowHistory) else _failed(found, wish)
        worst = max(worst, code)
    return worst


async def _stand(history: FlowHistory, wish: Wish) -> ExitCode:
    look = partial(debug, screen=sys.stdout) if wish.debug else None
    with contextlib.redirect_stdout(sys.stderr):
        standing = await stand(history, registry.get, until=wish.until, look=look)
    if standing.state == "unreached":
        show_error(never_asked(standing, wish.until or ""), as_json=wish.json)
        return ExitCode.NOT_FOUND
    if standing.state == "reached" and wish.debug:
        return ExitCode.OK  # who debugged has seen it
    return show_standing(standing, as_json=wish.json)


def _failed(found: CommandError | ReplayReport, wish: Wish) -> ExitCode:
    if isinstance(found, ReplayReport):
        raise AssertionError("reports come from other processes, which do not stand anywhere")
    show_error(found, as_json=wish.json)
    return found.code


async def _compare_each(source: Source, wish: Wish) -> ExitCode:
    """Replay what the source gives, and say what was found; the highest code met."""
    tally, progress = _Tally(source, wish), Progress("flows looked at")
    try:
        async for found in source.histories:
            progress.clear()
            if isinstance(found, CommandError):
                tally.take_error(found)
                continue
            tally.take(found if isinstance(found, ReplayReport) else await replayed(found, wish))
            if source.many:
                progress.tell(tally.counts.total(), source.total)
    finally:
        progress.clear()
    return tally.end()


class _Tally:
    """What was found so far: shown, counted, and kept for the file and the end."""

    def __init__(self, source: Source, wish: Wish) -> None:
        self._source, self._wish = source, wish
        self._patches, self._worst = PatchTally(), ExitCode.OK
        self._differing: list[str] = []
        self._junit = JUnit(wish.junit) if wish.junit is not None else None
        self.counts: Counter[Verdict] = Counter()

    def take_error(self, error: CommandError) -> None:
        show_error(error, as_json=self._wish.json)
        if self._junit is not None:
            self._junit.add_error(error)
        self._worst = max(self._worst, error.code)

    def take(self, report: ReplayReport) -> None:
        self.counts[report.verdict] += 1
        self._patches.add(report)
        if report.verdict in ("diverged", "unreadable"):
            self._differing.append(report.flow_id)
        served = self._source.served or not self._source.many
        if self._junit is not None:
            self._junit.add(report, served=served)
        if report.verdict == "unserved" and not served:
            return  # flows of other types are no fault among many of a store
        self._show(report)
        self._worst = max(self._worst, exit_code(report))

    def end(self) -> ExitCode:
        """Sum up, and write what is to be written."""
        if self._source.many:
            self._sum_up()
        if self._junit is not None:
            self._junit.write()
        return self._worst

    def _show(self, report: ReplayReport) -> None:
        """One flow at length; of many, a line for each that is not the same."""
        if self._wish.json:
            say_json(report.to_json())
        elif not self._source.many:
            show_report(report)
        elif report.verdict != "same":
            say(report_line(report))
        if self._wish.github and (line := annotation(report)) is not None:
            if self._wish.json:
                note(line)
            else:
                say(line)

    def _sum_up(self) -> None:
        rows = self._patches.rows(complete=self._source.live)
        if self._wish.json:
            summary = {each: self.counts[each] for each in ("same", "diverged", "unreadable", "unserved")}
            patches = [row.to_json() for row in rows]
            say_json({"summary": summary, "differing": self._differing, "patches": patches})
            return
        say(summary_line(self.counts))
        if self._differing and not self._source.served:
            note(summary_note(self._differing))
        show_patches(rows)
