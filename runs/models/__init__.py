"""What happened and what must happen next, and what was counted of it."""

from runs.models.counting import Agreement, DatabaseMark, Digest, EndedSlip, Heartbeat, ProcessKind, Tally, TallySlip
from runs.models.history import BulkOperation, Execution, PruningRound, Run

__all__ = [
    "Agreement",
    "BulkOperation",
    "DatabaseMark",
    "Digest",
    "EndedSlip",
    "Execution",
    "Heartbeat",
    "ProcessKind",
    "PruningRound",
    "Run",
    "Tally",
    "TallySlip",
]
