"""Users who change jobs at the moment they are due."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.acceptance.chaos.history import Change
from tests.acceptance.chaos.house import House

_AT_ONCE = 3
_AROUND_SECONDS = 0.03


def definition(house: House, workspace: str, slug: str, behaviour: str, **fields: object) -> dict[str, Any]:
    """Return a job definition that calls the target and names itself in the body."""
    return {
        "name": slug,
        "request": {
            "url": f"{house.target.url}/{workspace}/{slug}/{behaviour}",
            "method": "POST",
            "body": {"execution": "{{execution_id}}"},
            "timeout_seconds": 120,
        },
        "retention": {"keep_last": 100_000},
        **fields,
    }


def change(house: House, slug: str, wanted: str, method: str, path: str = "", **fields: Any) -> bool:
    """Ask for a change of plan, and keep when; whether it was confirmed. `wanted` is the state that it leads to, or
    empty where that stays.
    """
    workspace = fields.pop("workspace", "default")
    asked_at = house.now()
    try:
        confirmed = house.ask(method, f"/jobs/{slug}/{path}", workspace=workspace, **fields).ok
    except requests.RequestException:
        confirmed = False
    house.changes.append(Change(slug, wanted, asked_at, house.now(), confirmed))
    return confirmed


def race_the_tick(house: House, rng: random.Random, *, rounds: int) -> None:
    """Create jobs due every second or two; pause, resume and edit them when due, and delete them at the end."""
    house.races += 1
    slugs = [f"race-{house.races}-{number}" for number in range(_AT_ONCE)]
    seeds = [rng.random() for _ in slugs]
    with ThreadPoolExecutor(_AT_ONCE) as people:
        list(people.map(lambda slug, seed: _race(house, slug, random.Random(seed), rounds), slugs, seeds))


def _race(house: House, slug: str, rng: random.Random, rounds: int) -> None:
    def edit(every_seconds: int) -> None:
        fields = definition(house, "default", slug, "quick", schedule={"every_seconds": every_seconds})
        change(house, slug, "", "PUT", **fields)

    state = "active"
    edit(1)
    for number in range(rounds):
        time.sleep(max(0.0, 1 - time.time() % 1 + rng.uniform(-_AROUND_SECONDS, _AROUND_SECONDS)))
        if number >= 2 and rng.random() < 0.4:
            edit(rng.choice((1, 2)))
        elif state == "active":
            state = "paused"
            change(house, slug, state, "POST", "pause/", note="chaos")
        else:
            state = "active"
            change(house, slug, state, "POST", "resume/")
    change(house, slug, "ended", "DELETE")
