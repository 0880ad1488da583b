"""Fair order: shares hold, lanes take turns, and nothing that may start waits."""

import random
import uuid

from hypothesis import given
from hypothesis import strategies as st

from jobs.egress import parse_target
from workers.delivery.contract import DeliveryRequest
from workers.delivery.fairness import PATIENCE_SECONDS, Lane, Lanes

WORKSPACES = [str(uuid.uuid4()) for _ in range(3)]


def put(lanes: Lanes, host: str, workspace: int = 0, now: float = 0.0) -> float | None:
    url = f"http://{host}.test/"
    request = DeliveryRequest(str(uuid.uuid4()), str(uuid.uuid4()), 1, WORKSPACES[workspace], "GET", url)
    return lanes.add(request, parse_target(url), now)


def started(lanes: Lanes) -> list[tuple[Lane, str]]:
    """Start everything that may start; return lanes and hosts."""
    found = []
    while taken := lanes.take():
        found.append((taken[0], taken[1].target.host.removesuffix(".test")))
    return found


def test_no_host_takes_more_than_its_share_and_others_overtake() -> None:
    lanes = Lanes(per_host=2, per_workspace=100)
    for host in ("slow", "slow", "slow", "slow", "fast"):
        put(lanes, host)
    assert sorted(host for _, host in started(lanes)) == ["fast", "slow", "slow"]
    assert (lanes.count, lanes.has_turns) == (2, False)


def test_a_free_slot_goes_to_the_next_of_its_host() -> None:
    lanes = Lanes(per_host=1, per_workspace=100)
    put(lanes, "slow")
    put(lanes, "slow")
    ((lane, _),) = started(lanes)
    assert started(lanes) == []
    lanes.leave(lane)
    assert len(started(lanes)) == 1


def test_workspaces_take_turns_at_one_host() -> None:
    lanes = Lanes(per_host=1, per_workspace=100)
    for workspace in (0, 0, 0, 1):
        put(lanes, "shared", workspace)
    order = []
    while waiting := started(lanes):
        ((lane, _),) = waiting
        order.append(WORKSPACES.index(lane.key[0]))  # type: ignore[arg-type]
        lanes.leave(lane)
    assert order == [0, 1, 0, 0]


def test_no_workspace_takes_more_than_its_share() -> None:
    lanes = Lanes(per_host=100, per_workspace=2)
    for host in ("a", "b", "c"):
        put(lanes, host, workspace=0)
    put(lanes, "a", workspace=1)
    assert len(started(lanes)) == 3
    assert lanes.count == 1


def test_a_crowded_host_keeps_a_few_and_delays_the_rest_increasingly() -> None:
    lanes = Lanes(per_host=8, per_workspace=100)
    for _ in range(20):
        assert put(lanes, "slow") is None
    under_way = started(lanes)
    assert lanes.review(PATIENCE_SECONDS / 2) == []
    sent_away = lanes.review(PATIENCE_SECONDS * 2)
    assert (len(under_way), lanes.count, lanes.crowded_count, len(sent_away)) == (8, 2, 2, 10)
    waits = [one.wait_seconds for one in sent_away]
    assert waits == sorted(waits)
    assert (put(lanes, "slow", now=1.0) or 0) >= waits[-1]
    assert put(lanes, "fast", now=1.0) is None
    assert [host for _, host in started(lanes)] == ["fast"]


def test_a_recovered_host_is_no_longer_crowded() -> None:
    lanes = Lanes(per_host=1, per_workspace=100)
    put(lanes, "slow")
    put(lanes, "slow")
    ((lane, _),) = started(lanes)
    lanes.review(1.0)
    assert lanes.crowded_count == 1
    lanes.leave(lane)
    started(lanes)
    lanes.review(1.5)
    assert (lanes.count, lanes.crowded_count) == (0, 0)
    assert put(lanes, "slow", now=1.5) is None


def test_a_removed_request_never_starts() -> None:
    lanes = Lanes(per_host=1, per_workspace=100)
    for _ in range(3):
        put(lanes, "slow")
    ((lane, _),) = started(lanes)
    assert len(lanes.remove({request.key for request in lanes.requests()})) == 2
    lanes.leave(lane)
    assert started(lanes) == []
    assert lanes.count == 0
    assert lanes._hosts == lanes._workspaces == lanes._lanes == {}


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32))
def test_in_any_order_shares_hold_and_no_slot_stays_free(per_host: int, per_workspace: int, seed: int) -> None:
    rng, lanes = random.Random(seed), Lanes(per_host=per_host, per_workspace=per_workspace)
    under_way: list[Lane] = []
    waiting = 0

    def check() -> None:
        hosts = [lane.key[1] for lane in under_way]
        workspaces = [lane.key[0] for lane in under_way]
        assert all(hosts.count(host) <= per_host for host in hosts)
        assert all(workspaces.count(workspace) <= per_workspace for workspace in workspaces)
        for lane in lanes._lanes.values():
            full = hosts.count(lane.key[1]) == per_host or workspaces.count(lane.key[0]) == per_workspace
            assert full or not lane.waiting, "it could have started"

    for _ in range(60):
        if rng.random() < 0.5 and under_way:
            lanes.leave(under_way.pop(rng.randrange(len(under_way))))
        else:
            put(lanes, rng.choice("abc"), rng.randrange(3))
            waiting += 1
        taken = started(lanes)
        waiting -= len(taken)
        under_way += [lane for lane, _ in taken]
        assert lanes.count == waiting
        check()
    while under_way:
        lanes.leave(under_way.pop())
        under_way += [lane for lane, _ in started(lanes)]
    assert lanes.count == 0
    assert lanes._hosts == lanes._workspaces == lanes._lanes == {}
