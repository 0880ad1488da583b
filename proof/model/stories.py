"""What happened, in plain words."""

from collections.abc import Iterator

from proof.model.search import Violation
from proof.model.state import LATER, PENDING, QUEUED, RUNNING, Row
from proof.model.transitions import Action

_WORDS = {
    "due": "It comes due.",
    "released": "What it queued behind ends; it is due.",
    "heartbeat period": "A heartbeat period passes.",
    "outage": "PostgreSQL is away for longer than the lease of worker {w}'s attempt {n}, and comes back.",
    "lease expires": "The lease of worker {w}'s attempt {n} expires.",
    "reap": "The reaper takes attempt {n} from worker {w}.",
    "cancel": "Somebody cancels the {detail} execution.",
    "kill": "Worker {w} is killed.",
    "stand still": "Worker {w} stands still past the lease of attempt {n}.",
    "claim": "Worker {w} claims attempt {n}.",
    "claim/reply lost": "Worker {w} claims attempt {n}; the answer is lost after the commit.",
    "hand over": "Worker {w} hands attempt {n} to its engine.",
    "give back": "Worker {w} gives attempt {n} back.",
    "give back/reply lost": "Worker {w} gives attempt {n} back; the answer is lost after the commit.",
    "give back/refused": "Worker {w} asks to give attempt {n} back; it is not its own.",
    "send": "Worker {w} sends the request of attempt {n}.",
    "crowded": "Worker {w}'s engine has no room for attempt {n}, which is to be given back.",
    "too late to send": "Worker {w}'s engine does not send attempt {n}: its lease may have expired.",
    "answer": "The target answers attempt {n} of worker {w}: {detail}.",
    "abort": "Worker {w}'s engine aborts what it was asked to.",
    "told to cancel": "Worker {w} hears that attempt {n} was canceled, and aborts it.",
    "operator aborts": "An operator aborts attempt {n} in worker {w}.",
    "renew": "Worker {w} renews the lease of attempt {n}.",
    "renew/lost": "Worker {w} asks to renew attempt {n}; it is not its own any more.",
    "record": "Worker {w} records attempt {n}: {detail}.",
    "record/refused": "Worker {w} records attempt {n}; the fence refuses it.",
    "record/not storable": "Worker {w} records attempt {n}, which can't be stored.",
    "record/together": "Worker {w} records all that it has in one batch.",
}
_BORN = {LATER: "It is born for later.", QUEUED: "It is born queued behind another."}


def words(action: Action) -> str:
    """A sentence for what happened."""
    template = _WORDS.get(f"{action.kind}/{action.detail}") or _WORDS[action.kind]
    name = "?" if action.worker is None else "ABC"[action.worker]
    return template.format(w=name, n=action.attempt, detail=action.detail)


def story(violation: Violation) -> Iterator[str]:
    """The shortest way to a violation, a sentence for each step."""
    row = violation.start.row
    if row.status != PENDING:
        yield f"It is born {row.status}."
    elif row.wait in _BORN:
        yield _BORN[row.wait]
    for action, _ in violation.steps:
        yield words(action)
    yield f"Broken: {violation.invariant.says} ({_shown(violation.steps[-1][1].row if violation.steps else row)})"


def _shown(row: Row) -> str:
    held = f" by worker {'ABC'[row.owner]}" if row.owner is not None and row.status == RUNNING else ""
    return f"the row: {row.status}{held}, attempts {row.attempts}"
