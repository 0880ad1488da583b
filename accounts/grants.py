"""The access of keys and members, compared so that nobody grants more than they have. Pure."""

import datetime
import uuid
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grant:
    """The access of a key or a member in one workspace.

    `environment_ids` None is the whole workspace, future environments included; an empty set is no environment.
    `expires_at` None is never. `is_owner` may add and remove owners.
    """

    scopes: frozenset[str]
    environment_ids: frozenset[uuid.UUID] | None = None
    expires_at: datetime.datetime | None = None
    is_owner: bool = False

    def beyond(self, other: "Grant") -> tuple[str, ...]:
        """Describe what this grants beyond `other`; empty if nothing."""
        return tuple(self._beyond(other))

    def _beyond(self, other: "Grant") -> Iterator[str]:
        if more := sorted(self.scopes - other.scopes):
            yield f"the scopes {', '.join(more)}"
        if other.environment_ids is not None and self.environment_ids is None:
            yield "all environments"
        elif other.environment_ids is not None and not (self.environment_ids or frozenset()) <= other.environment_ids:
            yield "other environments"
        if other.expires_at is not None and (self.expires_at is None or self.expires_at > other.expires_at):
            yield "a later expiry"
        if self.is_owner and not other.is_owner:
            yield "the role owner"
