"""Faults of web processes, beats and workers: killed, suspended or given a wrong clock, anywhere or at a failpoint."""

import contextlib
import random
import signal

import psutil

from tests.acceptance.chaos.fault import PAST_LEASE, Fault, Heal, NotReachedError, awaited, over
from tests.acceptance.chaos.house import BACK_SECONDS, House
from tests.acceptance.chaos.racing import race_the_tick
from tests.acceptance.chaos.services import children_of

HOUR = 3600


def killed(kind: str, number: int) -> Fault:
    def strike(house: House) -> Heal:
        for process in _chosen(house, kind, number):
            house.kill(process, "killed")
        return over

    return Fault(f"SIGKILL {kind} {number}", strike)


def stopped(kind: str, number: int, lasts: tuple[float, float], name: str = "SIGSTOP") -> Fault:
    """Suspend and resume a process. A worker's leases may expire meanwhile."""

    def strike(house: House) -> Heal:
        return _stand_still(house, _chosen(house, kind, number))

    return Fault(f"{name} {kind} {number}", strike, lasts)


def all_stopped(kind: str, lasts: tuple[float, float]) -> Fault:
    """Suspend every process of a kind at once: their leases expire before the same processes resume and claim again."""

    def strike(house: House) -> Heal:
        return _stand_still(house, house.processes(kind))

    return Fault(f"paused beyond their leases: all {kind}s", strike, lasts)


def _stand_still(house: House, processes: list[psutil.Process]) -> Heal:
    chosen = [one for process in processes for one in (process, *children_of(process))]
    house.stop(chosen, "stopped")
    return lambda: house.resume(chosen)


def _chosen(house: House, kind: str, number: int) -> list[psutil.Process]:
    """Return a process of a kind, by age. Raises NotReachedError if another fault has just ended it."""
    chosen = house.processes(kind)[number - 1 : number]
    if not chosen:
        raise NotReachedError(f"{kind} {number}")
    return chosen


def wrong_clock(kind: str, seconds: int) -> Fault:
    """Give the next process of a kind a wrong clock until it is killed."""

    def strike(house: House) -> Heal:
        (house.clocks / kind).write_text(str(seconds))
        for process in _chosen(house, kind, 1):
            house.kill(process, "killed for its clock")
        worn = awaited(lambda: list(house.clocks.glob(f"{kind}.*")), f"a {kind} with a wrong clock", BACK_SECONDS)

        def heal() -> None:
            for order in worn:
                order.unlink(missing_ok=True)
                with contextlib.suppress(psutil.NoSuchProcess):
                    house.kill(psutil.Process(int(order.suffix[1:])), "killed for its clock")

        return heal

    return Fault(f"{kind}'s clock {seconds // HOUR:+d} h", strike, (5.0, 8.0))


def deployed() -> Fault:
    """Stop and restart the whole house under load."""

    def strike(house: House) -> Heal:
        for process in house.processes():
            house.struck[process.pid] = "deployed"
        house.deploys += 1
        house.installation.stop()
        return house.installation.launch

    return Fault("deploy", strike, alone=True)


# -- steps -------------------------------------------------------------------------------------------------------------

#: The failpoints of each step of a process.
STEPS = {
    "fire": ("fire.written", "fire.committed"),
    "settle": ("settle.written", "settle.committed"),
    "enqueue": ("enqueue.sent",),
    "claim": ("claim.taken", "claim.committed"),
    "send": ("send.submitted",),
    "record": ("record.written", "record.committed"),
    "requeue": ("requeue.marked", "requeue.committed"),
    "reap": ("reap.written", "reap.committed"),
    "progress": ("progress.written",),
    "wake": ("wake.written",),
    "resume": ("resume.written",),
}
#: Steps that only workflows take.
OF_WORKFLOWS = frozenset({"progress", "wake", "resume"})
#: Failpoints that the workload of a storm does not reach: tests of their own kill processes there.
ELSEWHERE = frozenset({"approval.written", "callbacks.claimed"})


def dies_at(point: str) -> Fault:
    """Let the first process that reaches a failpoint kill itself."""

    def strike(house: House) -> Heal:
        _signalled_at(house, point, signal.SIGKILL)
        return over

    return Fault(f"SIGKILL at {point}", strike)


def stops_at(point: str) -> Fault:
    """Let the first process that reaches a failpoint suspend itself until its leases have expired."""

    def strike(house: House) -> Heal:
        pid = _signalled_at(house, point, signal.SIGSTOP)
        return lambda: _resume(house, pid)

    return Fault(f"SIGSTOP beyond the lease at {point}", strike, PAST_LEASE)


def _resume(house: House, pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        house.resume([psutil.Process(pid)])


def _signalled_at(house: House, point: str, number: signal.Signals) -> int:
    """Let the first process that reaches a failpoint send itself a signal, and return its pid."""
    order = house.failpoints / point
    draft = order.with_name(f"{point}.draft")
    draft.write_text(str(int(number)))
    draft.rename(order)
    try:
        _bring_about(house, point)
        (done,) = awaited(lambda: list(house.failpoints.glob(f"{point}.*")), f"a process at {point}")
    finally:
        order.unlink(missing_ok=True)
    done.unlink(missing_ok=True)
    pid = int(done.suffix[1:])
    note = house.died if number == signal.SIGKILL else house.stood
    note(pid, f"{number.name} at {point}")
    return pid


def _bring_about(house: House, point: str) -> None:
    """Cause reaping with a dead worker, and reconciliation with a changed job."""
    if point.startswith("reap."):
        _signalled_at(house, "claim.committed", signal.SIGKILL)
    elif point.startswith("settle."):
        race_the_tick(house, random.Random(house.races), rounds=2)
