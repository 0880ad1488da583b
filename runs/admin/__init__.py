"""The dashboard of history: executions and runs, read-only, and the buttons that make new executions."""

from runs.admin.execution import ExecutionAdmin
from runs.admin.run import RunAdmin

__all__ = ["ExecutionAdmin", "RunAdmin"]
