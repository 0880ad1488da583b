"""The engine's shares against real servers on loopback: slow hosts delay only themselves."""

import threading
import time
import uuid

from tests.support.engine import Running, eventually, request
from tests.support.receiver import Exchange, receiving
from workers.delivery.contract import Crowded


def test_a_slow_host_keeps_to_its_share_and_a_fast_one_proceeds() -> None:
    running = Running(max_in_flight=10, max_per_host=4)
    release = threading.Event()

    def behave(exchange: Exchange) -> None:
        release.wait(10)
        exchange.answer()

    with receiving(behave) as slow, receiving() as fast:
        running.engine.submit([request(slow.url()) for _ in range(20)])
        eventually(lambda: len(slow.exchanges) == 4)
        running.engine.submit([request(fast.url()) for _ in range(30)])
        assert {result.request.url for result in running.wait(30)} == {fast.url()}
        assert len(slow.exchanges) == 4
        release.set()
        assert all(result.succeeded for result in running.wait(50))
    running.engine.stop(grace_seconds=0)


def test_waiting_for_a_slot_does_not_count_against_the_timeout() -> None:
    running = Running(max_per_host=1)
    with receiving(lambda exchange: (time.sleep(0.4), exchange.answer())) as receiver:
        running.engine.submit([request(receiver.url(), timeout_seconds=0.8) for _ in range(4)])
        assert all(result.succeeded for result in running.wait(4))
    running.engine.stop(grace_seconds=0)


def test_one_workspace_leaves_room_for_another() -> None:
    running = Running(max_in_flight=10, max_per_workspace=3)
    greedy, modest = str(uuid.uuid4()), str(uuid.uuid4())
    with receiving(lambda exchange: (time.sleep(0.5), exchange.answer())) as receiver:
        running.engine.submit([request(receiver.url("/greedy"), workspace_id=greedy) for _ in range(12)])
        eventually(lambda: len(receiver.exchanges) == 3)
        running.engine.submit([request(receiver.url("/modest"), workspace_id=modest)])
        eventually(lambda: len(receiver.exchanges) == 4, seconds=0.4)
        assert receiver.exchanges[-1].path == "/modest"
    running.engine.stop(grace_seconds=0)


def test_a_crowded_hosts_requests_are_returned_and_take_no_room() -> None:
    sent_away: list[Crowded] = []
    running = Running(max_in_flight=16, max_per_host=8, on_crowded=sent_away.extend)
    release = threading.Event()
    with receiving(lambda exchange: release.wait(10)) as receiver:
        running.engine.submit([request(receiver.url()) for _ in range(16)])
        eventually(lambda: len(sent_away) == 6)
        assert (running.engine.queued_count, running.engine.free) == (2, 8)
        running.engine.submit([request(receiver.url())])
        eventually(lambda: len(sent_away) == 7)
        assert all(1 <= one.wait_seconds <= 30 for one in sent_away)
        assert running.results == []
        release.set()
    assert len(running.engine.stop(grace_seconds=0)) <= 2
