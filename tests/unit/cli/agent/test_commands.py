"""Commands as real processes: how they start, what they get, how they end, and what is left of them."""

import os
import pwd
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent_process import AgentProcess
from tests.support.processes import alive, command_line
from tests.support.waiting import wait_for

MEGABYTE = 1024 * 1024
#: A shell can't ignore SIGTERM for its children, so that the sleeping child is replaced whenever it dies.
STUBBORN = "trap '' TERM; echo $$; while :; do sleep 60; done"


@pytest.fixture(scope="module")
def agent() -> Iterator[AgentProcess]:
    process = AgentProcess({"AGENT_ONLY": "secret of the agent"})
    yield process
    process.end()


def pid_in(path: Path) -> int:
    return int(wait_for(lambda: path.exists() and path.read_text().strip(), f"{path} to be written"))


def assert_gone(*pids: int) -> None:
    for pid in pids:
        wait_for(lambda pid=pid: not alive(pid), f"the process {pid} to end")


def test_a_command_gets_its_input_and_returns_its_output_and_exit_code(agent: AgentProcess):
    result = agent.run("sh", "-c", "cat; echo oops >&2; exit 7", stdin="käse\n".encode())
    assert (result.end.exit_code, result.end.signal, result.end.error) == (7, None, None)
    assert (result.output.text, result.error_output.text) == ("käse\n", "oops\n")
    assert result.end.started_at is not None
    assert result.end.finished_at >= result.end.started_at
    assert (result.end.timed_out, result.end.canceled) == (False, False)


def test_a_command_without_input_reads_its_end(agent: AgentProcess):
    assert agent.run("wc", "-c").output.text.strip() == "0"


def test_input_of_many_megabytes_arrives_whole(agent: AgentProcess):
    result = agent.run("wc", "-c", stdin=b"x" * 3 * MEGABYTE)
    assert result.output.text.strip() == str(3 * MEGABYTE)


def test_the_environment_is_what_the_command_is_given_and_nothing_else(agent: AgentProcess):
    result = agent.run("/usr/bin/env", env={"ONLY": "this"})
    assert result.output.text == "ONLY=this\n"


def test_a_command_runs_where_and_with_the_umask_that_it_is_given(agent: AgentProcess, tmp_path: Path):
    result = agent.run("sh", "-c", "pwd; umask; touch made", working_dir=str(tmp_path), umask=0o077)
    assert result.output.text.split() == [str(tmp_path), "0077"]
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600


def test_a_command_inherits_no_file_and_no_ignored_or_blocked_signal(agent: AgentProcess):
    result = agent.run("sh", "-c", "ls /proc/self/fd; grep -E '^Sig(Blk|Ign)' /proc/self/status")
    *descriptors, _listing, blocked_name, blocked, ignored_name, ignored = result.output.text.split()
    assert descriptors == ["0", "1", "2"]
    assert (blocked_name, int(blocked, 16)) == ("SigBlk:", 0)
    assert (ignored_name, int(ignored, 16)) == ("SigIgn:", 0)


def test_a_command_leads_a_session_of_its_own(agent: AgentProcess):
    code = "import os; print(os.getsid(0) == os.getpgid(0) == os.getpid())"
    assert agent.run(sys.executable, "-c", code).output.text == "True\n"


