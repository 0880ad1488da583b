"""Workflows during a storm: many at once and then one a second, each with a call, a wait for a request, a pause, and a
call that repeats what came.

The requests come early, while the first call is still to be answered, or late; some come twice at once. What they carry
is kept for the oracle.
"""

import json
import queue
import random
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.acceptance.chaos.house import House

SLUG = "chain"
#: How many start at once.
MANY, FEW = 1000, 60
_POSTERS = 8
_EVERY_SECONDS = 1.0
_LATEST_SECONDS = 4.0
_TRY_SECONDS = 180.0
_BEHAVIOUR = "quick"


def definition(house: House) -> dict[str, Any]:
    """The job: `ask`, a wait for a request, a pause, and `ship`, which sends on what the request brought."""
    url = f"{house.target.url}/default/{SLUG}/{_BEHAVIOUR}"
    retry = {"max_attempts": 8, "delay_ms": 250}
    ask = {"url": url, "body": {"resume": "{{steps.paid.resume_url}}"}}
    ship = {"url": url, "body": {"token": "{{steps.paid.json.token}}"}}
    return {
        "name": SLUG,
        "kind": "workflow",
        "workflow": {
            "steps": [
                {"id": "ask", "type": "http", "request": ask, "retry": retry},
                {"id": "paid", "type": "webhook", "timeout_seconds": 3600},
                {"id": "pause", "type": "delay", "seconds": 1},
                {"id": "ship", "type": "http", "request": ship, "retry": retry},
            ]
        },
    }


class Flows:
    """Starts workflows and sends the requests that they wait for. `sent` has the tokens, by execution."""

    def __init__(self, house: House, count: int, rng: random.Random) -> None:
        self._house = house
        self._count = count
        self._rng = random.Random(rng.random())
        self.sent: dict[str, list[str]] = defaultdict(list)
        self._due: queue.PriorityQueue[tuple[float, str, str]] = queue.PriorityQueue()
        self._met: set[str] = set()
        self._enough = threading.Event()
        self._lock = threading.Lock()
        self._posters = [threading.Thread(target=self._post_forever, daemon=True) for _ in range(_POSTERS)]
        self._starter = threading.Thread(target=self._start_forever, daemon=True)

    def begin(self) -> None:
        answer = self._house.ask("PUT", f"/jobs/{SLUG}/", **definition(self._house))
        assert answer.ok, answer.text
        self._house.target.on_step = self._plan
        for thread in self._posters:
            thread.start()
        with ThreadPoolExecutor(_POSTERS) as hands:
            list(hands.map(lambda _: self._house.run_by_hand(SLUG), range(self._count)))
        self._starter.start()

    def _start_forever(self) -> None:
        """Go on starting some, so that every step of a process keeps happening."""
        while not self._enough.wait(_EVERY_SECONDS):
            self._house.run_by_hand(SLUG)

    def stop(self) -> None:
        """Start no more, send what is left, then end."""
        self._enough.set()
        self._starter.join()
        for thread in self._posters:
            thread.join(_TRY_SECONDS)

    def _plan(self, request: Mapping[str, Any]) -> None:
        """Plan the requests of an execution, as its first call arrives."""
        execution, _, step = request["execution"].partition("/")
        if step != "ask":
            return
        url = json.loads(request["body"])["resume"]
        with self._lock:
            if execution in self._met:
                return
            self._met.add(execution)
            early = self._rng.random() < 1 / 3
            at = time.monotonic() + (0.0 if early else self._rng.uniform(0.0, _LATEST_SECONDS))
            for _ in range(self._rng.choice((1, 1, 2))):
                self._due.put((at, execution, url))

    def _post_forever(self) -> None:
        while True:
            try:
                at, execution, url = self._due.get(timeout=0.5)
            except queue.Empty:
                if self._enough.is_set():
                    return
                continue
            time.sleep(max(0.0, at - time.monotonic()))
            self._post(execution, url)

    def _post(self, execution: str, url: str) -> None:
        """Send one request until it is accepted: a sender repeats what was not confirmed."""
        token = secrets.token_hex(8)
        with self._lock:
            self.sent[execution].append(token)
        until = time.monotonic() + _TRY_SECONDS
        while time.monotonic() < until:
            try:
                if requests.post(url, json={"token": token}, timeout=10).status_code == 202:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.5)
