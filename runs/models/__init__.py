"""Executions, runs, bulk operations, and what is counted of them."""

from runs.models.callbacks import Callback, CallbackAttempt
from runs.models.counting import (
    Agreement,
    CounterDelta,
    CounterTotal,
    DatabaseMark,
    Heartbeat,
    ProcessKind,
    Rollup,
    RollupDelta,
)
from runs.models.history import Execution, Run
from runs.models.operations import BulkOperation, PruningRound
from runs.models.webhooks import WebhookDelivery
from runs.models.workflows import StepState

__all__ = [
    "Agreement",
    "BulkOperation",
    "Callback",
    "CallbackAttempt",
    "CounterDelta",
    "CounterTotal",
    "DatabaseMark",
    "Execution",
    "Heartbeat",
    "ProcessKind",
    "PruningRound",
    "Rollup",
    "RollupDelta",
    "Run",
    "StepState",
    "WebhookDelivery",
]
