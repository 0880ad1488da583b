"""Clients with the time-outs of their purpose, and the breaker."""

import pytest

from core.redis import REDIS_ERRORS, Breaker, redis_client


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(2.0, clock=clock)


def test_it_is_closed_until_something_fails(breaker: Breaker) -> None:
    assert not breaker.is_open
    assert not breaker.succeeded()


def test_a_failure_opens_it_for_a_while(breaker: Breaker, clock: Clock) -> None:
    breaker.failed()
    clock.now = 1.9
    assert breaker.is_open
    clock.now = 2.0
    assert not breaker.is_open


def test_each_failure_starts_the_pause_anew(breaker: Breaker, clock: Clock) -> None:
    breaker.failed()
    clock.now = 2.0
    breaker.failed()
    clock.now = 3.9
    assert breaker.is_open


def test_only_the_first_failure_of_an_outage_and_the_first_success_after_it_are_reported(breaker: Breaker) -> None:
    assert [breaker.failed(), breaker.failed()] == [True, False]
    assert [breaker.succeeded(), breaker.succeeded()] == [True, False]
    assert breaker.failed()


def test_a_success_closes_it_at_once(breaker: Breaker) -> None:
    breaker.failed()
    breaker.succeeded()
    assert not breaker.is_open


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///nowhere/redis.sock?db=0"])
def test_a_client_has_its_time_outs_over_any_kind_of_socket(url: str) -> None:
    with redis_client(url, timeout_seconds=5, connect_seconds=1) as client:
        with pytest.raises(REDIS_ERRORS):
            client.ping()
        options = client.connection_pool.connection_kwargs
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (5, 1)


def test_connecting_has_the_same_time_out_unless_it_has_its_own() -> None:
    with redis_client("redis://127.0.0.1:1/0", timeout_seconds=2) as client:
        assert client.connection_pool.connection_kwargs["socket_connect_timeout"] == 2
