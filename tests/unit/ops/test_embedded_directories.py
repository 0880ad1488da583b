"""Private directories are private, and those of other users are refused."""

import os
import stat
from pathlib import Path

import pytest

from ops.embedded.directories import private_directory
from ops.supervisor.program import StartError


def test_a_new_directory_is_private_to_its_owner(tmp_path: Path) -> None:
    made = private_directory(tmp_path / "data")

    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)

    private_directory(tmp_path / "data")

    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o755


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    with pytest.raises(StartError, match="a link"):
        private_directory(tmp_path / "link")


def test_a_world_writable_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)

    with pytest.raises(StartError, match="chmod o-w"):
        private_directory(tmp_path / "data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    os.chown(tmp_path / "data", 12345, -1)

    with pytest.raises(StartError, match="belongs to uid 12345"):
        private_directory(tmp_path / "data")
