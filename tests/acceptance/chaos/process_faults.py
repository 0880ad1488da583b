"""Faults of web processes, beats and workers: killed, stopped, or started with a wrong clock, anywhere or at a step."""

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
    """A process that stands still, and goes on. A worker's leases may run out meanwhile."""

    def strike(house: House) -> Heal:
        return _stand_still(house, _chosen(house, kind, number))

    return Fault(f"{name} {kind} {number}", strike, lasts)


def all_stopped(kind: str, lasts: tuple[float, float]) -> Fault:
    """Every process of a kind at once: what they hold is nobody's, until the very same ones go on and claim again."""

    def strike(house: House) -> Heal:
        return _stand_still(house, house.processes(kind))

    return Fault(f"paused beyond their leases: all {kind}s", strike, lasts)


def _stand_still(house: House, processes: list[psutil.Process]) -> Heal:
    chosen = [one for process in processes for one in (process, *children_of(process))]
    house.stop(chosen, "stopped")
    return lambda: house.resume(chosen)


def _chosen(house: House, kind: str, number: int) -> list[psutil.Process]:
    """One process of a kind, by its age. Raises NotReachedError where another fault has just ended it."""
    chosen = house.processes(kind)[number - 1 : number]
    if not chosen:
        raise NotReachedError(f"{kind} {number}")
    return chosen


def wrong_clock(kind: str, seconds: int) -> Fault:
    """The next of a kind that starts has a wrong clock, until it is killed again."""

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
    """All of the house is asked to stop under load, and started anew."""

    def strike(house: House) -> Heal:
        for process in house.processes():
            house.struck[process.pid] = "deployed"
        house.deploys += 1
        house.installation.stop()
        return house.installation.launch

    return Fault("deploy", strike, alone=True)


# -- steps -------------------------------------------------------------------------------------------------------------

#: The failpoints of each step.
STEPS = {
    "fire": ("fire.written", "fire.committed"),
    "settle": ("settle.written", "settle.committed"),
    "enqueue": ("enqueue.sent",),
    "claim": ("claim.taken", "claim.committed"),
    "send": ("send.submitted",),
    "record": ("record.written", "record.committed"),
    "requeue": ("requeue.marked", "requeue.committed"),
    "reap": ("reap.written", "reap.committed"),
}


def dies_at(point: str) -> Fault:
    """The first process that comes by a failpoint is killed there, by itself."""

    def strike(house: House) -> Heal:
        _signalled_at(house, point, signal.SIGKILL)
        return over

    return Fault(f"SIGKILL at {point}", strike)


def stops_at(point: str) -> Fault:
    """The first process that comes by a failpoint stands still there until its leases are another's."""

    def strike(house: House) -> Heal:
        pid = _signalled_at(house, point, signal.SIGSTOP)
        return lambda: _resume(house, pid)

    return Fault(f"SIGSTOP beyond the lease at {point}", strike, PAST_LEASE)


def _resume(house: House, pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        house.resume([psutil.Process(pid)])


def _signalled_at(house: House, point: str, number: signal.Signals) -> int:
    """Let whoever comes by a failpoint first send itself a signal; its pid."""
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
    """Reaping needs a worker that died with something in its hands, settling a plan that changes."""
    if point.startswith("reap."):
        _signalled_at(house, "claim.committed", signal.SIGKILL)
    elif point.startswith("settle."):
        race_the_tick(house, random.Random(house.races), rounds=2)
