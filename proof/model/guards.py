"""The guards of the protocol, each a switch: what the SQL asks of a row, and what a worker asks of its memory."""

from dataclasses import dataclass, field, fields
from typing import Any


def _guard(says: str, place: str) -> Any:
    return field(default=True, metadata={"says": says, "place": place})


@dataclass(frozen=True, slots=True)
class Guards:
    """All on is the protocol. `place` names the code that has the guard; a name ends in what it looks at."""

    claim_pending: bool = _guard("a claim takes a pending row only", "workers/worker/claim.py")
    claim_due: bool = _guard("a claim takes a row that is due only", "workers/worker/claim.py")
    record_status: bool = _guard("recording moves a running row only", "runs/attempts/recording.py")
    record_owner: bool = _guard("recording moves its owner's row only", "runs/attempts/recording.py")
    record_attempt: bool = _guard("recording moves the row of this attempt only", "runs/attempts/recording.py")
    record_moved_only: bool = _guard("only what moved is written as a run and counted", "runs/attempts/recording.py")
    record_moved_by_attempt: bool = _guard("what moved is known by execution and attempt", "runs/attempts/recording.py")
    run_unique: bool = _guard("an attempt has one run: a unique key", "runs/models/history.py")
    lease_cleared: bool = _guard("what leaves running loses owner and lease", "runs/attempts/recording.py")
    retries_end: bool = _guard("the last attempt is not followed by another", "runs/attempts/retry.py")
    unsent_number: bool = _guard("a canceled run is put right by its own attempt only", "runs/attempts/recording.py")
    unsent_worker: bool = _guard("a canceled run is put right by its own worker only", "runs/attempts/recording.py")
    unsent_canceled: bool = _guard("only a canceled run is put right", "runs/attempts/recording.py")
    unsent_known: bool = _guard("only an attempt that was never sent puts its run right", "runs/attempts/recording.py")
    reap_running: bool = _guard("the reaper takes a running row only", "runs/attempts/reaping.py")
    reap_expired: bool = _guard("the reaper takes an expired lease only", "runs/attempts/reaping.py")
    reap_after_outage: bool = _guard(
        "the reaper waits after an outage until leases are renewed", "workers/beat/clock.py"
    )
    cancel_live: bool = _guard("a cancel takes a row that has not ended only", "runs/executions/cancel.py")
    extend_status: bool = _guard("renewing takes a running row only", "workers/worker/claim.py")
    extend_owner: bool = _guard("renewing takes its owner's row only", "workers/worker/claim.py")
    extend_attempt: bool = _guard("renewing takes the row of this attempt only", "workers/worker/claim.py")
    give_back_status: bool = _guard("giving back takes a running row only", "workers/worker/claim.py")
    give_back_owner: bool = _guard("giving back takes its owner's row only", "workers/worker/claim.py")
    give_back_attempt: bool = _guard("giving back takes the row of this attempt only", "workers/worker/claim.py")
    give_back_unsent: bool = _guard("only what was never sent is given back", "workers/worker/service.py")
    sent_in_lease: bool = _guard("nothing is sent once the lease may have expired", "workers/worker/held.py")
    claim_drops_older: bool = _guard("a claim drops an older attempt that is still held", "workers/worker/service.py")
    result_by_attempt: bool = _guard("an engine's result belongs to the claim that made it", "workers/worker/held.py")
    forget_by_attempt: bool = _guard("what is recorded is forgotten by its attempt", "workers/worker/held.py")
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


def place(name: str) -> str:
    return str(Guards.__dataclass_fields__[name].metadata["place"])


def without(*names: str) -> Guards:
    """The protocol with these guards switched off. Raises TypeError for a name that is none."""
    return Guards(**dict.fromkeys(names, False))
