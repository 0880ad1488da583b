"""A malformed setting stops the start with its name and a correct example, and shows no secret value."""

import base64
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from core.env import Env, kept_text
from scheduler_project.broker import celery_broker_url
from scheduler_project.database import database_from_url
from scheduler_project.outbound import outbound_policy
from tests.support.project import ROOT

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
NAME = "HOURHAND_X"


def env(value: str) -> Env:
    return Env({NAME: value})


def refused(read: Any) -> str:
    with pytest.raises(ImproperlyConfigured) as error:
        read()
    told = str(error.value)
    assert "\n" not in told
    return told


@pytest.mark.parametrize(
    "keys",
    [
        "short",
        KEY[:-1],
        KEY + "A",
        KEY[:-4],
        f"{KEY},short",
        f"short,{KEY}",
        "é" * 44,
        "*" * 44,
        KEY.replace("A", " ", 1),
        base64.b64encode(b"x" * 31).decode(),
        base64.b64encode(b"x" * 33).decode(),
    ],
)
def test_a_malformed_key_is_refused_and_not_shown(keys: str) -> None:
    told = refused(lambda: env(keys).encryption_keys(NAME, [], file=Path("/kept")))
    assert told.startswith(f"{NAME}: key ")
    assert "32 bytes in URL-safe base64" in told
    assert not any(part in told for part in keys.split(",") if len(part) > 6)


def test_an_error_in_a_key_file_names_the_file() -> None:
    assert "/kept: the key in it" in refused(lambda: env("").encryption_keys(NAME, ["short"], file=Path("/kept")))


def test_valid_keys_are_accepted() -> None:
    assert env(f" {KEY} , {KEY},").encryption_keys(NAME, [], file=Path("/kept")) == [KEY, KEY]
    assert env("").encryption_keys(NAME, [], file=Path("/kept")) == []


@pytest.mark.parametrize("raw", ["-1", "11", "1.5", "ten", "1_0", "٣", "0x5", "5 5", "9" * 400, "--5", "+"])
def test_a_number_out_of_range_is_refused(raw: str) -> None:
    assert "should be a whole number from 0 to 10" in refused(lambda: env(raw).integer(NAME, 1, minimum=0, maximum=10))


@pytest.mark.parametrize("raw", ["maybe", "2", "enabled", "t"])
def test_an_invalid_flag_is_refused(raw: str) -> None:
    assert "should be one of 1, true, yes, on" in refused(lambda: env(raw).flag(NAME, default=False))


@pytest.mark.parametrize(
    "raw",
    [
        "hourhand.example.com",
        "ftp://a.example",
        "https://",
        "https://a.example/path",
        "https://a.example?x=1",
        "https://a.example:port",
        "https://[::1",
        "https://user@a.example",
        "https://a .example",
        "//a.example",
    ],
)
def test_an_invalid_public_url_is_refused(raw: str) -> None:
    assert "as in https://hourhand.example.com" in refused(lambda: env(raw).url(NAME, "http://127.0.0.1"))


@pytest.mark.parametrize("raw", ["https://a.example", "http://127.0.0.1:8000/", "https://[::1]:8443"])
def test_a_valid_public_url_is_accepted(raw: str) -> None:
    assert env(raw).url(NAME, "") == raw.rstrip("/")


@pytest.mark.parametrize(
    "raw", ["https://a.example", "a.example:80", "a.example/x", "a.example b.example", "a..*", "-a"]
)
def test_an_invalid_host_is_refused(raw: str) -> None:
    assert "without a scheme, port or path" in refused(lambda: env(raw).hosts(NAME))


def test_valid_hosts_are_accepted() -> None:
    assert env("a.example, .b.example,[::1],*,10.0.0.1").hosts(NAME) == [
        "a.example",
        ".b.example",
        "[::1]",
        "*",
        "10.0.0.1",
    ]


