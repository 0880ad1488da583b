"""A seeded storm: faults one by one and combined, each until the house is punctual again."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.acceptance.chaos import tracing, workload
from tests.acceptance.chaos.evidence import gather
from tests.acceptance.chaos.fault import Fault, NotReachedError
from tests.acceptance.chaos.flows import MANY, Flows
from tests.acceptance.chaos.history import History
from tests.acceptance.chaos.house import BACK_SECONDS, House
from tests.acceptance.chaos.punctuality import ALLOWED_SECONDS, Recovery, recovered_at, recovery
from tests.acceptance.chaos.workload import PUNCTUAL, ByHand
from tests.support.waiting import wait_for

_MOST_TOGETHER = 3
_CALM_SECONDS = (0.2, 1.0)
_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Blow:
    """Faults that strike together, each with its duration in seconds."""

    faults: Sequence[Fault]
    seconds: Sequence[float]

    @property
    def name(self) -> str:
        return " + ".join(fault.name for fault in self.faults)


@dataclass(frozen=True, slots=True)
class Struck:
    """A blow that struck. `missed` are failpoints that were not reached; `whole`: every process came back in time."""

    blow: Blow
    struck_at: float
    healed_at: float
    missed: Sequence[str]
    whole: bool


@dataclass(frozen=True, slots=True)
class Storm:
    """The result of a storm: the blows, the recoveries, and the history for the oracle."""

    began_at: float
    blows: Sequence[tuple[Struck, Recovery]]
    history: History
    came_to_rest: bool


def blows(rng: random.Random, catalogue: Sequence[Fault], *, together: bool = True) -> Iterator[Blow]:
    """Yield each fault alone in random order, then forever several at once if `together`."""
    for fault in rng.sample(catalogue, len(catalogue)):
        yield _blow(rng, [fault])
    sociable = [fault for fault in catalogue if not fault.alone]
    while together:
        yield _blow(rng, rng.sample(sociable, rng.randint(1, min(_MOST_TOGETHER, len(sociable)))))


def _blow(rng: random.Random, faults: Sequence[Fault]) -> Blow:
    return Blow(faults, [round(rng.uniform(*fault.lasts), 1) for fault in faults])


def rage(
    house: House,
    planned: Iterator[Blow],
    *,
    seconds: float,
    rng: random.Random,
    tell: Callable[[str], None] = print,
    lasting: bool = True,
    workflows: int = MANY,
) -> Storm:
    """Strike blow after blow for so many seconds, then let all of it end.

    `lasting`: with jobs whose calls outlast a lease, for which the end has to wait. `workflows` start at the beginning.
    """
    tracing.begin(house)
    with house.under_fire("the start"):
        workload.begin(house, lasting=lasting)
        by_hand = ByHand(house, lasting=lasting)
        wait_for(lambda: _on_time(house, since=time.time() - 10), "the house to be on time", seconds=ALLOWED_SECONDS)
    began_at = time.time()
    flows = Flows(house, workflows, rng)
    starting = threading.Thread(target=flows.begin)
    starting.start()
    fallen = []
    for blow in planned:
        if time.time() - began_at > seconds:
            break
        tell(f"+{time.time() - began_at:5.0f} s  {blow.name}")
        fallen.append(_strike(house, blow))
        time.sleep(rng.uniform(*_CALM_SECONDS))
    ended_at = time.time()
    by_hand.stop()
    starting.join()
    flows.stop()
    tell(f"+{ended_at - began_at:5.0f} s  the end: everything is paused, and may end")
    came_to_rest = workload.end(house)
    ends = [struck.struck_at for struck in fallen[1:]] + [ended_at]
    history = gather(house, steps_unknown=tracing.unknown_steps(house), sent=flows.sent)
    return Storm(began_at, list(zip(fallen, _recoveries(house, fallen, ends), strict=True)), history, came_to_rest)


def _strike(house: House, blow: Blow) -> Struck:
    """Strike a blow, undo it, and wait until the house is whole and punctual, or the time is up."""
    struck_at = time.time()
    with house.under_fire(blow.name):
        with ThreadPoolExecutor(len(blow.faults)) as hands:
            told = list(hands.map(lambda fault, lasts: _suffer(house, fault, lasts), blow.faults, blow.seconds))
        healed_at = max(over_at for over_at, _ in told)
        missed = [what for _, what in told if what]
        whole = _comes_true(house.is_whole, until=healed_at + BACK_SECONDS)
    _comes_true(lambda: _on_time(house, since=healed_at), until=time.time() + ALLOWED_SECONDS)
    return Struck(blow, struck_at, healed_at, missed, whole)


def _suffer(house: House, fault: Fault, seconds: float) -> tuple[float, str]:
    """Apply one fault; return when it was undone, and the failpoint that was not reached, if any."""
    try:
        heal = fault.strike(house)
    except NotReachedError as error:
        return time.time(), str(error)
    time.sleep(seconds)
    over_at = time.time()
    heal()
    return over_at, ""


def _comes_true(look: Callable[[], bool], *, until: float) -> bool:
    while not (found := look()) and time.time() < until:
        time.sleep(_LOOK_SECONDS)
    return found


def _on_time(house: House, *, since: float) -> bool:
    return recovered_at(house.target.arrivals(), PUNCTUAL, after=since, until=time.time()) is not None


def _recoveries(house: House, fallen: Sequence[Struck], ends: Sequence[float]) -> list[Recovery]:
    arrivals = house.target.arrivals()
    return [
        recovery(arrivals, PUNCTUAL, struck=struck.struck_at, healed=struck.healed_at, until=end)
        for struck, end in zip(fallen, ends, strict=True)
    ]
