"""How far somebody reaches, so that nobody gives away more than they have. Pure."""

import datetime
import uuid
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key or a member may do in one workspace: these scopes, in these environments, until then.

    `environment_ids` None is the whole workspace, environments yet to come included; an empty set reaches no
    environment. `expires_at` None is for good. `is_owner` may make and unmake owners.
    """

    scopes: frozenset[str]
    environment_ids: frozenset[uuid.UUID] | None = None
    expires_at: datetime.datetime | None = None
    is_owner: bool = False

    def beyond(self, other: "Grant") -> tuple[str, ...]:
        """In which respects this reaches further than `other`, in words; none when it stays within it."""
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
