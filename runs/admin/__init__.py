"""The dashboard of history: executions and runs, read-only, the buttons that make new ones, and bulk operations."""

from runs.admin.bulk import BulkOperationAdmin
from runs.admin.execution import ExecutionAdmin
from runs.admin.run import RunAdmin

__all__ = ["BulkOperationAdmin", "ExecutionAdmin", "RunAdmin"]
