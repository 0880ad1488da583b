"""Typed settings from environment variables. The error about a wrong value names the variable and a right value."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from core.limits.rate import Rate

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_HOST = re.compile(r"\*|\.?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\]", re.IGNORECASE)
_TOKEN = re.compile(r"[\x21-\x7e]+")
_KEY_BYTES = 32
#: A shell command that prints a new key.
MAKE_ENCRYPTION_KEY = "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"


class Env:
    """Typed reads of one mapping of environment variables. An unset or empty variable means its default."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str = "") -> str:
        return self._variables.get(name, "").strip() or default

    def names(self, name: str, default: str = "") -> list[str]:
        """A comma-separated list, without blank items."""
        return [part for part in (item.strip() for item in self.text(name, default).split(",")) if part]

    def integer(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        raw = self.text(name)
        if not raw:
            return default
        value = int(raw) if re.fullmatch(r"-?[0-9]{1,18}", raw) else minimum - 1
        if not minimum <= value <= maximum:
            raise ImproperlyConfigured(f"{name}: {raw!r} should be a whole number from {minimum} to {maximum}.")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        raw = self.text(name).lower()
        if not raw:
            return default
        if raw in _TRUE:
            return True
        if raw in _FALSE:
            return False
        raise ImproperlyConfigured(f"{name}: {raw!r} should be one of 1, true, yes, on, 0, false, no, off.")

    def rate(self, name: str, default: str) -> Rate | None:
        """A rate per second, minute or hour; None for no limit."""
        try:
            return Rate.parse(self.text(name, default))
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {error}") from error

    def url(self, name: str, default: str) -> str:
        """An http or https URL without a path."""
        raw = self.text(name, default).rstrip("/")
        try:
            parts = urlsplit(raw)
            is_valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != -1
        except ValueError:  # the port is not a number, or a bracket is not closed
            is_valid = False
        if not is_valid or parts.path or parts.query or parts.fragment or parts.username or re.search(r"\s", raw):
            raise ImproperlyConfigured(
                f"{name}: should be the address of a host without a path, as in https://hourhand.example.com."
            )
        return raw

    def hosts(self, name: str) -> list[str]:
        """Host names in the form of Django's ALLOWED_HOSTS."""
        hosts = self.names(name)
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ImproperlyConfigured(
                    f"{name}: {host!r} should be a host name such as hourhand.example.com, .example.com for all its "
                    "subdomains, or an IP address, without a scheme, port or path; separate several by commas."
                )
        return hosts

    def token(self, name: str) -> str:
        """A text that can be sent in a header."""
        token = self.text(name)
        if token and not _TOKEN.fullmatch(token):
            raise ImproperlyConfigured(f"{name}: should consist of printable ASCII characters without blanks.")
        return token

    def encryption_keys(self, name: str, default: Sequence[str], *, file: Path) -> list[str]:
        """Fernet keys from the environment, or else `default`, which came from `file`. Errors never quote a key."""
        from_environment = self.names(name)
        keys = from_environment or list(default)
        for number, key in enumerate(keys, start=1):
            if not _is_fernet_key(key):
                where = f"{name}: key {number} of {len(keys)}" if from_environment else f"{file}: the key in it"
                raise ImproperlyConfigured(
                    f"{where} should be 32 bytes in URL-safe base64, 44 characters. Restore the previous key; on a "
                    f"first start, print a new one with {MAKE_ENCRYPTION_KEY}."
                )
        return keys

    def directory(self, name: str, default: Path, *, relative_to: Path) -> Path:
        """An absolute path; the directory may not exist yet."""
        return (relative_to / self.text(name, str(default))).resolve()


def _is_fernet_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, altchars=b"-_", validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def kept_text(path: Path) -> str:
    """Read a file of the data directory; empty if it is missing. Raises ImproperlyConfigured if it can't be read."""
    try:
        return path.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise ImproperlyConfigured(
            f"{path} can't be read: {why}. Start Hourhand as the file's owner, change the owner (chown), or set "
            "HOURHAND_DATA_DIR to a directory of yours."
        ) from error
