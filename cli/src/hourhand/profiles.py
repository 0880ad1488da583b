"""Which server to use, and with which key: flags, then the environment, then a profile of the configuration file."""

import contextlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hourhand.client.errors import ClientError
from hourhand.client.session import checked_url

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_NAME = "default"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class ProfileError(Exception):
    """Flags, environment and configuration file name no server and key."""


@dataclass(frozen=True)
class Profile:
    """A server and a key."""

    url: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Configuration:
    """The configuration file: profiles by name, and the one to use if none is named."""

    profiles: Mapping[str, Profile] = field(default_factory=dict)
    default: str = DEFAULT_NAME


@dataclass(frozen=True)
class Flags:
    """What the command line says; None: nothing."""

    url: str | None = None
    key: str | None = None
    profile: str | None = None


def configuration_path(environment: Mapping[str, str]) -> Path:
    home = environment.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "hourhand" / "config.toml"


def choose(flags: Flags, environment: Mapping[str, str], path: Path) -> Profile:
    """Return the server and the key to use.

    A profile's key is used for the profile's server only: another URL must not get it. A profile named by a flag counts
    more than the environment. Raises ProfileError.
    """
    outer = Flags() if flags.profile else _of_environment(environment)
    url, key = flags.url or outer.url, flags.key or outer.key
    if url is None or key is None:
        profile = _profile(flags.profile or outer.profile, read(path), path)
        if url is None and profile is None:
            raise ProfileError("No server is configured: use `hourhand login URL`, or set HOURHAND_URL.")
        url = url or (profile.url if profile else "")
        if key is None and profile is not None and checked(url) == checked(profile.url):
            key = profile.key
    if key is None:
        raise ProfileError(f"No key is configured for {url}: use `hourhand login {url}`, or set HOURHAND_KEY.")
    return Profile(checked(url), key)


def checked(url: str) -> str:
    """Return a URL in its normal form. Raises ProfileError."""
    try:
        return checked_url(url)
    except ClientError as error:
        raise ProfileError(str(error)) from error


def _of_environment(environment: Mapping[str, str]) -> Flags:
    return Flags(
        url=environment.get("HOURHAND_URL") or None,
        key=environment.get("HOURHAND_KEY") or None,
        profile=environment.get("HOURHAND_PROFILE") or None,
    )


def _profile(name: str | None, configuration: Configuration, path: Path) -> Profile | None:
    """Return the profile of this name, or the default one. Raises ProfileError if the named one is missing."""
    profile = configuration.profiles.get(name or configuration.default)
    if profile is None and name is not None:
        raise ProfileError(f"{path} has no profile {name}: use `hourhand login URL --profile {name}`.")
    return profile


def read(path: Path) -> Configuration:
    """Read the configuration file; a missing one is empty. Raises ProfileError if others may read it."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise ProfileError(f"{path} holds keys and is readable by others: run `chmod 600 {path}`.")
            content = tomllib.load(file)
    except FileNotFoundError:
        return Configuration()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileError(f"{path}: {error}") from error
    return Configuration(_profiles(content.get("profiles", {}), path), str(content.get("default", DEFAULT_NAME)))


def _profiles(content: Any, path: Path) -> dict[str, Profile]:
    tables = content.items() if isinstance(content, dict) else ()
    profiles = {}
    for name, table in tables:
        if not isinstance(table, dict) or not all(isinstance(table.get(one), str) for one in ("url", "key")):
            raise ProfileError(f"{path}: the profile {name} needs a url and a key.")
        profiles[name] = Profile(table["url"], table["key"])
    return profiles


def save(path: Path, name: str, profile: Profile, *, as_default: bool) -> None:
    """Add or replace a profile. The file is replaced as a whole, readable by its owner only. Raises ProfileError."""
    before = read(path)
    default = name if as_default or not before.profiles else before.default
    after = replace(before, profiles={**before.profiles, name: profile}, default=default)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Temporary files are created with mode 0600.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_toml(after))
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def _toml(configuration: Configuration) -> str:
    lines = [f"default = {_quoted(configuration.default)}"]
    for name, profile in configuration.profiles.items():
        lines += ["", f"[profiles.{_quoted(name)}]", f"url = {_quoted(profile.url)}", f"key = {_quoted(profile.key)}"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a basic string of TOML: it escapes what JSON escapes, and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
