"""Profiles: stored by login, chosen by flags and environment, and tried before they are stored."""

import stat
from pathlib import Path

import pytest

from accounts.actors import SYSTEM
from accounts.api_keys import issue_key
from accounts.models import Scope, Workspace
from accounts.services import create_workspace
from hourhand.exits import Exit
from tests.support.in_process_api import URL, Terminal

pytestmark = pytest.mark.django_db


@pytest.fixture
def keys(workspace: Workspace, terminal: Terminal) -> dict[str, str]:
    """Keys of two workspaces; the environment has none of them."""
    terminal.environment |= {"HOURHAND_URL": None, "HOURHAND_KEY": None}
    other = create_workspace(slug="other", name="Other")
    return {
        found.slug: issue_key(
            workspace=found, name=found.slug, scopes=[Scope.JOBS_READ], environments=None, expires_at=None, actor=SYSTEM
        ).key
        for found in (workspace, other)
    }


def test_login_stores_a_profile_that_only_its_owner_can_read(
    terminal: Terminal, keys: dict[str, str], tmp_path: Path
) -> None:
    said = terminal.run("login", f"{URL}/", input=f"{keys['acme']}\n")
    file = tmp_path / "hourhand" / "config.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "acme" in said.stdout
    assert keys["acme"] not in said.output
    assert "travels unencrypted" in said.stderr
    assert terminal.json("whoami")["workspace"] == "acme"


def test_a_wrong_key_is_not_stored(terminal: Terminal, keys: dict[str, str], tmp_path: Path) -> None:
    refused = terminal.run("login", URL, input="hh_wrong", expect=Exit.ACCESS)
    assert "does not exist" in refused.stderr
    assert not (tmp_path / "hourhand").exists()


def test_the_environment_beats_the_profile_and_flags_beat_the_environment(
    terminal: Terminal, keys: dict[str, str]
) -> None:
    terminal.run("login", URL, input=keys["acme"])
    terminal.run("login", URL, "--profile", "other", input=keys["other"])
    assert terminal.json("whoami")["workspace"] == "acme"
    terminal.environment["HOURHAND_PROFILE"] = "other"
    assert terminal.json("whoami")["workspace"] == "other"
    terminal.environment |= {"HOURHAND_URL": URL, "HOURHAND_KEY": keys["acme"]}
    assert terminal.json("whoami")["workspace"] == "acme"
    assert terminal.json("whoami", "--key", keys["other"])["workspace"] == "other"
    assert terminal.json("--profile", "other", "whoami")["workspace"] == "other"


def test_a_readable_file_is_refused(terminal: Terminal, keys: dict[str, str], tmp_path: Path) -> None:
    terminal.run("login", URL, input=keys["acme"])
    (tmp_path / "hourhand" / "config.toml").chmod(0o640)
    assert "chmod 600" in terminal.run("whoami", expect=Exit.ACCESS).stderr
    # What the environment says needs no file.
    terminal.environment |= {"HOURHAND_URL": URL, "HOURHAND_KEY": keys["acme"]}
    terminal.run("whoami")


def test_a_profiles_key_goes_to_its_own_server_only(terminal: Terminal, keys: dict[str, str]) -> None:
    terminal.run("login", URL, input=keys["acme"])
    terminal.api.asked.clear()
    refused = terminal.run("whoami", "--url", "http://elsewhere.test", expect=Exit.ACCESS)
    assert "No key is configured for http://elsewhere.test" in refused.stderr
    assert terminal.api.asked == []


def test_without_anything_it_says_what_to_do(terminal: Terminal, keys: dict[str, str]) -> None:
    assert "hourhand login URL" in terminal.run("jobs", "list", expect=Exit.ACCESS).stderr
    assert "no profile nobody" in terminal.run("jobs", "list", "--profile", "nobody", expect=Exit.ACCESS).stderr


def test_a_missing_scope_is_named(terminal: Terminal, keys: dict[str, str]) -> None:
    refused = terminal.run("executions", "list", "--url", URL, "--key", keys["acme"], expect=Exit.ACCESS)
    assert "lacks the scope executions:read" in refused.stderr
