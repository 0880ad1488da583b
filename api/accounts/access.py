"""What a caller of the API may see and do, with a key or with a dashboard session. Pure."""

import datetime
import uuid
from dataclasses import dataclass
from typing import Any

from accounts.actors import Actor
from accounts.grants import Grant
from accounts.models import ApiKey, Environment, Membership, Role, Scope, Workspace
from accounts.roles import SCOPES_OF_ROLES


@dataclass(frozen=True, slots=True)
class Access:
    """The reach of a request: `workspace`, and in it `environment_ids` (None: all)."""

    workspace: Workspace
    scopes: frozenset[str]
    environment_ids: frozenset[uuid.UUID] | None
    actor: Actor
    role: str | None
    expires_at: datetime.datetime | None = None

    @classmethod
    def of_key(cls, key: ApiKey, environment_ids: frozenset[uuid.UUID]) -> "Access":
        """A bound key whose environments are deleted reaches no environment."""
        bound = environment_ids if key.is_bound else None
        return cls(key.workspace, frozenset(key.scopes), bound, Actor.of_key(key), role=None, expires_at=key.expires_at)

    @classmethod
    def of_member(cls, membership: Membership) -> "Access":
        scopes, actor = SCOPES_OF_ROLES[membership.role], Actor.of_user(membership.user)
        return cls(membership.workspace, scopes, None, actor, role=membership.role)

    @classmethod
    def of_superuser(cls, user: Any, workspace: Workspace) -> "Access":
        return cls(workspace, frozenset(Scope), None, Actor.of_user(user), role=Role.OWNER)

    @property
    def grant(self) -> Grant:
        """The caller's reach, which is the most that it can grant."""
        return Grant(self.scopes, self.environment_ids, self.expires_at, is_owner=self.role == Role.OWNER)

    def environments(self) -> list[Environment]:
        """The environments within reach, oldest first."""
        environments = self.workspace.environments.order_by("created_at", "id")
        if self.environment_ids is not None:
            environments = environments.filter(pk__in=self.environment_ids)
        return list(environments)
