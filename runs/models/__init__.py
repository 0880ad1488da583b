"""What happened and what must happen next, and what was counted of it."""

from runs.models.counting import Digest, EndedSlip, Heartbeat, ProcessKind, Tally, TallySlip
from runs.models.history import BulkOperation, Execution, Run

__all__ = [
    "BulkOperation",
    "Digest",
    "EndedSlip",
    "Execution",
    "Heartbeat",
    "ProcessKind",
    "Run",
    "Tally",
    "TallySlip",
]