@pytest.mark.parametrize("raw", ["two words", "schlüssel", "tab\tin it"])
def test_a_token_that_does_not_fit_a_header_is_refused(raw: str) -> None:
    assert "printable ASCII" in refused(lambda: env(raw).token(NAME))


@pytest.mark.parametrize(
    ("allow", "ports", "name"),
    [
        ("10.0.0.0/99", "80", "HOURHAND_OUTBOUND_ALLOW"),
        ("10.1.2.3/8", "80", "HOURHAND_OUTBOUND_ALLOW"),
        ("http://intranet", "80", "HOURHAND_OUTBOUND_ALLOW"),
        ("", "80,http", "HOURHAND_OUTBOUND_PORTS"),
        ("", "0", "HOURHAND_OUTBOUND_PORTS"),
        ("", "70000", "HOURHAND_OUTBOUND_PORTS"),
        ("10.0.0.0/99", "x", "HOURHAND_OUTBOUND_PORTS"),
    ],
)
def test_invalid_outbound_rules_are_refused(allow: str, ports: str, name: str) -> None:
    assert refused(lambda: outbound_policy(allow=allow, ports=ports)).startswith(f"{name}: ")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter2@h/d",
        "postgresql://u:hunter2@h:port/d",
        "postgresql://u:hunter2@h:0/d",
        "postgresql://u:hunter2@h",
        "postgresql://u:hunter2%@h/d",
        "postgresql://u:hunter2@h:70000/d",
        "u:hunter2@h/d",
    ],
)
def test_an_invalid_database_url_is_refused(url: str) -> None:
    told = refused(lambda: database_from_url(url))
    assert told.startswith("DATABASE_URL: ")
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@h",
        "redis://:hunter2@h:port/0",
        "redis://:hunter2@h/zero",
        "redis://",
        "unix://relative",
        "redis:h",
        "redis://[::1",
        "unix:///s?db=x&password=hunter2",
    ],
)
def test_an_invalid_redis_url_is_refused(url: str) -> None:
    told = refused(lambda: celery_broker_url(url))
    assert told.startswith("REDIS_URL: ")
    assert "hunter2" not in told


def test_an_unreadable_file_is_reported_with_a_remedy(tmp_path: Path) -> None:
    assert kept_text(tmp_path / "none") == kept_text(tmp_path / "none" / "at all") == ""
    (tmp_path / "secret-key").mkdir()
    assert "can't be read" in refused(lambda: kept_text(tmp_path / "secret-key"))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert "it is not text" in refused(lambda: kept_text(tmp_path / "bytes"))


STARTS = {
    "manage": ("manage.py", "up"),
    "beat": ("-m", "celery", "-A", "scheduler_project", "beat", "--pidfile="),
    "worker": ("-m", "celery", "-A", "scheduler_project", "worker"),
    "web": ("-m", "gunicorn", "scheduler_project.wsgi:application", "--bind", "127.0.0.1:0"),
}
WRONG = {
    "HOURHAND_ENCRYPTION_KEYS": "short", "HOURHAND_OUTBOUND_ALLOW": "10.0.0.0/99", "HOURHAND_PUBLIC_URL": "nowhere",
    "HOURHAND_MAX_IN_FLIGHT": "many", "HOURHAND_LOG_LEVEL": "loud",
}  # fmt: skip


@pytest.mark.parametrize(("start", "name"), list(zip(itertools.cycle(STARTS), WRONG, strict=False)))
def test_every_process_fails_with_one_line(start: str, name: str, tmp_path: Path) -> None:
    own = {"HOURHAND_DATA_DIR": str(tmp_path), "SECRET_KEY": "only-for-tests", name: WRONG[name]}
    ended = subprocess.run(
        [sys.executable, *STARTS[start]],
        cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    lines = ended.stderr.strip().splitlines()
    assert ended.returncode == 1
    assert len(lines) == 1, ended.stderr
    assert f"{name}: " in lines[0]
    assert list(tmp_path.iterdir()) == []
