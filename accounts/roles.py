"""The scopes of each role, which the API and the dashboard share."""

from accounts.grants import Grant
from accounts.models import Role, Scope

_READ = frozenset({Scope.JOBS_READ, Scope.EXECUTIONS_READ})
_WRITE = frozenset({Scope.JOBS_WRITE, Scope.EXECUTIONS_WRITE})
SCOPES_OF_ROLES: dict[str, frozenset[Scope]] = {
    Role.VIEWER: _READ,
    Role.MEMBER: _READ | _WRITE,
    Role.ADMIN: frozenset(Scope),
    Role.OWNER: frozenset(Scope),
}


def grant_of_role(role: str) -> Grant:
    """Return the access of a member with this role."""
    return Grant(frozenset(SCOPES_OF_ROLES[role]), is_owner=role == Role.OWNER)
