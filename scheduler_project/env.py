"""Reads settings from environment variables, typed; a wrong value is refused with its name and what would be right."""

from collections.abc import Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from scheduler_project.limits.rate import Rate

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class Env:
    """Typed reads of one mapping of environment variables. An unset or empty variable means its default."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str = "") -> str:
        return self._variables.get(name, "").strip() or default

    def names(self, name: str, default: str = "") -> list[str]:
        """A comma-separated list, blanks left out."""
        return [part for part in (item.strip() for item in self.text(name, default).split(",")) if part]

    def integer(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        raw = self.text(name)
        if not raw:
            return default
        try:
            value = int(raw)
        except ValueError:
            value = minimum - 1
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
        """So many per second, minute or hour; None when it is switched off."""
        try:
            return Rate.parse(self.text(name, default))
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {error}") from error

    def directory(self, name: str, default: Path, *, relative_to: Path) -> Path:
        """A path, made absolute; the directory itself may not exist yet."""
        return (relative_to / self.text(name, str(default))).resolve()
