"""Overhead of the delivery engine on libcurl: transfers per second and CPU per transfer, against the bare loop.

    python -m bench.engine [--runs 20000] [--in-flight 200] [--rounds 5]

Both make the same calls to the same target in this process, in alternating rounds, without recording: the engine with
its guard, limits, capture and results, the bare loop (`bench.bare_curl`) without. Prints medians and their ratio.
"""

import argparse
import gc
import statistics
import threading
import time
import uuid

from bench.bare_curl import BODY, HEADERS, Loop, target
from jobs.egress import EgressPolicy
from workers.delivery.contract import DeliveryRequest, DeliveryResult
from workers.delivery.engine import DeliveryEngine

SUBMITTED_AT_ONCE = 500


def bare(url: str, count: int, in_flight: int) -> tuple[float, float]:
    """Transfers per second and CPU microseconds per transfer of the bare loop."""
    loop = Loop(url, in_flight)
    started, cpu = time.perf_counter(), time.process_time()
    loop.exchange(count, lambda _slot: None)
    return count / (time.perf_counter() - started), (time.process_time() - cpu) / count * 1e6


def engine(url: str, count: int, in_flight: int) -> tuple[float, float]:
    """The same for the delivery engine, checking every result."""
    done = threading.Event()
    results: list[DeliveryResult] = []

    def take(result: DeliveryResult) -> None:
        assert result.succeeded, result.error
        results.append(result)
        if len(results) == count:
            done.set()

    headers = tuple(tuple(line.split(": ", 1)) for line in HEADERS)
    requests = [
        DeliveryRequest(str(uuid.uuid4()), str(uuid.uuid4()), 1, None, "POST", url, headers, BODY)  # type: ignore[arg-type]
        for _ in range(count)
    ]
    running = DeliveryEngine(policy=EgressPolicy.parse("127.0.0.1", "*"), on_result=take, max_in_flight=in_flight)
    started, cpu = time.perf_counter(), time.process_time()
    running.start()
    for start in range(0, count, SUBMITTED_AT_ONCE):
        running.submit(requests[start : start + SUBMITTED_AT_ONCE])
    assert done.wait(120), f"{len(results)} of {count}"
    measured = count / (time.perf_counter() - started), (time.process_time() - cpu) / count * 1e6
    running.stop(grace_seconds=1)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rounds = []
    with target() as url:
        bare(url, 2000, options.in_flight)
        for _ in range(options.rounds):
            pair = []
            for measure in (bare, engine):
                gc.collect()
                pair.append(measure(url, options.runs, options.in_flight))
            rounds.append(pair)
            print("bare {:,.0f}/s {:.0f} us | engine {:,.0f}/s {:.0f} us".format(*pair[0], *pair[1]), flush=True)
    for name, index in (("bare loop", 0), ("engine", 1)):
        rate = statistics.median(pair[index][0] for pair in rounds)
        cpu = statistics.median(pair[index][1] for pair in rounds)
        print(f"{name}: {rate:,.0f} transfers/s, {cpu:.0f} us of CPU per transfer")
    ratio = statistics.median(pair[1][0] / pair[0][0] for pair in rounds)
    print(f"engine / bare loop: {ratio:.2f} (median of {options.rounds} rounds)")


if __name__ == "__main__":
    main()
