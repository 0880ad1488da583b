"""The catalogue of all faults, and those of users, targets and whole machines."""

import random
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from tests.acceptance.chaos.fault import PAST_LEASE, SHORT, Fault, Heal, NotReachedError, awaited, over
from tests.acceptance.chaos.house import WORKERS, House, send, stop_all
from tests.acceptance.chaos.postgres_faults import (
    backends_killed,
    connections_used_up,
    postgres_ends,
    postgres_paused,
    postgres_refuses,
    table_locked,
    writes_refused,
    writes_refused_anew,
)
from tests.acceptance.chaos.process_faults import (
    HOUR,
    STEPS,
    all_stopped,
    deployed,
    dies_at,
    killed,
    stopped,
    stops_at,
    wrong_clock,
)
from tests.acceptance.chaos.racing import race_the_tick
from tests.acceptance.chaos.redis_faults import (
    TEARS,
    messages_doubled,
    redis_ends,
    redis_flushed,
    redis_full,
    redis_hangs,
)


def plan_races() -> Fault:
    def strike(house: House) -> Heal:
        race_the_tick(house, random.Random(house.races), rounds=5)
        return over

    return Fault("edits, pauses and deletes race the tick", strike)


def target_kills_worker() -> Fault:
    """Create a job whose target kills the calling worker once, and answers the retry."""

    def strike(house: House) -> Heal:
        before = set(house.struck)
        if house.run_by_hand("deadly") is None:
            raise NotReachedError("the API")
        awaited(lambda: sorted(set(house.struck) - before), "the target to be called")
        return over

    return Fault("a target kills its worker", strike)


def everything_killed(tear: Callable[[Path], None]) -> Fault:
    """As when a machine loses its power: all is gone in one moment, and Redis's log ends as it had just got to disk.

    The supervisor of the house is started anew, as the machine's own would; that of the services brings them back.
    """

    def strike(house: House) -> Heal:
        services = [*house.services.valkey(), *house.services.postgres()]
        supervisor = psutil.Process(house.installation.process.pid)
        household = house.processes()
        stop_all([supervisor, *services])
        for log in house.services.valkey_logs():
            tear(log)
        for process in household:
            house.kill(process, "everything was killed")
        for process in (*supervisor.children(recursive=True), supervisor, *services):
            send(process, signal.SIGKILL)
        house.installation.process.wait(60)
        house.deploys += 1
        return house.installation.launch

    told = tear.__name__.replace("_", " ")
    return Fault(f"everything killed, Redis's log {told}", strike, alone=True)


def catalogue(workers: int = WORKERS) -> Sequence[Fault]:
    """Return every fault that can strike a house with this number of workers."""
    several = [("beat", 1), ("beat", 2), *(("worker", number) for number in range(1, workers + 1))]
    return (
        *(killed(kind, number) for kind, number in several),
        killed("web", 1),
        *(stopped(kind, number, SHORT) for kind, number in several),
        stopped("web", 1, SHORT),
        stopped("worker", 1, PAST_LEASE, "paused beyond its lease:"),
        all_stopped("worker", PAST_LEASE),
        *(dies_at(point) for points in STEPS.values() for point in points),
        stops_at("claim.committed"),
        stops_at("record.written"),
        redis_ends(signal.SIGKILL),
        redis_ends(signal.SIGTERM),
        redis_hangs(),
        redis_flushed(),
        redis_full(),
        messages_doubled(),
        postgres_ends(signal.SIGQUIT),
        postgres_ends(signal.SIGINT),
        postgres_paused(),
        postgres_refuses(),
        backends_killed(),
        writes_refused(),
        writes_refused_anew(),
        table_locked("runs_execution"),
        table_locked("runs_run"),
        connections_used_up(),
        plan_races(),
        target_kills_worker(),
        *(wrong_clock(kind, seconds) for kind in ("beat", "worker") for seconds in (HOUR, -HOUR)),
        deployed(),
        *(everything_killed(tear) for tear in TEARS),
    )
