"""The embedded Valkey starts whatever a power cut left at the end of its log."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from ops.embedded.locations import Locations
from ops.embedded.services import embedded_programs, prepare_directories
from ops.supervisor.launch import launch_command
from ops.supervisor.program import Program, StartError
from tests.acceptance.chaos.redis_faults import cut_short, rubbish_at_its_end, zeros_at_its_end

_START_SECONDS = 60.0
_VALUES = [f"message {number}" for number in range(200)]


@pytest.fixture
def valkey(tmp_path: Path) -> tuple[Program, Locations]:
    locations = Locations.of(tmp_path / "var")
    account = prepare_directories(locations, embedded=True)
    (program,) = embedded_programs(locations, account, postgres=False)
    return program, locations


@contextlib.contextmanager
def started(program: Program, locations: Locations) -> Iterator["redis.Redis"]:
    """Start it as the supervisor does, and kill it afterwards."""
    program.prepare()
    command = launch_command(program.argv, run_as=program.run_as)
    server = subprocess.Popen(command, env=dict(program.environment), cwd="/", stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(unix_socket_path=str(locations.valkey_socket))
        until = time.monotonic() + _START_SECONDS
        while not _answers(client):
            assert server.poll() is None, "Valkey ended instead of starting"
            assert time.monotonic() < until, "Valkey does not answer"
            time.sleep(0.05)
        yield client
    finally:
        server.kill()
        server.wait()


def _answers(client: "redis.Redis") -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(client.ping())
    return False


def _log(locations: Locations) -> Path:
    (log,) = (locations.valkey / "appendonlydir").glob("*.incr.aof")
    return log


def _filled(program: Program, locations: Locations) -> None:
    with started(program, locations) as client:
        client.rpush("queue", *_VALUES[:100])
        for value in _VALUES[100:]:
            client.rpush("queue", value)


def partial_command_and_zeros(log: Path) -> None:
    cut_short(log)
    zeros_at_its_end(log)


def empty_log(log: Path) -> None:
    log.write_bytes(b"")


@pytest.mark.parametrize(
    ("tear", "kept"),
    [
        (cut_short, 199),
        (zeros_at_its_end, 200),
        (rubbish_at_its_end, 200),
        (partial_command_and_zeros, 199),
        (empty_log, 0),
        (lambda _: None, 200),
    ],
    ids=["cut short", "zeros", "rubbish", "half a command and zeros", "empty", "whole"],
)
def test_complete_writes_survive_a_damaged_log(
    valkey: tuple[Program, Locations], tear: Callable[[Path], None], kept: int
):
    _filled(*valkey)
    tear(_log(valkey[1]))
    with started(*valkey) as client:
        assert client.lrange("queue", 0, -1) == [value.encode() for value in _VALUES[:kept]]
        client.rpush("queue", "one more")
    with started(*valkey) as client:
        assert client.llen("queue") == kept + 1


def test_an_irreparable_log_says_what_to_do(valkey: tuple[Program, Locations]):
    program, locations = valkey
    _filled(program, locations)
    log = _log(locations)
    log.unlink()
    log.mkdir()
    with pytest.raises(StartError, match=r"Move .*appendonlydir away"):
        program.prepare()
