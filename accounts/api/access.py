"""What one caller of the API may see and do, whether it came with a key or with a dashboard session. Pure."""

import uuid
from dataclasses import dataclass
from typing import Any

from accounts.models import ApiKey, Environment, Membership, Role, Scope, Workspace

_READ = frozenset({Scope.JOBS_READ, Scope.EXECUTIONS_READ})
_WRITE = frozenset({Scope.JOBS_WRITE, Scope.EXECUTIONS_WRITE})
#: What each role may do, in the words of the scopes of keys.
SCOPES_OF_ROLES: dict[str, frozenset[Scope]] = {
    Role.VIEWER: _READ,
    Role.MEMBER: _READ | _WRITE,
    Role.ADMIN: frozenset(Scope),
    Role.OWNER: frozenset(Scope),
}


@dataclass(frozen=True, slots=True)
class Access:
    """Everything a request may touch is inside `workspace`, and inside `environment_ids` unless that is None (all)."""

    workspace: Workspace
    scopes: frozenset[str]
    environment_ids: frozenset[uuid.UUID] | None
    actor: Any
    role: str | None

    @classmethod
    def of_key(cls, key: ApiKey, environment_ids: frozenset[uuid.UUID]) -> "Access":
        """A key acts for itself: what it changes is not put down to the person who made it."""
        return cls(key.workspace, frozenset(key.scopes), environment_ids or None, actor=None, role=None)

    @classmethod
    def of_member(cls, membership: Membership) -> "Access":
        scopes = SCOPES_OF_ROLES[membership.role]
        return cls(membership.workspace, scopes, None, actor=membership.user, role=membership.role)

    @classmethod
    def of_superuser(cls, user: Any, workspace: Workspace) -> "Access":
        return cls(workspace, frozenset(Scope), None, actor=user, role=Role.OWNER)

    def environments(self) -> list[Environment]:
        """The environments within reach, oldest first."""
        environments = self.workspace.environments.order_by("created_at", "id")
        if self.environment_ids is not None:
            environments = environments.filter(pk__in=self.environment_ids)
        return list(environments)
