"""DNS lookups: a hanging one delays only its own calls, and a cached one costs nothing."""

import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from jobs.egress import EgressPolicy
from runs.failures import FailureReason
from tests.support.engine import Running, eventually, request
from tests.support.receiver import receiving
from workers.delivery import resolver
from workers.delivery.contract import DeliveryResult


class Names:
    """A fake system resolver: each name has addresses or an error, or hangs until released."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, ...] | Exception] = {}
        self.asked: Counter[str] = Counter()
        self.together = 0
        self.released = threading.Event()

    def getaddrinfo(self, host: bytes, *_: Any) -> list[tuple[Any, ...]]:
        name = host.decode()
        self.asked[name] += 1
        if name not in self.known:
            self.together += 1
            self.released.wait(30)
        found = self.known.get(name, socket.gaierror(socket.EAI_AGAIN, "no server answered"))
        if isinstance(found, Exception):
            raise found
        return [(None, None, None, "", (address, 0)) for address in found]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    standing_in = Names()
    monkeypatch.setattr(socket, "getaddrinfo", standing_in.getaddrinfo)
    yield standing_in
    standing_in.released.set()


@pytest.fixture
def running(names: Names) -> Iterator[Running]:
    started = Running()
    yield started
    started.engine.stop(grace_seconds=0)


def reasons(results: list[DeliveryResult]) -> set[FailureReason | None]:
    return {result.failure_reason for result in results}


# -- names that hang ---------------------------------------------------------------------------------------------------


def test_a_healthy_name_is_called_while_lookups_of_others_hang(running: Running, names: Names) -> None:
    names.known["healthy.example"] = ("127.0.0.1",)
    running.engine.submit([request(f"http://hangs-{number}.example/") for number in range(60)])
    eventually(lambda: names.together == 60)
    with receiving() as receiver:
        assert running.deliver(f"http://healthy.example:{receiver.port}/").succeeded
    assert running.engine.in_flight_count == 60
    assert {one.host for one in running.engine.in_flight()} == {f"hangs-{number}.example" for number in range(60)}


def test_a_name_that_hangs_takes_one_thread_however_many_wait_for_it(running: Running, names: Names) -> None:
    running.engine.submit([request(f"http://hangs.example:{port}/") for port in range(1, 51)])
    eventually(lambda: running.engine.in_flight_count == 50 and names.together > 0)
    assert names.asked == {"hangs.example": 1}


def test_the_deadline_of_a_call_includes_its_lookup(running: Running, names: Names) -> None:
    running.engine.submit([request("http://hangs.example/", timeout_seconds=seconds) for seconds in (0.4, 0.2, 0.3)])
    results = running.wait(3)
    assert [result.error for result in results] == [f"timed out after {seconds} s" for seconds in (0.2, 0.3, 0.4)]
    assert reasons(results) == {FailureReason.TIMEOUT}
    assert [result.sent for result in results] == [False] * 3
    assert {result.timings.dns_ms for result in results} == {None}
    assert all((result.timings.total_ms or 0) >= 200 for result in results)
    assert running.engine.in_flight_count == 0


def test_lookup_time_is_deducted_from_the_deadline(running: Running, names: Names) -> None:
    silent = threading.Event()
    with receiving(lambda exchange: silent.wait(10)) as receiver:
        running.engine.submit([request(f"http://late.example:{receiver.port}/", timeout_seconds=2.0)])
        eventually(lambda: names.together == 1)
        names.known["late.example"] = ("127.0.0.1",)
        threading.Timer(1.5, names.released.set).start()
        (result,) = running.wait(1)
        assert len(receiver.connections) == 1
        silent.set()
    assert (result.failure_reason, result.error, result.sent) == (FailureReason.TIMEOUT, "timed out after 2 s", True)
    assert result.timings.dns_ms is not None
    assert result.timings.dns_ms >= 1000
    assert result.timings.total_ms is not None
    assert result.timings.total_ms < result.timings.dns_ms + 2000


def test_a_call_whose_name_hangs_can_be_aborted(running: Running, names: Names) -> None:
    hanging = request("http://hangs.example/")
    running.engine.submit([hanging])
    eventually(lambda: names.together == 1)
    assert running.engine.abort(hanging.key)
    (result,) = running.wait(1)
    assert (result.aborted, result.sent) == (True, False)
    assert running.engine.free == 100


def test_calls_with_hanging_lookups_are_returned_unsent_at_stop(names: Names) -> None:
    running = Running()
    hanging = [request("http://hangs.example/"), request("http://hangs-too.example/")]
    running.engine.submit(hanging)
    eventually(lambda: names.together == 2)
    assert running.engine.stop(grace_seconds=20) == hanging
    assert running.results == []


def test_a_hanging_lookup_does_not_block_exit() -> None:
    """The waiting thread does not keep the process alive."""
    script = """if True:
        import socket, threading, time
        from tests.support.engine import Running, eventually, request
        hangs = threading.Event()
        socket.getaddrinfo = lambda *_: hangs.set() or time.sleep(60)
        running = Running()
        running.engine.submit([request("http://hangs.example/")])
        assert hangs.wait(10)
        running.engine.stop(grace_seconds=0)
    """
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30, env=dict(os.environ))


def test_slow_lookups_leave_room_for_fast_ones(running: Running, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MAX_LOOKUPS": 4, "RESERVED_LOOKUPS": 1, "PATIENCE_SECONDS": -1.0}.items():
        monkeypatch.setattr(resolver, name, value)
    monkeypatch.setattr(resolver, "FAILURE_SECONDS", 0.0)
    dragging = [f"drags-{number}.example" for number in range(8)]
    names.known.update(dict.fromkeys(dragging, socket.gaierror(socket.EAI_AGAIN, "again")))
    running.engine.submit([request(f"http://{name}/") for name in dragging])
    running.wait(8)
    names.known.clear()
    running.engine.submit([request(f"http://{name}/") for name in dragging])
    eventually(lambda: names.together == 3)
    names.known["new.example"] = ("127.0.0.1",)
    with receiving() as receiver:
        assert running.deliver(f"http://new.example:{receiver.port}/").succeeded
    assert names.together == 3


# -- names that are known ----------------------------------------------------------------------------------------------


def test_a_name_is_looked_up_once_and_its_duration_recorded(running: Running, names: Names) -> None:
    names.known["name.example"] = ("127.0.0.1",)
    with receiving(lambda exchange: exchange.answer(headers="Connection: close\r\n")) as receiver:
        results = [running.deliver(f"http://name.example:{receiver.port}/") for _ in range(3)]
    assert reasons(results) == {None}
    assert names.asked == {"name.example": 1}
    assert [result.timings.dns_ms for result in results[1:]] == [0, 0]
    assert all(result.timings.connect_ms is not None for result in results)


def test_an_answer_is_followed_when_it_changes(running: Running, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(resolver, "KEPT_SECONDS", 0.0)
    with receiving(lambda exchange: exchange.answer(headers="Connection: close\r\n")) as receiver:
        for address, reason in (
            ("127.0.0.1", None),
            ("127.0.0.2", FailureReason.CONNECTION_ERROR),
            ("127.0.0.1", None),
        ):
            names.known["moving.example"] = (address,)
            assert running.deliver(f"http://moving.example:{receiver.port}/").failure_reason is reason


@pytest.mark.parametrize("error", [socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL])
def test_a_name_that_does_not_resolve_is_a_dns_error(running: Running, names: Names, error: int) -> None:
    names.known["none.example"] = socket.gaierror(error, "as the system puts it")
    results = [running.deliver("http://none.example/") for _ in range(3)]
    assert reasons(results) == {FailureReason.DNS_ERROR}
    assert {(result.error, result.sent) for result in results} == {("could not resolve host none.example", False)}
    assert names.asked == {"none.example": 1}


def test_a_bug_in_a_lookup_is_a_dns_error(running: Running, names: Names) -> None:
    names.known["odd.example"] = ZeroDivisionError()
    assert running.deliver("http://odd.example/").failure_reason is FailureReason.DNS_ERROR


@pytest.mark.parametrize("host", ["NAME.example", "name.example.", "Name.Example."])
def test_a_name_is_the_same_in_any_case_and_is_absolute_with_a_dot(running: Running, names: Names, host: str) -> None:
    names.known.update({"name.example": ("127.0.0.1",), "name.example.": ("127.0.0.1",)})
    with receiving() as receiver:
        assert running.deliver(f"http://{host}:{receiver.port}/").succeeded
    assert names.asked == {host.lower(): 1}


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "app.localhost", "localhost."])
def test_addresses_and_localhost_need_no_lookup(running: Running, names: Names, host: str) -> None:
    with receiving() as receiver:
        result = running.deliver(f"http://{host}:{receiver.port}/")
    assert result.failure_reason in {None, FailureReason.CONNECTION_ERROR}
    assert result.timings.dns_ms in {None, 0}
    assert not names.asked


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("addresses", [("::1", "127.0.0.1"), ("127.0.0.1", "::1"), ("127.0.0.99", "127.0.0.1")])
def test_every_address_of_a_name_is_tried(running: Running, names: Names, addresses: tuple[str, ...]) -> None:
    names.known["both.example"] = addresses
    with receiving() as receiver:
        result = running.deliver(f"http://both.example:{receiver.port}/")
    assert (result.succeeded, result.remote_ip) == (True, "127.0.0.1")


@pytest.mark.parametrize(
    "address", ["10.0.0.7", "127.0.0.1", "::1", "::ffff:127.0.0.1", "fe80::1%lo", "169.254.169.254"]
)
def test_a_name_that_leads_to_an_address_that_is_not_public_is_blocked(names: Names, address: str) -> None:
    names.known["inside.example"] = (address,)
    running = Running(EgressPolicy.parse("", "*"))
    with receiving() as receiver:
        result = running.deliver(f"http://inside.example:{receiver.port}/")
        assert receiver.connections == []
    running.engine.stop(grace_seconds=0)
    shown = address.partition("%")[0]
    assert result.failure_reason is FailureReason.SSRF_BLOCKED
    assert (result.error or "").startswith(f"blocked: inside.example resolves to {shown}, ")


def test_only_the_allowed_addresses_of_a_name_are_dialled(names: Names) -> None:
    names.known["mixed.example"] = ("127.0.0.2", "127.0.0.1")
    running = Running(EgressPolicy.parse("127.0.0.1", "*"))
    with receiving() as receiver:
        result = running.deliver(f"http://mixed.example:{receiver.port}/")
    running.engine.stop(grace_seconds=0)
    assert (result.succeeded, result.remote_ip) == (True, "127.0.0.1")


def test_a_name_that_is_rebound_is_blocked_as_it_is_dialled(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(resolver, "KEPT_SECONDS", 0.0)
    running = Running(EgressPolicy.parse("127.0.0.1", "*"))
    with receiving(lambda exchange: exchange.answer(headers="Connection: close\r\n")) as receiver:
        names.known["rebound.example"] = ("127.0.0.1",)
        assert running.deliver(f"http://rebound.example:{receiver.port}/").succeeded
        names.known["rebound.example"] = ("127.0.0.2",)
        result = running.deliver(f"http://rebound.example:{receiver.port}/")
        assert len(receiver.connections) == 1
    running.engine.stop(grace_seconds=0)
    assert result.failure_reason is FailureReason.SSRF_BLOCKED


def test_an_ip_version_that_the_kernel_lacks_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_ipv6(*_: Any) -> socket.socket:
        raise OSError("Address family not supported by protocol")

    resolver._family.cache_clear()
    monkeypatch.setattr(socket, "socket", no_ipv6)
    assert resolver._family() == socket.AF_INET
    monkeypatch.undo()
    resolver._family.cache_clear()
    assert resolver._family() in {socket.AF_INET, socket.AF_UNSPEC}
