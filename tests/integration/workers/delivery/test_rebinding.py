"""A name that was harmless when it was looked at, and the engine, which judges it by the addresses that it dials.

The acceptance tests do this with a whole worker and a name server, where the machine lets them. Here the answers are
put where an engine gets them from: into `socket.getaddrinfo`, and into libcurl, which then knows them and does not ask.
"""

import socket
from typing import Any

import pycurl
import pytest

from jobs.egress import EgressPolicy, parse_target
from runs.failures import FailureReason
from tests.support.engine import Running
from tests.support.receiver import receiving
from workers.delivery.contract import DeliveryResult

NAME = "rebound.example"


def rebound(monkeypatch: pytest.MonkeyPatch, policy: EgressPolicy, port: int, dialled: list[str]) -> DeliveryResult:
    """Return the result of calling a name that resolves harmlessly at first and, when called, to `dialled`."""
    url = f"http://{NAME}:{port}/"
    assert policy.check_target(parse_target(url)) is None
    real = socket.getaddrinfo

    class Knowing(pycurl.Curl):
        def __init__(self) -> None:
            self.setopt(pycurl.RESOLVE, [f"{NAME}:{port}:{','.join(dialled)}"])

    def getaddrinfo(host: Any, *rest: Any, **options: Any) -> list[Any]:
        places = dialled if host in {NAME, NAME.encode()} else [host]
        return [found for place in places for found in real(place, *rest, **options)]

    monkeypatch.setattr(pycurl, "Curl", Knowing)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    running = Running(policy)
    try:
        return running.deliver(url, timeout_seconds=2)
    finally:
        running.engine.stop(grace_seconds=0)


@pytest.mark.parametrize(
    "dialled",
    [
        ["127.0.0.1"],
        ["127.0.0.2", "127.0.0.1"],
        ["::1"],
        ["127.0.0.1", "::1"],
        ["0.0.0.0"],  # noqa: S104 - to be refused
        ["::"],
        ["169.254.169.254", "10.0.0.1", "127.0.0.1"],
    ],
)
def test_a_name_rebound_to_a_private_address_is_blocked(monkeypatch: pytest.MonkeyPatch, dialled: list[str]) -> None:
    with receiving() as receiver:
        result = rebound(monkeypatch, EgressPolicy.parse("", "*"), receiver.port, dialled)
        assert receiver.connections == []
    assert result.failure_reason == FailureReason.SSRF_BLOCKED
    assert (result.error or "").startswith(f"blocked: {NAME} resolves to ")
    assert (result.response, result.remote_ip) == (None, None)


@pytest.mark.parametrize("dialled", [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]])
def test_only_the_allowed_of_several_addresses_are_dialled(monkeypatch: pytest.MonkeyPatch, dialled: list[str]) -> None:
    with receiving() as receiver:
        result = rebound(monkeypatch, EgressPolicy.parse("127.0.0.1", "*"), receiver.port, dialled)
        assert len(receiver.connections) == 1
    assert (result.succeeded, result.remote_ip) == (True, "127.0.0.1")


def test_a_silent_allowed_address_has_no_forbidden_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        result = rebound(monkeypatch, EgressPolicy.parse("127.0.0.2", "*"), receiver.port, ["127.0.0.2", "127.0.0.1"])
        assert receiver.connections == []
    assert result.failure_reason == FailureReason.CONNECTION_ERROR
