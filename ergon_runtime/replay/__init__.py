"""Replay: a flow's present code against its recorded journal, comparing."""

from __future__ import annotations

from ergon_runtime.replay.check import Find as Find
from ergon_runtime.replay.check import replay_flow as replay_flow
from ergon_runtime.replay.check import replay_history as replay_history
from ergon_runtime.replay.frames import Frame as Frame
from ergon_runtime.replay.frames import TaskStack as TaskStack
from ergon_runtime.replay.report import ComparedRow as ComparedRow
from ergon_runtime.replay.report import Difference as Difference
from ergon_runtime.replay.report import PatchUse as PatchUse
from ergon_runtime.replay.report import ReplayReport as ReplayReport
from ergon_runtime.replay.report import Verdict as Verdict
from ergon_runtime.replay.standing import Look as Look
from ergon_runtime.replay.standing import Standing as Standing
from ergon_runtime.replay.standing import State as State
from ergon_runtime.replay.standing import stand as stand
