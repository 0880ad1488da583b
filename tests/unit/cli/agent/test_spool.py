"""Results on disk: stored before they are sent, until they are acknowledged, through kills and damage."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hourhand.agent.durable import write_durably
from hourhand.agent.spool import MAX_DAMAGED, AttemptKey, Spool, SpoolError

FIRST = AttemptKey("0197c0de-0000-7000-8000-000000000001", 1)
SECOND = AttemptKey("0197c0de-0000-7000-8000-000000000002", 3)
BODY = {"exit_code": 0, "output": "käse \0"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The steps on the disk, in their order."""
    steps: list[str] = []
    fsync, replace, unlink = os.fsync, Path.replace, Path.unlink

    def note_fsync(descriptor: int) -> None:
        steps.append("flush directory" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "flush file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", lambda path, to: (steps.append("rename"), replace(path, to))[1])
    monkeypatch.setattr(Path, "unlink", lambda path, **how: (steps.append("remove"), unlink(path, **how))[1])
    return steps


def test_a_result_outlives_a_restart_until_it_is_acknowledged(directory: Path):
    spool = Spool(directory)
    spool.put(FIRST, BODY)
    spool.put(SECOND, {"exit_code": 1})
    again = Spool(directory)
    assert again.pending() == (FIRST, SECOND)
    assert again.read(FIRST).body == BODY
    again.remove(FIRST)
    again.remove(FIRST)
    assert again.read(FIRST) is None
    assert Spool(directory).pending() == (SECOND,)


def test_a_result_is_flushed_before_and_after_it_gets_its_name(directory: Path, steps: list[str]):
    spool = Spool(directory)
    spool.put(FIRST, BODY)
    spool.remove(FIRST)
    assert steps == ["flush file", "rename", "flush directory", "remove", "flush directory"]


def test_only_the_owner_can_read_results(directory: Path):
    Spool(directory).put(FIRST, BODY)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in directory.iterdir()] == [0o600]
    assert "käse" not in repr(Spool(directory).read(FIRST))


def test_a_second_result_of_an_attempt_replaces_the_first(directory: Path):
    spool = Spool(directory, max_results=1)
    spool.put(FIRST, {"exit_code": 1})
    spool.put(FIRST, BODY)
    assert spool.pending() == (FIRST,)
    assert spool.read(FIRST).body == BODY


@pytest.mark.parametrize("killed_at", ["flush file", "rename", "renamed", "flush directory"])
def test_a_kill_between_two_steps_leaves_the_old_or_the_new_result(directory: Path, killed_at: str):
    Spool(directory).put(FIRST, {"exit_code": 1})
    code = f"""
import os, signal
from pathlib import Path
from hourhand.agent.spool import AttemptKey, Spool
fsync, replace = os.fsync, Path.replace
def die(step):
    if step == {killed_at!r}:
        os.kill(os.getpid(), signal.SIGKILL)
def dying_fsync(descriptor):
    die("flush directory" if os.path.isdir(f"/proc/self/fd/{{descriptor}}") else "flush file")
    fsync(descriptor)
def dying_replace(path, to):
    die("rename")
    replace(path, to)
    die("renamed")
os.fsync, Path.replace = dying_fsync, dying_replace
Spool(Path({str(directory)!r})).put(AttemptKey({FIRST.execution!r}, 1), {BODY!r})
"""
    environment = {**os.environ, "PYTHONPATH": "cli/src"}
    process = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert process.returncode == -signal.SIGKILL
    spool = Spool(directory)
    renamed = killed_at in {"renamed", "flush directory"}
    assert spool.read(FIRST).body == (BODY if renamed else {"exit_code": 1})
    assert [path.name for path in directory.iterdir()] == [f"{FIRST.execution}.1.json"]


@pytest.mark.parametrize("damage", [b"", b"\n", b"abc\n{}", b'{"exit_code": 0}'])
def test_a_damaged_result_is_set_aside_and_reported(directory: Path, damage: bytes, caplog: pytest.LogCaptureFixture):
    spool = Spool(directory)
    spool.put(FIRST, BODY)
    spool.put(SECOND, BODY)
    file = directory / f"{FIRST.execution}.1.json"
    file.write_bytes(damage)
    again = Spool(directory)
    assert again.pending() == (SECOND,)
    assert [path.read_bytes() for path in again.damaged] == [damage]
    assert "agent_result_damaged" in caplog.text


def test_damage_while_the_agent_runs_is_not_fatal_either(directory: Path):
    spool = Spool(directory)
    spool.put(FIRST, BODY)
    file = directory / f"{FIRST.execution}.1.json"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    assert spool.read(FIRST) is None
    assert spool.pending() == ()
    assert len(spool.damaged) == 1


def test_a_file_that_is_gone_is_no_result(directory: Path):
    spool = Spool(directory)
    spool.put(FIRST, BODY)
    (directory / f"{FIRST.execution}.1.json").unlink()
    assert spool.read(FIRST) is None
    assert spool.pending() == ()


def test_files_of_others_are_set_aside_and_few_are_kept(directory: Path):
    directory.mkdir()
    for number in range(MAX_DAMAGED + 5):
        (directory / f"foreign {number}.json").write_text("{}")
    spool = Spool(directory)
    assert spool.pending() == ()
    assert len(spool.damaged) == MAX_DAMAGED


def test_the_spool_is_bounded_in_number_and_bytes(directory: Path):
    spool = Spool(directory, max_results=2, max_bytes=2000)
    spool.put(FIRST, {"output": "x" * 1000})
    assert spool.free == 1
    with pytest.raises(SpoolError, match="bytes wait to be sent"):
        spool.put(SECOND, {"output": "x" * 1000})
    spool.put(SECOND, BODY)
    assert spool.free == 0
    with pytest.raises(SpoolError, match="2 results wait to be sent"):
        spool.put(AttemptKey("3", 1), BODY)
    spool.remove(FIRST)
    spool.put(AttemptKey("3", 1), BODY)
    assert Spool(directory).pending() == (SECOND, AttemptKey("3", 1))


def test_a_full_disk_keeps_what_was_stored(directory: Path, monkeypatch: pytest.MonkeyPatch):
    spool = Spool(directory)
    spool.put(FIRST, {"exit_code": 1})

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SpoolError, match="No space left"):
        spool.put(FIRST, BODY)
    monkeypatch.undo()
    assert spool.read(FIRST).body == {"exit_code": 1}
    assert len(list(directory.iterdir())) == 1


@pytest.mark.parametrize("execution", ["", "../escape", "a/b", "a.b", "x" * 65, "a\n"])
def test_an_id_that_is_no_file_name_is_refused(directory: Path, execution: str):
    with pytest.raises(ValueError, match="is not an attempt"):
        Spool(directory).put(AttemptKey(execution, 1), BODY)


def test_a_durable_file_is_replaced_as_a_whole(tmp_path: Path):
    write_durably(tmp_path / "file", b"old")
    write_durably(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1
