"""Failpoints do nothing in production, and hit one process once where a test asks for it."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.acceptance.chaos.process_faults import ELSEWHERE, STEPS
from tests.support.project import ROOT

PASSING = "from core.failpoints import failpoint; failpoint('claim.taken'); print('went on')"


def passing(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PASSING], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_without_a_directory_they_do_nothing(tmp_path: Path):
    (tmp_path / "claim.taken").write_text(str(int(signal.SIGKILL)))
    assert passing().stdout == "went on\n"


def test_only_the_first_process_to_reach_it_is_killed(tmp_path: Path):
    (tmp_path / "claim.taken").write_text(str(int(signal.SIGKILL)))
    assert passing(HOURHAND_FAILPOINTS=str(tmp_path)).returncode == -signal.SIGKILL
    assert passing(HOURHAND_FAILPOINTS=str(tmp_path)).stdout == "went on\n"


def test_other_failpoints_are_unaffected(tmp_path: Path):
    (tmp_path / "claim.committed").write_text(str(int(signal.SIGKILL)))
    assert passing(HOURHAND_FAILPOINTS=str(tmp_path)).stdout == "went on\n"


def test_every_failpoint_of_the_chaos_tests_is_in_the_code():
    code = "\n".join(path.read_text() for app in ("runs", "workers") for path in (ROOT / app).rglob("*.py"))
    points = {point for points in STEPS.values() for point in points} | ELSEWHERE
    assert {point for point in points if f'failpoint("{point}")' in code} == points
    assert code.count('failpoint("') == len(points)
