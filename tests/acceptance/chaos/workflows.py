"""Rules of workflows: each step is resolved once, and no request that was accepted is lost. Pure."""

import json
from collections import Counter
from collections.abc import Iterator

from tests.acceptance.chaos.findings import Finding, Index, Invariant
from tests.acceptance.chaos.history import Flow, History

_STEPS = ["ask", "paid", "pause", "ship"]


def flows(history: History, index: Index) -> Iterator[Finding]:
    """Check that each workflow went through its steps once, and sent on what a request had brought."""
    for flow in history.flows:
        doubled = [step for step, count in Counter(step for step, _ in flow.steps).items() if count > 1]
        if doubled:
            yield Finding(Invariant.ONE_ROW, flow.id, f"has several rows of {', '.join(doubled)}")
        if problem := _not_through(flow):
            yield Finding(Invariant.NONE_LOST, flow.id, problem)
        for exchange in (one for calls in index.seen.get(f"{flow.id}/ship", {}).values() for one in calls):
            token = json.loads(exchange.body).get("token")
            if token not in history.sent.get(flow.id, ()):
                yield Finding(Invariant.NONE_LOST, flow.id, "sent on what no request had brought")


def _not_through(flow: Flow) -> str:
    if flow.status not in {"succeeded", "failed"}:
        return f"is {flow.status}"
    if flow.status == "succeeded" and sorted(map(tuple, flow.steps)) != [(name, "succeeded") for name in _STEPS]:
        return f"succeeded with the steps {flow.steps}"
    if flow.status == "failed" and flow.failure_reason != "worker_lost":
        return f"failed with {flow.failure_reason}, which nobody caused"
    return ""
