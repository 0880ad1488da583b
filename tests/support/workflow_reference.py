"""What the documentation says that a workflow does, step by step: a second, simple implementation for tests.

It shares no code with the product. Events come one at a time; time is in seconds, and passes only when a test says so.
"""

import json
from dataclasses import dataclass, field
from typing import Any

FINALLY_SECONDS = 600
TERMINAL = ("succeeded", "failed", "canceled")


@dataclass
class Progress:
    """A step that has been reached, or whose request came early. `polls_until`: polling ends then."""

    status: str = ""
    waits_until: float | None = None
    polls_until: float | None = None
    tries: int = 0
    approvals: int = 0
    answer: tuple[Any, str] | None = None
    early: str | None = None


@dataclass
class ReferenceWorkflow:
    """One execution of a definition's `workflow` section."""

    written: dict[str, Any]
    status: str = "pending"
    now: float = 0.0
    started: float | None = None
    calling: str = ""
    outcome: str = ""
    reason: str = ""
    #: The step whose answer is the workflow's.
    answers_with: str = ""
    finally_until: float = 0.0
    runs: list[tuple[str, int, str]] = field(default_factory=list)
    steps: dict[str, Progress] = field(default_factory=dict)

    # -- events ----------------------------------------------------------------------------------------------------

    def claim(self) -> str:
        """A worker takes it up. Returns the step that it calls, or an empty text."""
        if self.status != "pending":
            return ""
        self.status = "running"
        if self.started is None:
            self.started = self.now
        self._go_on()
        return self.calling

    def answer(self, code: int, body: dict[str, Any]) -> None:
        """The call is answered."""
        step, name = self._called(), self.calling
        self.calling = ""
        if code == 500 and self._tries_again(step):
            self._run(name, "failed")
            return
        self._run(name, "succeeded" if code == 200 else "failed")
        own = self.steps[name]
        if code == 200 and step["poll"] and body["state"] != "done":
            every, limit = step["poll"]["every_seconds"], step["poll"]["timeout_seconds"]
            if own.polls_until is None:
                own.polls_until = min(self._deadline(name), self.now + limit)
            own.waits_until = min(self.now + every, max(self.now, own.polls_until))
            own.tries, own.answer = 0, (code, json.dumps(body))
            self.status = "waiting"
            return
        reason = "http_server_error" if code == 500 else "http_client_error"
        self._end(name, "succeeded" if code == 200 else "failed", reason)
        own.answer = (code, json.dumps(body))
        if code == 200 and step is self.written["steps"][-1] and not self.written["finally"]:
            self._go_on()

    def lose_worker(self) -> None:
        """The worker that calls dies, and its lease expires."""
        name, again = self.calling, self._tries_again(self._called())
        self.calling = ""
        self._run(name, "failed")
        if not again:
            self._end(name, "failed", "worker_lost")
            self.steps[name].answer = None

    def give_back(self) -> None:
        """The worker gives the call back unsent. What had not begun has not begun again."""
        self.calling, self.status = "", "pending"
        begun = (own for own in self.steps.values() if own.status or own.waits_until is not None)
        if not self.runs and not any(begun):
            self.started = None

    def post(self, name: str, body: str) -> None:
        """A request comes to the URL of a webhook step."""
        own = self.steps.setdefault(name, Progress())
        if self.status in TERMINAL or own.status:
            return
        if own.waits_until is None:
            own.early = own.early or body
        elif self.now < own.waits_until:
            self._resolve(name, "succeeded", ("received", body))

    def decide(self, approves: bool) -> None:
        """A person approves or rejects what is waiting for approval."""
        name = self._waiting_for("approval")
        own = self.steps.get(name)
        if own is None or own.waits_until is None or self.now >= own.waits_until:
            return
        own.approvals += approves
        if not approves:
            self._resolve(name, "failed", ("rejected", ""), "rejected")
        elif own.approvals >= self._written(name)["required"]:
            self._resolve(name, "succeeded", ("approved", ""))

    def wake(self) -> None:
        """The clock ends what has waited long enough."""
        if self.status == "waiting" and any(
            not own.status and own.waits_until is not None and self.now >= own.waits_until
            for own in self.steps.values()
        ):
            self.status = "pending"

    def cancel(self) -> None:
        """A person cancels it."""
        if self.status in TERMINAL:
            return
        if self.calling:
            self._run(self.calling, "canceled")
        for name, own in self.steps.items():
            if not own.status and (own.waits_until is not None or own.tries or name == self.calling):
                own.status = "canceled"
        self.calling = ""
        if self.started is None or self.outcome or not self.written["finally"]:
            self.status, self.reason = "canceled", ""
            return
        self._decide_outcome("canceled")
        self.status = "pending"

    # -- what follows ----------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if not self.outcome and self._stops_at_steps():
            return
        for step in self.written["finally"]:
            own = self.steps.get(step["id"], Progress())
            if own.status:
                continue
            if self.now >= self.finally_until:
                self._run_out(step)
            elif self._stops_at(step):
                return
        self.status = self.outcome

    def _stops_at_steps(self) -> bool:
        """Go through the steps. Returns whether one of them has something to do."""
        for step in self.written["steps"]:
            if not self.steps.get(step["id"], Progress()).status:
                if self.now >= self._deadline(step["id"]):
                    self._run_out(step)
                    self._decide_outcome("failed", "timeout")
                    return False
                if self._stops_at(step):
                    return True
            own = self.steps[step["id"]]
            if own.status != "failed" or step["on_failure"] == "continue":
                continue
            if step["on_failure"] == "stop":
                break
            if own.answer is None and own.waits_until is not None and step.get("on_timeout") == "continue":
                continue
            self._decide_outcome("failed", self._failed_with[step["id"]])
            return False
        self._decide_outcome("succeeded")
        names = [step["id"] for step in self.written["steps"] if step["id"] in self.steps]
        self.answers_with = next((name for name in reversed(names) if self.steps[name].answer is not None), "")
        return False

    def _stops_at(self, step: dict[str, Any]) -> bool:
        """Reach a step, or come back to it. Returns whether it calls or waits; else it is over."""
        own = self.steps.setdefault(step["id"], Progress())
        if step["type"] == "http" and own.polls_until is not None and self.now >= own.polls_until:
            own.status = "failed"
            self._failed_with[step["id"]] = "wait_expired"
            return False
        if own.waits_until is None and not own.tries and not all(map(self._holds, step["if"])):
            own.status = "skipped"
            return False
        if step["type"] == "http":
            self.calling = step["id"]
            return True
        if own.waits_until is None and own.early is not None:
            own.status, own.answer = "succeeded", ("received", own.early)
            return False
        if own.waits_until is None:
            lasts = step["seconds"] if step["type"] == "delay" else step["timeout_seconds"]
            own.waits_until = min(self._deadline(step["id"]), self.now + lasts)
        if self.now < own.waits_until:
            self.status = "waiting"
            return True
        own.status = "succeeded" if step["type"] == "delay" else "failed"
        self._failed_with[step["id"]] = "wait_expired"
        return False

    def _holds(self, condition: dict[str, Any]) -> bool:
        """`{{steps.ID.status}} equals` something."""
        return self.value(condition["value"].strip("{}")) == condition["to"]

    def value(self, variable: str) -> Any:
        """The value of `steps.ID.status` or `.body`; None where there is none."""
        _, name, part = variable.split(".")
        answer = self.steps.get(name, Progress()).answer
        return None if answer is None else answer[part == "body"]

    # -- parts -----------------------------------------------------------------------------------------------------

    def __post_init__(self) -> None:
        self._failed_with: dict[str, str] = {}

    def _written(self, name: str) -> dict[str, Any]:
        both = [*self.written["steps"], *self.written["finally"]]
        return next(step for step in both if step["id"] == name)

    def _called(self) -> dict[str, Any]:
        return self._written(self.calling)

    def _deadline(self, name: str) -> float:
        if any(step["id"] == name for step in self.written["finally"]):
            return self.finally_until
        assert self.started is not None
        return float(self.started + self.written["timeout_seconds"])

    def _decide_outcome(self, outcome: str, reason: str = "") -> None:
        self.outcome, self.reason, self.finally_until = outcome, reason, self.now + FINALLY_SECONDS

    def _run_out(self, step: dict[str, Any]) -> None:
        """The time is over before this step: what has begun of it is canceled."""
        own = self.steps.get(step["id"])
        if own is not None and (own.waits_until is not None or own.tries or own.early is not None):
            own.status = "canceled"

    def _waiting_for(self, kind: str) -> str:
        waiting = (name for name, own in self.steps.items() if not own.status and own.waits_until is not None)
        return next((name for name in waiting if self._written(name)["type"] == kind), "")

    def _resolve(self, name: str, status: str, answer: tuple[Any, str], reason: str = "") -> None:
        self.steps[name].answer = answer
        self._end(name, status, reason)

    def _end(self, name: str, status: str, reason: str = "") -> None:
        self.steps[name].status, self.status = status, "pending"
        self._failed_with[name] = reason

    def _tries_again(self, step: dict[str, Any]) -> bool:
        own = self.steps[step["id"]]
        if own.tries + 1 >= step["retry"]["max_attempts"]:
            return False
        own.tries, self.status = own.tries + 1, "pending"
        return True

    def _run(self, name: str, status: str) -> None:
        self.runs.append((name, sum(run[0] == name for run in self.runs) + 1, status))
