"""The request headers that a workspace's history shows besides the harmless ones."""

from collections.abc import Collection
from functools import partial
from typing import Any

from core.cache import TtlCache

#: A change of the setting reaches every worker within this time.
TTL_SECONDS = 3.0
_MAX_WORKSPACES = 10_000
_ALLOWED = "SELECT id::text, redact_allow_headers FROM accounts_workspace WHERE id = ANY(%s::uuid[])"


class VisibleHeaders:
    """Reads and caches the names of the headers that workspaces allow; few allow any."""

    def __init__(self) -> None:
        self._allowed: TtlCache[str, frozenset[str]] = TtlCache(TTL_SECONDS, max_entries=_MAX_WORKSPACES)

    def allowed(self, cursor: Any, workspace_ids: Collection[str]) -> dict[str, frozenset[str]]:
        """The names, in lower case, by workspace. At most one query, for the workspaces that are not cached."""
        return self._allowed.get_many(workspace_ids, partial(_load, cursor))


def _load(cursor: Any, workspace_ids: set[str]) -> dict[str, frozenset[str]]:
    cursor.execute(_ALLOWED, [list(workspace_ids)])
    return {workspace_id: frozenset(names) for workspace_id, names in cursor.fetchall()}
