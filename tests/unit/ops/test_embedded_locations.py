"""The embedded services are found from the data directory alone, and socket paths always fit."""

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from psycopg2.extensions import parse_dsn

from ops.embedded.locations import Locations, embedded_urls

LONGEST_SOCKET_PATH = 103  # the smaller limit of Linux and macOS
AWKWARD = ["/srv/hourhand", "/srv/a b,c/h%C3", "/srv/ü'\"&?#=", "/" + "x" * 300]


@pytest.mark.parametrize("data_dir", AWKWARD)
def test_libpq_reads_the_socket_directory_back(data_dir: str) -> None:
    database_url, _ = embedded_urls(data_dir)

    dsn = parse_dsn(database_url)

    assert dsn == {"user": "hourhand", "dbname": "hourhand", "host": str(Locations.of(data_dir).sockets)}


@pytest.mark.parametrize("data_dir", AWKWARD)
def test_the_redis_url_names_the_socket(data_dir: str) -> None:
    _, redis_url = embedded_urls(data_dir)

    parts = urlsplit(redis_url)

    assert parts.scheme == "unix"
    assert unquote(parts.path) == str(Locations.of(data_dir).valkey_socket)
    assert parse_qs(parts.query) == {"db": ["0"]}


def test_sockets_are_in_the_data_directory_if_their_paths_fit(tmp_path: Path) -> None:
    assert Locations.of("/srv/hourhand").sockets == Path("/srv/hourhand/run/sockets")


@pytest.mark.parametrize("length", range(60, 140))
def test_socket_paths_always_fit(length: int) -> None:
    locations = Locations.of("/" + "x" * length)

    assert len(bytes(locations.postgres_socket)) <= LONGEST_SOCKET_PATH
    assert len(bytes(locations.valkey_socket)) <= LONGEST_SOCKET_PATH


def test_a_long_data_directory_has_its_own_short_socket_paths() -> None:
    first, second = Locations.of("/" + "x" * 200), Locations.of("/" + "x" * 201)

    assert first.sockets != second.sockets
    assert first.sockets == Locations.of("/" + "x" * 200).sockets


def test_equivalent_paths_are_the_same_data_directory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")

    assert embedded_urls(tmp_path / "link") == embedded_urls(tmp_path / "data") == embedded_urls(f"{tmp_path}/./data/")
