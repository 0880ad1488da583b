"""The guards of the protocol, each a switch: conditions of the SQL on a row, and of a worker on its memory."""

from dataclasses import dataclass, field, fields
from typing import Any


def _guard(says: str, location: str) -> Any:
    return field(default=True, metadata={"says": says, "location": location})


@dataclass(frozen=True, slots=True)
class Guards:
    """The protocol has all of them on. `location` is the file with the guard; a name ends in what it checks."""

    claim_pending: bool = _guard("a claim takes a pending row only", "workers/worker/claim.py")
    claim_due: bool = _guard("a claim takes a row that is due only", "workers/worker/claim.py")
    record_status: bool = _guard("recording moves a running row only", "runs/attempts/fence.py")
    record_owner: bool = _guard("recording moves its owner's row only", "runs/attempts/fence.py")
    record_attempt: bool = _guard("recording moves the row of this attempt only", "runs/attempts/fence.py")
    record_moved_only: bool = _guard(
        "only an attempt that moved is written as a run and counted", "runs/attempts/recording.py"
    )
    record_moved_by_attempt: bool = _guard(
        "moved attempts are identified by execution and attempt", "runs/attempts/recording.py"
    )
    run_unique: bool = _guard("an attempt has one run: a unique key", "runs/models/history.py")
    lease_cleared: bool = _guard("a row that leaves running loses owner and lease", "runs/attempts/recording.py")
    retries_end: bool = _guard("the last attempt is not followed by another", "runs/attempts/retry.py")
    unsent_number: bool = _guard("only its own attempt corrects a canceled run", "runs/attempts/recording.py")
    unsent_worker: bool = _guard("only its own worker corrects a canceled run", "runs/attempts/recording.py")
    unsent_canceled: bool = _guard("only a canceled run is corrected", "runs/attempts/recording.py")
    unsent_known: bool = _guard("only an attempt that was never sent corrects its run", "runs/attempts/recording.py")
    reap_running: bool = _guard("the reaper takes a running row only", "runs/attempts/reaping.py")
    reap_expired: bool = _guard("the reaper takes an expired lease only", "runs/attempts/reaping.py")
    reap_after_outage: bool = _guard(
        "the reaper waits after an outage until leases are renewed", "workers/beat/clock.py"
    )
    cancel_live: bool = _guard("a cancel takes a row that has not ended only", "runs/executions/cancel.py")
    cancel_by_attempt: bool = _guard("the message of a cancel aborts its own attempt only", "workers/worker/service.py")
    cancel_ends_wait: bool = _guard("a cancel ends what waits", "runs/workflows/cleanup.py")
    cleanup_begun: bool = _guard("what has not begun has no finally", "runs/workflows/cleanup.py")
    cleanup_once: bool = _guard("a cancel begins finally once", "runs/workflows/cleanup.py")
    move_uncounted: bool = _guard("a claim that calls nothing counts no attempt", "runs/workflows/progress.py")
    early_used: bool = _guard("a step that is reached takes the request that came early", "runs/workflows/advance.py")
    expired_over: bool = _guard("a wait is over only once its time is", "runs/workflows/advance.py")
    wake_over: bool = _guard("the clock wakes only what is over", "runs/workflows/wake.py")
    resume_live: bool = _guard("a request finds an execution that has not ended only", "runs/workflows/resume.py")
    resume_early: bool = _guard("a request that comes early is kept", "runs/workflows/resume.py")
    resume_waiting: bool = _guard("a request ends a step that waits only", "runs/workflows/resume.py")
    resume_in_time: bool = _guard("a request ends a wait that is not over only", "runs/workflows/resume.py")
    decide_waiting: bool = _guard("a decision ends a step that waits only", "runs/workflows/approvals.py")
    decide_in_time: bool = _guard("a decision ends a wait that is not over only", "runs/workflows/approvals.py")
    go_on_waiting: bool = _guard("what resolves a step moves a waiting row only", "runs/workflows/resume.py")
    extend_status: bool = _guard("renewing takes a running row only", "workers/worker/claim.py")
    extend_owner: bool = _guard("renewing takes its owner's row only", "workers/worker/claim.py")
    extend_attempt: bool = _guard("renewing takes the row of this attempt only", "workers/worker/claim.py")
    give_back_status: bool = _guard("giving back takes a running row only", "workers/worker/claim.py")
    give_back_owner: bool = _guard("giving back takes its owner's row only", "workers/worker/claim.py")
    give_back_attempt: bool = _guard("giving back takes the row of this attempt only", "workers/worker/claim.py")
    give_back_unsent: bool = _guard("only an attempt that was never sent is given back", "workers/worker/service.py")
    sent_in_lease: bool = _guard("nothing is sent once the lease may have expired", "workers/worker/held.py")
    claim_drops_older: bool = _guard("a claim drops an older attempt that is still held", "workers/worker/service.py")
    result_by_attempt: bool = _guard("an engine's result belongs to the claim that made it", "workers/worker/held.py")
    forget_by_attempt: bool = _guard("a recorded attempt is forgotten by its number", "workers/worker/held.py")
    abort_by_attempt: bool = _guard("a lost lease aborts its own attempt only", "workers/delivery/engine.py")
    lost_aborted: bool = _guard("an attempt that was lost is aborted", "workers/worker/service.py")
    doubt_unrecorded: bool = _guard(
        "nothing is recorded of an attempt that may have been given back", "workers/worker/service.py"
    )
    doubt_settled: bool = _guard(
        "an attempt that was given back without an answer is forgotten before another is claimed",
        "workers/worker/service.py",
    )


NAMES = tuple(guard.name for guard in fields(Guards))


def says(name: str) -> str:
    return str(Guards.__dataclass_fields__[name].metadata["says"])


def location(name: str) -> str:
    return str(Guards.__dataclass_fields__[name].metadata["location"])


def without(*names: str) -> Guards:
    """The protocol with these guards switched off. Raises TypeError for an unknown name."""
    return Guards(**dict.fromkeys(names, False))
