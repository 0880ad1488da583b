"""The command that ties a program to its parent and drops root, as the kernel reports the started process."""

import os
import signal
import subprocess
import sys

import pytest

from ops.supervisor.launch import launch_command
from ops.supervisor.program import RunAs, StartError
from tests.support.processes import alive, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has setpriv")
NOBODY = 65534
#: capabilities(7)
DAC_READ_SEARCH = 2
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes account")


def status(run_as: RunAs | None = None) -> dict[str, str]:
    """The fields of /proc/self/status of a launched program."""
    command = launch_command(["/bin/cat", "/proc/self/status"], run_as=run_as)
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return {name: value.strip() for name, _, value in (line.partition(":") for line in ended.stdout.splitlines())}


@as_root
def test_another_account_keeps_no_group_and_no_capability() -> None:
    fields = status(RunAs(NOBODY, NOBODY))
    assert {*fields["Uid"].split(), *fields["Gid"].split()} == {str(NOBODY)}
    assert fields["Groups"] == ""
    assert [int(fields[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")] == [0, 0, 0]


@as_root
def test_another_account_keeps_the_one_capability_that_it_is_given() -> None:
    fields = status(RunAs(NOBODY, NOBODY, "dac_read_search"))
    assert fields["Uid"].split() == [str(NOBODY)] * 4
    assert [int(fields[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")] == [1 << DAC_READ_SEARCH] * 3


def test_a_program_whose_parent_has_died_already_does_not_start() -> None:
    command = launch_command(["/bin/echo", "started"])
    # With a shell in between, the parent is not this process.
    ended = subprocess.run(["/bin/sh", "-c", '"$@"; exit $?', "sh", *command], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (126, b"")


@pytest.mark.parametrize("run_as", [None, pytest.param(RunAs(NOBODY, NOBODY, "dac_read_search"), marks=as_root)])
def test_a_program_ends_with_its_parent(run_as: RunAs | None) -> None:
    script = (
        "import subprocess, time; from ops.supervisor.launch import launch_command;"
        "from ops.supervisor.program import RunAs;"
        f"child = subprocess.Popen(launch_command(['/bin/sleep', '600'], run_as={run_as}));"
        "time.sleep(0.5); print(child.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert eventually(lambda: not alive(child), seconds=10)


def test_a_machine_without_setpriv_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StartError, match="util-linux"):
        launch_command(["/bin/true"])
