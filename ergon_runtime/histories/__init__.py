"""Histories: a flow with its journal, complete in itself, as an object, as a line of a file, and put into a store."""

from __future__ import annotations

from ergon_runtime.histories.history import FlowHistory as FlowHistory
from ergon_runtime.histories.history import read_history as read_history
from ergon_runtime.histories.lines import FORMAT as FORMAT
from ergon_runtime.histories.lines import MAX_LINE as MAX_LINE
from ergon_runtime.histories.lines import history_line as history_line
from ergon_runtime.histories.lines import read_lines as read_lines
from ergon_runtime.histories.restoring import Restored as Restored
from ergon_runtime.histories.restoring import restore_history as restore_history
