"""The agent's parent: whichever process is killed, no command stays behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent_process import PATIENCE_SECONDS, AgentProcess, StartedCommand
from tests.support.processes import alive
from tests.support.waiting import wait_for

#: It starts a child in a session of its own, ignores SIGTERM, and reports itself, its supervisor and the child.
TROUBLESOME = """
trap '' TERM HUP
setsid sleep 600 &
echo $$ $PPID $!
while :; do sleep 600; done
"""


@pytest.fixture
def agent() -> Iterator[AgentProcess]:
    process = AgentProcess()
    yield process
    process.end()


@pytest.fixture
def pids(agent: AgentProcess) -> list[int]:
    """The command, its supervisor and its child, of each of two running commands."""
    commands = [agent.start("sh", "-c", TROUBLESOME) for _ in range(2)]
    return [pid for command in commands for pid in reported(command)]


def reported(command: StartedCommand) -> list[int]:
    return [int(word) for word in wait_for(command.output, "the command to report").split()]


def assert_all_gone(agent: AgentProcess, pids: list[int]) -> int:
    code = agent.process.wait(PATIENCE_SECONDS)
    for pid in (agent.agent_pid, *pids):
        wait_for(lambda pid=pid: not alive(pid), f"the process {pid} to end")
    return code


def test_if_the_agent_is_killed_the_parent_ends_its_commands_and_itself(agent: AgentProcess, pids: list[int]):
    assert all(map(alive, pids))
    os.kill(agent.agent_pid, signal.SIGKILL)
    assert assert_all_gone(agent, pids) == 128 + signal.SIGKILL


def test_if_the_parent_is_killed_the_agent_ends_and_the_commands_too(agent: AgentProcess, pids: list[int]):
    os.kill(agent.parent_pid, signal.SIGKILL)
    assert assert_all_gone(agent, pids) == -signal.SIGKILL


def test_if_agent_and_parent_are_killed_at_once_the_commands_end(agent: AgentProcess, pids: list[int]):
    os.kill(agent.parent_pid, signal.SIGSTOP)
    os.kill(agent.agent_pid, signal.SIGKILL)
    os.kill(agent.parent_pid, signal.SIGKILL)
    assert_all_gone(agent, pids)


def test_if_a_supervisor_is_killed_its_command_ends_and_the_others_go_on(agent: AgentProcess):
    command, other = (agent.start("sh", "-c", TROUBLESOME) for _ in range(2))
    pids, others = reported(command), reported(other)
    os.kill(pids[1], signal.SIGKILL)
    assert "supervisor was killed" in command.result().end.error
    for pid in pids:
        wait_for(lambda pid=pid: not alive(pid), f"the process {pid} to end")
    assert all(map(alive, others))
    assert agent.run("true").end.exit_code == 0


def test_a_command_dies_with_its_supervisor_though_the_parent_is_stopped(agent: AgentProcess):
    pid, supervisor, _ = reported(agent.start("sh", "-c", TROUBLESOME))
    os.kill(agent.parent_pid, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: not alive(pid), "the command to end")
    os.kill(agent.parent_pid, signal.SIGCONT)


def test_commands_die_with_the_parent_though_the_agent_is_stopped(agent: AgentProcess, pids: list[int]):
    os.kill(agent.agent_pid, signal.SIGSTOP)
    os.kill(agent.parent_pid, signal.SIGKILL)
    for pid in pids:
        wait_for(lambda pid=pid: not alive(pid), f"the process {pid} to end")
    os.kill(agent.agent_pid, signal.SIGCONT)
    assert_all_gone(agent, pids)


def test_if_the_first_process_of_a_command_is_killed_the_rest_is_too(agent: AgentProcess):
    command = agent.start("sh", "-c", TROUBLESOME)
    pid, _, child = reported(command)
    os.kill(pid, signal.SIGKILL)
    assert command.result().end.signal == "SIGKILL"
    assert not alive(child)


def test_an_agent_that_ends_leaves_no_command(agent: AgentProcess, pids: list[int]):
    assert agent.process.stdin is not None
    agent.process.stdin.close()
    assert assert_all_gone(agent, pids) == 0


def test_a_signal_to_the_parent_reaches_the_agent_and_no_command(agent: AgentProcess, pids: list[int]):
    agent.process.terminate()
    # The agent of this test exits with 3, and its commands, which ignore SIGTERM, end with it.
    assert assert_all_gone(agent, pids) == 3


def test_ctrl_c_at_a_terminal_reaches_the_parent_only(agent: AgentProcess):
    """A terminal signals a process group. The agent would else get the signal twice: its own, and the parent's."""
    assert os.getpgid(agent.agent_pid) == agent.agent_pid
    assert os.getpgid(agent.parent_pid) != agent.agent_pid


def test_processes_that_have_ended_leave_not_even_zombies(agent: AgentProcess):
    for _ in range(3):
        agent.run("sh", "-c", "setsid sleep 600 & exit 0")
    children = Path(f"/proc/{agent.parent_pid}/task/{agent.parent_pid}/children")
    wait_for(lambda: children.read_text().split() == [str(agent.agent_pid)], "only the agent to be left")
