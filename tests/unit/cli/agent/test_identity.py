"""Which machine and which start an agent is, and that its directory is its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from hourhand.agent.identity import AgentRunningError, identify, lock_directory

MACHINE = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def machine_id(tmp_path: Path) -> Path:
    path = tmp_path / "machine-id"
    path.write_text(f"{MACHINE}\n")
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "agent"
    lock_directory(directory).close()
    return directory


def test_the_machine_is_the_same_after_a_restart_and_the_instance_is_not(directory: Path, machine_id: Path):
    first, second = (identify(directory, machine_id=machine_id) for _ in range(2))
    assert first.machine == second.machine
    assert first.instance != second.instance
    assert len(first.machine) == len(first.instance) == 32


def test_the_machines_own_id_is_confidential(directory: Path, machine_id: Path):
    assert identify(directory, machine_id=machine_id).machine != MACHINE


@pytest.mark.parametrize("content", [None, "", "uninitialized\n", "0" * 32, "nonsense"])
def test_a_machine_without_an_id_gets_one_that_is_kept(directory: Path, machine_id: Path, content: str | None):
    machine_id.unlink()
    if content is not None:
        machine_id.write_text(content)
    first = identify(directory, machine_id=machine_id)
    assert identify(directory, machine_id=machine_id).machine == first.machine
    # It stays even if the machine gets an id later.
    machine_id.write_text(f"{MACHINE}\n")
    assert identify(directory, machine_id=machine_id).machine == first.machine
    assert (directory / "machine-id").stat().st_mode & 0o777 == 0o600


def test_a_directory_serves_one_agent_at_a_time(tmp_path: Path):
    directory = tmp_path / "agent"
    lock = lock_directory(directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    with pytest.raises(AgentRunningError, match=str(directory)):
        lock_directory(directory)
    lock.close()
    lock_directory(directory).close()


def test_the_lock_ends_with_its_process(tmp_path: Path):
    code = f"""
import os
from pathlib import Path
from hourhand.agent.identity import lock_directory
lock = lock_directory(Path({str(tmp_path)!r}))
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "cli/src"}, check=False)
    lock_directory(tmp_path).close()