@pytest.mark.parametrize(
    ("argv", "fields", "reason"),
    [
        (["/nonexistent/program"], {}, "/nonexistent/program can't be executed: No such file or directory"),
        (["/etc/passwd"], {}, "/etc/passwd can't be executed: Permission denied"),
        (["true"], {"working_dir": "/nonexistent"}, "the directory /nonexistent can't be used"),
        (["true"], {"user": "no-such-user"}, "it can't run as no-such-user"),
    ],
)
def test_a_command_that_can_not_start_says_why(agent: AgentProcess, argv: list[str], fields: dict, reason: str):
    end = agent.run(*argv, **fields).end
    assert reason in end.error
    assert (end.exit_code, end.signal, end.started_at) == (None, None, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_command_runs_as_its_user_with_none_of_the_agents_groups():
    nobody = pwd.getpwnam("nobody")
    agent = AgentProcess(groups=[0, 4242])
    try:
        result = agent.run("sh", "-c", "id -u; id -g; id -G", user="nobody")
        uid, gid, *groups = map(int, result.output.text.split())
        assert (uid, gid) == (nobody.pw_uid, nobody.pw_gid)
        assert not {0, 4242} & set(groups)
    finally:
        agent.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_command_of_another_user_dies_with_its_supervisor(tmp_path: Path):
    agent = AgentProcess()
    try:
        command = agent.start("sh", "-c", "echo $$ $PPID; exec sleep 600", user="nobody")
        pid, supervisor = map(int, wait_for(command.output, "the process to report").split())
        os.kill(supervisor, signal.SIGKILL)
        assert_gone(pid)
        assert "supervisor was killed" in command.result().end.error
    finally:
        agent.end()


def test_what_a_command_used_is_measured(agent: AgentProcess):
    code = "held = bytearray(150_000_000)\nfor i in range(2_000_000): pass"
    end = agent.run(sys.executable, "-c", code).end
    assert 150_000_000 < end.max_rss_bytes < 1_000_000_000
    assert 0 < end.cpu_seconds < 60


def test_a_command_past_its_timeout_is_ended(agent: AgentProcess):
    end = agent.run("sleep", "600", timeout_seconds=0.2).end
    assert (end.timed_out, end.canceled, end.signal, end.exit_code) == (True, False, "SIGTERM", None)


def test_a_canceled_command_is_ended_and_may_still_say_something(agent: AgentProcess):
    command = agent.start("sh", "-c", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    wait_for(lambda: "ready" in command.output(), "the command to be ready")
    command.cancel()
    result = command.result()
    assert (result.end.canceled, result.end.timed_out, result.end.exit_code) == (True, False, 5)
    assert result.output.text == "ready\nbye\n"
    command.cancel()  # that it has ended already is fine


def test_a_command_that_ignores_sigterm_is_killed(agent: AgentProcess):
    command = agent.start("sh", "-c", STUBBORN, termination_seconds=0.3)
    pid = int(wait_for(command.output, "the process to report"))
    command.cancel()
    end = command.result().end
    assert (end.canceled, end.signal) == (True, "SIGKILL")
    assert_gone(pid)


def test_a_stopped_command_is_killed(agent: AgentProcess):
    command = agent.start("sh", "-c", "echo ready; kill -STOP $$", termination_seconds=0.3)
    wait_for(command.output, "the command to be ready")
    command.cancel()
    assert command.result().end.signal == "SIGKILL"


def test_a_daemon_that_a_command_leaves_is_killed(agent: AgentProcess, tmp_path: Path):
    """It forks twice, leads a session of its own, holds no stream, and has another environment."""
    code = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 100)
        os.execve("/bin/sh", ["sh", "-c", "echo $$ > {tmp_path}/daemon; exec /bin/sleep 600"], {{}})
    os._exit(0)
while not os.path.exists("{tmp_path}/daemon"):
    time.sleep(0.02)
"""
    result = agent.run(sys.executable, "-c", code)
    assert (result.end.exit_code, result.end.survivors) == (0, 0)
    assert not alive(pid_in(tmp_path / "daemon"))


def test_a_grandchild_that_holds_the_output_does_not_hold_the_command(agent: AgentProcess):
    result = agent.run("sh", "-c", "sleep 600 & echo $!; exit 3")
    assert result.end.exit_code == 3
    assert not alive(int(result.output.text))


def test_a_grandchild_that_ignores_signals_and_writes_on_is_killed(agent: AgentProcess):
    result = agent.run("sh", "-c", "(trap '' TERM HUP INT; setsid yes) & echo $!")
    assert result.end.exit_code == 0
    assert not alive(int(result.output.text.splitlines()[0]))


def test_a_command_may_close_its_streams_and_go_on(agent: AgentProcess, tmp_path: Path):
    script = f"exec >&- 2>&-; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; touch {tmp_path}/done; exit 4"
    command = agent.start("sh", "-c", script)
    (tmp_path / "go").touch()
    result = command.result()
    assert (result.end.exit_code, result.output.text) == (4, "")
    assert (tmp_path / "done").exists()


def test_orphans_of_a_running_command_are_reaped(agent: AgentProcess, tmp_path: Path):
    """A supervisor is the init of its command: it must collect zombies without losing the command's own status."""
    script = f"(sleep 0.01 & echo $! > {tmp_path}/orphan); while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; exit 9"
    command = agent.start("sh", "-c", script)
    orphan = pid_in(tmp_path / "orphan")
    wait_for(lambda: not Path(f"/proc/{orphan}").exists(), "the orphan to be reaped")
    (tmp_path / "go").touch()
    assert command.result().end.exit_code == 9


def test_commands_run_beside_one_another(agent: AgentProcess, tmp_path: Path):
    """Each waits for the file of the next one."""
    commands = [
        agent.start(
            "sh", "-c", f"touch {tmp_path}/{n}; while [ ! -e {tmp_path}/{(n + 1) % 5} ]; do sleep 0.02; done; exit {n}"
        )
        for n in range(5)
    ]
    assert [command.result().end.exit_code for command in commands] == [0, 1, 2, 3, 4]


def test_a_secret_in_the_environment_is_on_no_command_line(agent: AgentProcess, tmp_path: Path):
    secret = "-".join(["secret", "of", tmp_path.name])
    script = f"echo $TOKEN; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    command = agent.start("sh", "-c", script, env={"TOKEN": secret, "PATH": os.environ["PATH"]})
    wait_for(command.output, "the command to be ready")
    lines = [command_line(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    assert any(script in line for line in lines)
    assert not any(secret in line for line in lines)
    (tmp_path / "go").touch()
    assert command.result().output.text == f"{secret}\n"


def test_a_gigabyte_of_output_takes_little_memory(agent: AgentProcess):
    before = agent.peak_bytes()
    result = agent.run("sh", "-c", "echo first; head -c 1000000000 /dev/zero; echo last")
    assert result.output.total_bytes == 1_000_000_000 + len("first\nlast\n")
    assert result.output.truncated
    assert result.output.head.startswith("first\n\0")
    assert result.output.tail.endswith("\0last\n")
    assert len(result.output.head) + len(result.output.tail) == 64 * 1024
    assert agent.peak_bytes() - before < 64 * MEGABYTE
