"""The doctor's own parts: what it says of disks, and how it continues when a source does not answer."""

import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.doctor import disk
from ops.doctor.examination import DoctorSection, Examination, NotApplicableError, Probe, Source, UnreachableError
from ops.doctor.findings import Finding, Severity, ok, worst

MIB = 2**20


def worst_verdict(findings: Iterable[Finding]) -> Severity:
    found = list(findings)
    assert found
    assert all(bool(one.advice) == (one.verdict is not Severity.OK) for one in found)
    return worst(one.verdict for one in found)


# -- going through it --------------------------------------------------------------------------------------------------


def source(title: str, *, close: Any = None) -> Source:
    return Source(title, lambda probe: list(probe()), "Start it.", close or (lambda: None))


def outcome(*sections: DoctorSection, seconds: float = 5.0) -> list[tuple[str, str]]:
    return [(one.finding.name, one.finding.verdict.value) for one in Examination(seconds).of(sections)]


def healthy() -> Iterator[Finding]:
    yield ok("well", "It is.")


def raising(error: Exception) -> Probe:
    def probe() -> Iterator[Finding]:
        raise error
        yield  # a probe is a generator

    return probe


def test_an_unreachable_source_is_asked_once_and_others_are_still_checked() -> None:
    far = source("far")
    found = outcome(
        DoctorSection("A", far, {"first": raising(UnreachableError("gone")), "second": healthy}),
        DoctorSection("B", source("near"), {"third": healthy}),
        DoctorSection("C", far, {"fourth": healthy}),
    )
    assert found == [("first", "problem"), ("second", "skipped"), ("well", "ok"), ("fourth", "skipped")]


def test_a_source_that_never_answers_times_out() -> None:
    for_ever = threading.Event()

    def hung() -> Iterator[Finding]:
        for_ever.wait()
        yield ok("hung", "It is not.")

    try:
        found = outcome(DoctorSection("A", source("far"), {"hung": hung, "next": healthy}), seconds=0.2)
    finally:
        for_ever.set()
    assert found == [("hung", "problem"), ("next", "skipped")]


def test_a_failing_check_is_a_problem_and_the_next_one_runs() -> None:
    probes = {
        "broken": raising(ValueError("odd\nvery")),
        "later": raising(NotApplicableError("first things first.")),
        "last": healthy,
    }
    assert outcome(DoctorSection("A", source("here"), probes)) == [
        ("broken", "problem"),
        ("later", "skipped"),
        ("well", "ok"),
    ]


def test_a_source_is_released_by_the_thread_that_acquired_it() -> None:
    threads: list[threading.Thread] = []
    held = source("here", close=lambda: threads.append(threading.current_thread()))

    def probe() -> Iterator[Finding]:
        threads.append(threading.current_thread())
        yield ok("probe", "It is.")

    outcome(DoctorSection("A", held, {"probe": probe}), DoctorSection("B", held, {"probe": probe}))
    assert len(threads) == 3
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


@given(st.lists(st.sampled_from(Severity)))
def test_the_verdict_is_the_worst_of_all(verdicts: list[Severity]) -> None:
    found = worst(verdicts)
    assert (found is Severity.PROBLEM) == (Severity.PROBLEM in verdicts)
    assert found in verdicts or not verdicts


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
    assert worst_verdict(disk.room(tmp_path / "not" / "there" / "yet")) == verdict
