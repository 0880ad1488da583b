"""Profiles: which server and key count, and the file that holds them."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourhand.profiles import Configuration, Flags, Profile, ProfileError, choose, configuration_path, read, save

HOME = Profile("https://home.test", "hh_home")
WORK = Profile("https://work.test", "hh_work")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "hourhand" / "config.toml"
    save(path, "home", HOME, as_default=False)
    save(path, "work", WORK, as_default=False)
    return path


def test_the_first_profile_is_the_default_until_another_is_made_it(path: Path):
    assert read(path) == Configuration({"home": HOME, "work": WORK}, "home")
    save(path, "work", WORK, as_default=True)
    assert read(path).default == "work"
    assert [file.name for file in path.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize(
    ("flags", "environment", "chosen"),
    [
        (Flags(), {}, HOME),
        (Flags(), {"HOURHAND_PROFILE": "work"}, WORK),
        (Flags(), {"HOURHAND_URL": "https://ci.test", "HOURHAND_KEY": "hh_ci"}, Profile("https://ci.test", "hh_ci")),
        (Flags(), {"HOURHAND_KEY": "hh_ci"}, Profile(HOME.url, "hh_ci")),
        (Flags(), {"HOURHAND_URL": "https://home.test/"}, HOME),
        (Flags(profile="work"), {"HOURHAND_URL": "https://ci.test", "HOURHAND_KEY": "hh_ci"}, WORK),
        (Flags(key="hh_flag"), {"HOURHAND_URL": "https://ci.test"}, Profile("https://ci.test", "hh_flag")),
        (Flags(url="https://flag.test"), {"HOURHAND_KEY": "hh_ci"}, Profile("https://flag.test", "hh_ci")),
        (Flags(profile="work", key="hh_flag"), {}, Profile(WORK.url, "hh_flag")),
        (Flags(), {"HOURHAND_URL": "", "HOURHAND_KEY": ""}, HOME),
    ],
)
def test_flags_beat_the_environment_which_beats_the_profile(
    path: Path, flags: Flags, environment: dict[str, str], chosen: Profile
):
    assert choose(flags, environment, path) == chosen


@pytest.mark.parametrize(
    ("flags", "environment", "said"),
    [
        (Flags(url="https://elsewhere.test"), {}, "No key is configured for https://elsewhere.test"),
        (Flags(profile="work", url="https://home.test"), {}, "No key is configured for https://home.test"),
        (Flags(), {"HOURHAND_URL": "https://elsewhere.test"}, "No key"),
        (Flags(profile="none"), {}, "no profile none"),
        (Flags(url="nonsense"), {}, "not the URL of a server"),
    ],
)
def test_no_key_reaches_another_server(path: Path, flags: Flags, environment: dict[str, str], said: str):
    with pytest.raises(ProfileError, match=said):
        choose(flags, environment, path)


def test_without_a_file_nothing_is_configured(tmp_path: Path):
    with pytest.raises(ProfileError, match="No server is configured"):
        choose(Flags(), {}, tmp_path / "none")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o620, 0o644])
def test_a_file_that_others_may_read_or_write_is_refused(path: Path, mode: int):
    path.chmod(mode)
    with pytest.raises(ProfileError, match="chmod 600"):
        read(path)
    with pytest.raises(ProfileError, match="chmod 600"):
        save(path, "home", HOME, as_default=False)


def test_a_written_file_is_its_owners_only(path: Path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", ["default = ", "[profiles.a]\nurl = 'https://a'", "profiles.a = 1", "\xff"])
def test_a_broken_file_is_named(path: Path, content: str):
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ProfileError, match=r"config\.toml"):
        read(path)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, TEXT, TEXT)
def test_any_text_survives_the_file(tmp_path_factory: pytest.TempPathFactory, name: str, url: str, key: str):
    path = tmp_path_factory.mktemp("home") / "config.toml"
    save(path, name, Profile(url, key), as_default=True)
    assert read(path) == Configuration({name: Profile(url, key)}, name)


def test_the_file_is_where_configuration_belongs():
    assert configuration_path({"XDG_CONFIG_HOME": "/etc/mine"}) == Path("/etc/mine/hourhand/config.toml")
    assert configuration_path({}) == Path.home() / ".config" / "hourhand" / "config.toml"


def test_a_key_is_in_no_representation():
    assert "hh_home" not in repr(HOME)
