"""Secrets of the API."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from hourhand.client.pages import items
from hourhand.client.session import Session
from hourhand.client.types import Secret


class Secrets:
    """`client.secrets`. A secret is named by its name and its environment; None: for all environments."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, limit: int | None = None) -> Iterator[Secret]:
        return items(self._session, "/secrets/", {}, limit=limit)

    def find(self, name: str, *, environment: str | None = None) -> Secret | None:
        """Return the secret of this name in exactly this environment."""
        return next((one for one in self.list() if (one["name"], one["environment"]) == (name, environment)), None)

    def set(self, name: str, value: str, *, environment: str | None = None) -> Secret:
        """Create a secret, or give the existing one another value."""
        existing = self.find(name, environment=environment)
        if existing is not None:
            return self._saved("PATCH", _path(existing), {"value": value})
        return self._saved("POST", "/secrets/", {"name": name, "environment": environment, "value": value})

    def delete(self, secret: Secret) -> None:
        self._session.call("DELETE", _path(secret))

    def _saved(self, method: str, path: str, body: dict[str, Any]) -> Secret:
        saved: Secret = self._session.call(method, path, body=body)
        return saved


def _path(secret: Secret) -> str:
    return f"/secrets/{quote(secret['id'], safe='')}/"
