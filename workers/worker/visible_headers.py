"""Which request headers a workspace's history shows besides the harmless ones, kept for a few seconds."""

import time
from collections.abc import Iterable
from typing import Any

#: A change of the setting reaches every worker within this time.
REMEMBER_SECONDS = 3.0
_MOST_WORKSPACES = 10_000
_ALLOWED = "SELECT id::text, redact_allow_headers FROM accounts_workspace WHERE id = ANY(%s::uuid[])"


class Disclosure:
    """Knows for whole batches: one query for all workspaces that are not fresh. For one thread at a time."""

    def __init__(self) -> None:
        self._allowed: dict[str, frozenset[str]] = {}
        self._stale_at: dict[str, float] = {}

    def refresh(self, cursor: Any, workspace_ids: Iterable[str]) -> None:
        """Read the setting of these workspaces again, where that was longer ago than REMEMBER_SECONDS."""
        now = time.monotonic()
        stale = [workspace for workspace in workspace_ids if self._stale_at.get(workspace, 0.0) <= now]
        if not stale:
            return
        if len(self._allowed) > _MOST_WORKSPACES:
            self._allowed.clear()
            self._stale_at.clear()
        cursor.execute(_ALLOWED, [stale])
        self._allowed |= {workspace: frozenset(names) for workspace, names in cursor.fetchall()}
        self._stale_at |= dict.fromkeys(stale, now + REMEMBER_SECONDS)

    def allowed(self, workspace_id: str) -> frozenset[str]:
        """In lower case; few workspaces allow any."""
        return self._allowed.get(workspace_id, frozenset())
