"""From journal entries to the steps that people see, over all lives of a flow.

Entries of one operation make one step: failed tries, then the end; a child's creation, then its end. A life's end
closes what it left open. A row that cannot be read is shown as a failed marker, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from ergon_runtime.core.entries import (
    Adopted,
    AttemptFailed,
    CancelReceived,
    ChildCancelled,
    ChildCreated,
    ChildEnded,
    Continued,
    Entry,
    Forked,
    LifeMarker,
    Patched,
    Retried,
    SignalReceived,
    Started,
    StepBegun,
    StepEnded,
    StepStopped,
    TimerFired,
)
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.heartbeats import Heartbeat
from ergon_runtime.core.history import shown_key
from ergon_runtime.view.model import ErrorInfo, StepKind, StepStatus, StepView, Try
from ergon_runtime.view.running import Report
from ergon_runtime.view.stored import ENCRYPTED, Note, error_of, value_of

STOPPED = ErrorInfo("CancelledError", "the flow stopped waiting for it")
CANCELLED = ErrorInfo("CancelledError", "cancelled")
LEFT = ErrorInfo("CancelledError", "the flow ended first")


class Timeline:
    """Gathers the steps of a flow. Feed it every entry in order, then `close` it with how the flow stands now."""

    def __init__(self) -> None:
        self.life = self.attempt = self._epoch = 1
        self.children: list[str] = []
        self._began: int | None = None
        """When the flow's present attempt did."""
        self._steps: dict[tuple[StepKind, str], StepView] = {}
        self._open: dict[tuple[StepKind, str], None] = {}
        self._cancels = self._encrypted = 0

    @property
    def steps(self) -> tuple[StepView, ...]:
        return tuple(self._steps.values())

    def failure(self, key: str | None) -> ErrorInfo | None:
        """The last error of a step of this life; without a key, the one that the last life ended with."""
        if key is not None:
            step = self._steps.get(("step", self._shown(key)))
            return step.error if step else None
        marker = self._steps.get(("marker", self._shown("retried")))
        return marker.error if marker else None

    def take_unreadable(self, seq: int, problem: str) -> None:
        """A row of the journal that is none of our entries."""
        error = ErrorInfo("CodecError", problem)
        self._steps["marker", f"#{seq}"] = StepView(f"#{seq}", "marker", "unreadable", "failed", error=error)

    def take_encrypted(self) -> None:
        """A row of the journal whose key is not at hand; they are shown as one."""
        self._encrypted += 1
        rows = f"{self._encrypted} journal {'entry' if self._encrypted == 1 else 'entries'}"
        self._steps["marker", ENCRYPTED] = StepView(ENCRYPTED, "marker", ENCRYPTED, "completed", result=rows)

    def take(self, entry: Entry) -> None:
        """The next entry."""
        match entry:
            case StepEnded():
                self._step_ended(entry)
            case AttemptFailed():
                self._attempt_failed(entry)
            case StepStopped():
                self._step_stopped(entry)
            case StepBegun():
                begun = self._find("step", entry.key, entry.name)
                self._put(
                    entry.key, replace(begun, status="running", started_at=begun.started_at or entry.at), open=True
                )
            case TimerFired():
                step = self._find("timer", entry.key, entry.name)
                self._put(entry.key, replace(step, started_at=entry.asked, finished_at=entry.due))
            case SignalReceived():
                step = self._find("signal", entry.key, entry.name)
                received = replace(step, result=value_of(entry.value), started_at=entry.since, finished_at=entry.at)
                self._put(entry.key, received)
            case ChildCreated() | ChildEnded() | ChildCancelled():
                self._child(entry)
            case CancelReceived():
                self._cancels += 1
                key = "cancel" if self._cancels == 1 else f"cancel#{self._cancels}"
                self._mark(key, "cancel", entry.at)
            case Patched():
                self._mark(entry.key, "patched", entry.at)
            case Retried() | Continued() | Adopted() | Forked():
                self._begin_life(entry)
            case Started():
                self._began = entry.at
            case _:
                assert_never(entry)

    @property
    def running(self) -> tuple[StepView, ...]:
        """The steps whose bodies run now."""
        return tuple(step for step in self._steps.values() if step.kind == "step" and step.status == "running")

    def close(self, row: FlowRow, note: Note, now: int, report: Report | None = None) -> None:
        """The journal is over; `row` and `note` tell what the flow waits for, and `report` what runs."""
        if row.status.ended:
            self._end_life()
            return
        channels = {wait.channel: wait.since for wait in row.waits}
        for place in list(self._open):
            step = self._steps[place]
            if step.child is not None and f"child:{step.child}" in channels:
                self._steps[place] = replace(step, status="waiting")
            elif row.status is Status.RUNNING and step.due is not None and step.due <= now:
                self._steps[place] = replace(step, status="running", due=None)
        for beat in note.heartbeats if note.life == self.life else ():
            self._told(beat, running=row.status is Status.RUNNING)
        if report is not None:
            for run in report.steps:
                if run.life == self.life:
                    self._show_try(run.key, Try(run.attempt, report.worker, run.started, None, None), "running")
        names = self._noted(row, note, channels)
        for channel, since in channels.items():
            name = channel.removeprefix("signal:")
            if name != channel and name not in names:
                self._wait("signal", name, name, since, None)

    def _noted(self, row: FlowRow, note: Note, channels: dict[str, int]) -> set[str]:
        """Show the waits of a note, as far as they still hold; the names of the signals among them."""
        names: set[str] = set()
        for wait in note.waits if note.life in (None, self.life) else ():
            match wait:
                case {"kind": "signal", "key": str(key), "name": str(name)} if f"signal:{name}" in channels:
                    names.add(name)
                    self._wait("signal", key, name, channels[f"signal:{name}"], None)
                case {"kind": "timer", "key": str(key), "since": int(since), "due": int(due)}:
                    if row.status is Status.WAITING:
                        self._wait("timer", key, key.rpartition("/")[2].partition("#")[0], since, due)
                case _:
                    pass
        return names

    def _told(self, beat: Heartbeat, *, running: bool) -> None:
        """Show the last heartbeat of an open step."""
        open_try = Try(beat.attempt, beat.worker, beat.started, None, None)
        step = self._show_try(beat.key, open_try, "running" if running else "waiting")
        if step is not None:
            self._steps["step", step.key] = replace(step, detail=value_of(beat.detail), heartbeat_at=beat.at)

    def _show_try(self, key: str, latest: Try, status: StepStatus) -> StepView | None:
        """Show a try that has no entry yet; the step, or None if it has ended since."""
        place: tuple[StepKind, str] = ("step", self._shown(key))
        known = self._steps.get(place)
        if known is not None and place not in self._open:
            return None
        step = known or self._find("step", key, key.rpartition("/")[2].partition("#")[0])
        recorded = tuple(each for each in step.tries if each.finished_at is not None or each.error is not None)
        if len(recorded) < latest.n:
            tries = (*recorded, latest)
            step = replace(step, status=status, attempts=latest.n, tries=tries, started_at=_first(tries), due=None)
        self._steps[place] = step
        self._open[place] = None
        return step

    def _wait(self, kind: StepKind, key: str, name: str, since: int, due: int | None) -> None:
        if (kind, self._shown(key)) not in self._steps:
            shown = self._shown(key)
            step = self._find(kind, key, name)
            self._steps[kind, shown] = replace(step, status="waiting", started_at=since, due=due)

    # --- one entry
    def _step_ended(self, entry: StepEnded) -> None:
        step = self._find("step", entry.key, entry.name)
        error = error_of(entry.error)
        n = max(entry.attempts, len(step.tries) + 1)
        tries = (*step.tries, Try(n, entry.worker, entry.started, entry.finished, error))
        ended = replace(
            step,
            status="failed" if error or step.error is STOPPED else "completed",
            attempts=n,
            tries=tries,
            args=value_of(entry.args),
            result=value_of(entry.value),
            error=STOPPED if step.error is STOPPED else error,
            started_at=_first(tries) or step.started_at,
            finished_at=entry.finished,
            due=None,
        )
        self._put(entry.key, ended)

    def _attempt_failed(self, entry: AttemptFailed) -> None:
        step = self._find("step", entry.key, entry.name)
        error = error_of(entry.error)
        tries = (*step.tries, Try(entry.attempt, entry.worker, entry.started, entry.finished, error))
        failed = replace(
            step,
            status="waiting",
            attempts=entry.attempt,
            tries=tries,
            args=value_of(entry.args),
            error=error,
            started_at=_first(tries),
            due=entry.due,
        )
        self._put(entry.key, failed, open=True)

    def _step_stopped(self, entry: StepStopped) -> None:
        step = self._find("step", entry.key, entry.name)
        tries = step.tries
        if entry.started is not None:
            tries = (*tries, Try(entry.attempts, entry.worker, entry.started, entry.at, STOPPED))
        stopped = replace(
            step,
            status="failed",
            attempts=entry.attempts,
            tries=tries,
            args=value_of(entry.args),
            error=STOPPED,
            started_at=_first(tries),
            finished_at=entry.at,
            due=None,
        )
        self._put(entry.key, stopped)

    def _child(self, entry: ChildCreated | ChildEnded | ChildCancelled) -> None:
        name = entry.key.rpartition("/")[2].partition("#")[0]
        step = self._find("child", entry.key, name)
        match entry:
            case ChildCreated():
                self.children.append(entry.child)
                status: StepStatus = "completed" if entry.detached else "running"
                made = replace(step, name=entry.type, status=status, args=value_of(entry.args), child=entry.child)
                self._put(entry.key, replace(made, started_at=entry.at), open=not entry.detached)
            case ChildEnded():
                failed = entry.status is not Status.COMPLETED
                error = (error_of(entry.error) or CANCELLED) if failed else None
                ended = replace(step, status="failed" if failed else "completed", error=error, child=entry.child)
                self._put(entry.key, replace(ended, result=value_of(entry.value), finished_at=entry.at))
            case ChildCancelled():
                self._put(entry.key, replace(step, status="failed", error=CANCELLED, finished_at=entry.at))
            case _:
                assert_never(entry)

    def _begin_life(self, entry: LifeMarker) -> None:
        self._end_life()
        if isinstance(entry, Forked):
            self._taken_over(entry.source)
        self.life, self._epoch = entry.life, entry.epoch
        match entry:
            case Retried():
                error = error_of(entry.error)
                ended = None if entry.operator else entry.at  # a person may come long after
                failed = Try(self.attempt, None, self._began, ended, error)
                self.attempt, self._began = entry.attempt, entry.due
                marker = self._mark("retried", "retried", entry.at)
                due = None if entry.operator else entry.due
                args = {"operator": True} if entry.operator else None
                self._put("retried", replace(marker, args=args, error=error, tries=(failed,), due=due))
            case Continued():
                self.attempt, self._began = 1, entry.at
                marker = self._mark("continued", "continued", entry.at)
                self._put("continued", replace(marker, args=value_of(entry.args)))
            case Adopted():
                self.attempt, self._began = entry.attempt, entry.at
                self._mark("adopted", "adopted", entry.at)
            case Forked():
                self.attempt, self._began = 1, entry.at
                marker = self._mark("forked", "forked", entry.at)
                self._put("forked", replace(marker, args={"source": entry.source, "cut": entry.cut}))
            case _:
                assert_never(entry)

    def _end_life(self) -> None:
        for place in self._open:
            step = self._steps[place]
            self._steps[place] = replace(step, status="failed", error=step.error or LEFT, due=None)
        self._open.clear()

    def _taken_over(self, source: str) -> None:
        """All so far is a copy of what the flow `source` has recorded, or taken over from another."""
        for place, step in self._steps.items():
            self._steps[place] = replace(step, ran_in=step.ran_in or source)

    # --- the steps
    def _shown(self, key: str) -> str:
        return shown_key(key, self.life)

    def _find(self, kind: StepKind, key: str, name: str) -> StepView:
        shown = self._shown(key)
        return self._steps.get((kind, shown)) or StepView(
            shown, kind, name, "completed", life=self.life, epoch=self._epoch
        )

    def _put(self, key: str, step: StepView, *, open: bool = False) -> None:  # noqa: A002  no file is opened here
        place = (step.kind, self._shown(key))
        self._steps[place] = step
        if open:
            self._open[place] = None
        else:
            self._open.pop(place, None)

    def _mark(self, key: str, name: str, at: int) -> StepView:
        marker = StepView(self._shown(key), "marker", name, "completed", started_at=at, finished_at=at)
        self._put(key, marker)
        return marker


def _first(tries: Sequence[Try]) -> int | None:
    return next((each.started_at for each in tries if each.started_at is not None), None)
