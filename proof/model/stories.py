"""Tells a violation in plain words."""

from collections.abc import Iterator

from proof.model.search import Violation
from proof.model.state import LATER, PENDING, QUEUED, RUNNING, Row
from proof.model.transitions import Action

_WORDS = {
    "due": "It becomes due.",
    "released": "The execution ahead of it in the queue ends; it is due.",
    "heartbeat period": "A heartbeat period passes.",
    "outage": "PostgreSQL is away for longer than the lease of worker {w}'s attempt {n}, and comes back.",
    "lease expires": "The lease of worker {w}'s attempt {n} expires.",
    "reap": "The reaper takes attempt {n} from worker {w}.",
    "cancel": "A user cancels the {detail} execution.",
    "kill": "Worker {w} is killed.",
    "pause": "Worker {w} is paused past the lease of attempt {n}.",
    "claim": "Worker {w} claims attempt {n}.",
    "claim/waiting": "Worker {w} claims it; it comes to the step that waits.",
    "claim/succeeded": "Worker {w} claims it; all its steps are over, and it has succeeded.",
    "claim/failed": "Worker {w} claims it; all its steps are over, and it has failed.",
    "claim/canceled": "Worker {w} claims it; its finally is over, and it is canceled.",
    "wait over": "The time of the step that waits is over.",
    "wake": "The clock wakes the execution.",
    "resume": "A request comes for the {detail} step.",
    "decide": "A person decides on the {detail} step.",
    "claim/reply lost": "Worker {w} claims attempt {n}; the answer is lost after the commit.",
    "hand over": "Worker {w} hands attempt {n} to its engine.",
    "give back": "Worker {w} gives attempt {n} back.",
    "give back/reply lost": "Worker {w} gives attempt {n} back; the answer is lost after the commit.",
    "give back/refused": "Worker {w} tries to give attempt {n} back, which is not its own.",
    "send": "Worker {w} sends the request of attempt {n}.",
    "crowded": "Worker {w}'s engine has no room for attempt {n}, which will be given back.",
    "too late to send": "Worker {w}'s engine does not send attempt {n}: its lease may have expired.",
    "answer": "The target answers attempt {n} of worker {w}: {detail}.",
    "abort": "Worker {w}'s engine carries out its aborts.",
    "cancel received": "Worker {w} learns that attempt {n} was canceled, and aborts it.",
    "operator aborts": "An operator aborts attempt {n} in worker {w}.",
    "renew": "Worker {w} renews the lease of attempt {n}.",
    "renew/lost": "Worker {w} tries to renew attempt {n}, which is no longer its own.",
    "record": "Worker {w} records attempt {n}: {detail}.",
    "record/refused": "Worker {w} records attempt {n}; the fence refuses it.",
    "record/not storable": "Worker {w} records attempt {n}, which can't be stored.",
    "record/together": "Worker {w} records all its results in one batch.",
}
_CREATED = {LATER: "It is created for later.", QUEUED: "It is created queued behind another."}


def words(action: Action) -> str:
    """A sentence about an action."""
    template = _WORDS.get(f"{action.kind}/{action.detail}") or _WORDS[action.kind]
    name = "?" if action.worker is None else "ABC"[action.worker]
    return template.format(w=name, n=action.attempt, detail=action.detail)


def story(violation: Violation) -> Iterator[str]:
    """The shortest path to a violation, a sentence for each step."""
    row = violation.start.row
    if row.status != PENDING:
        yield f"It is created {row.status}."
    elif violation.start.flow is not None:
        yield "It is created, a workflow."
    elif row.wait in _CREATED:
        yield _CREATED[row.wait]
    for action, _ in violation.steps:
        yield words(action)
    yield f"Broken: {violation.invariant.says} ({_describe(violation.steps[-1][1].row if violation.steps else row)})"


def _describe(row: Row) -> str:
    owner = f" by worker {'ABC'[row.owner]}" if row.owner is not None and row.status == RUNNING else ""
    return f"the row: {row.status}{owner}, attempts {row.attempts}"
