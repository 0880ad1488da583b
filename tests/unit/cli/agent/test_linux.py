"""Killing what is below a subreaper."""

import subprocess
import sys

import pytest

SETUP = """
import os, signal, time
from hourhand.agent.linux import become_subreaper, kill_descendants, reap_orphans
become_subreaper()
def child(run):
    pid = os.fork()
    if pid == 0:
        run()
        os._exit(0)
    return pid
def alive(pid):
    return os.path.exists(f"/proc/{pid}")
def wait_for(condition):
    while not condition():
        time.sleep(0.01)
def is_zombie(pid):
    return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] == "Z"
"""


def outcome(code: str) -> str:
    """What the code prints, in a process of its own: these functions take all children of theirs."""
    process = subprocess.run(
        [sys.executable, "-c", SETUP + code],
        env={"PYTHONPATH": "cli/src"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return process.stdout.strip()


@pytest.mark.parametrize("kept_one_ends", [False, True])
def test_all_but_the_spared_ones_are_killed(kept_one_ends: bool):
    """One that is spared and has ended must not hide the others."""
    code = f"""
kept = child(lambda: None if {kept_one_ends} else time.sleep(100))
if {kept_one_ends}:
    wait_for(lambda: is_zombie(kept))
other = child(lambda: (child(lambda: (os.setsid(), time.sleep(100))), time.sleep(100)))
print(kill_descendants(frozenset({{kept}}), seconds=60), alive(kept))
if not {kept_one_ends}:
    os.kill(kept, signal.SIGKILL)
os.waitpid(kept, 0)
reap_orphans(frozenset())
print(alive(other))
"""
    assert outcome(code).split() == ["0", "True", "False"]


def test_a_process_whose_first_thread_has_ended_is_killed():
    code = """
import ctypes, threading
def end_first_thread():
    threading.Thread(target=time.sleep, args=(100,)).start()
    ctypes.CDLL(None).pthread_exit(None)
pid = child(end_first_thread)
wait_for(lambda: is_zombie(pid))
print(kill_descendants(seconds=60))
wait_for(lambda: reap_orphans(frozenset()) or not alive(pid))
print("gone")
"""
    assert outcome(code).split() == ["0", "gone"]


def test_without_children_there_is_nothing_to_kill():
    assert outcome("print(kill_descendants(seconds=60))") == "0"
