"""Permissions in the dashboard: everything for superusers, for members their workspaces by their roles."""

import uuid
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from accounts.grants import Grant
from accounts.models import Membership, Role, Scope, Workspace
from accounts.roles import SCOPES_OF_ROLES, grant_of_role

_ATTRIBUTE = "_hourhand_access"
_WRITERS = frozenset(role for role, scopes in SCOPES_OF_ROLES.items() if Scope.JOBS_WRITE in scopes)
_ADMINISTRATORS = frozenset(role for role, scopes in SCOPES_OF_ROLES.items() if Scope.ADMIN in scopes)

Rows = TypeVar("Rows", bound=QuerySet[Any])


@dataclass(frozen=True, slots=True)
class DashboardAccess:
    """The `workspaces` that a person sees, and their role in each; a superuser is an owner of all."""

    everything: bool
    workspaces: tuple[Workspace, ...]
    roles: dict[uuid.UUID, str]

    @classmethod
    def of(cls, user: Any) -> "DashboardAccess":
        if not (user.is_active and user.is_staff):
            return cls(False, (), {})
        if user.is_superuser:
            workspaces = tuple(Workspace.objects.order_by("name", "id"))
            return cls(True, workspaces, {workspace.pk: Role.OWNER for workspace in workspaces})
        memberships = Membership.objects.filter(user=user).select_related("workspace").order_by("workspace__name", "id")
        return cls(
            everything=False,
            workspaces=tuple(membership.workspace for membership in memberships),
            roles={membership.workspace_id: membership.role for membership in memberships},
        )

    @property
    def several(self) -> bool:
        """True if a list can have rows of several workspaces."""
        return len(self.workspaces) > 1

    @property
    def writes_somewhere(self) -> bool:
        return any(role in _WRITERS for role in self.roles.values())

    @property
    def administers_somewhere(self) -> bool:
        return self.everything or any(role in _ADMINISTRATORS for role in self.roles.values())

    @property
    def administered(self) -> list[uuid.UUID]:
        """The ids of the workspaces that this person administers."""
        return [workspace.pk for workspace in self.workspaces if self.administers(workspace.pk)]

    def sees(self, workspace_id: uuid.UUID) -> bool:
        return self.everything or workspace_id in self.roles

    def writes(self, workspace_id: uuid.UUID) -> bool:
        """May change jobs, and run, replay and cancel."""
        return self.everything or self.roles.get(workspace_id) in _WRITERS

    def administers(self, workspace_id: uuid.UUID) -> bool:
        """May change members, environments and keys."""
        return self.everything or self.roles.get(workspace_id) in _ADMINISTRATORS

    def owns(self, workspace_id: uuid.UUID) -> bool:
        return self.everything or self.roles.get(workspace_id) == Role.OWNER

    def grant(self, workspace_id: uuid.UUID) -> Grant:
        """What this person may do in a workspace that they see, and so the most they can grant to others."""
        return grant_of_role(Role.OWNER if self.everything else self.roles[workspace_id])

    def narrow(self, rows: Rows, path: str = "workspace") -> Rows:
        """Filter rows to the workspaces that this person sees.

        A single workspace is compared by equality, even for a superuser, since the indexes of history begin with it.
        """
        if len(self.workspaces) == 1:
            return rows.filter(**{path: self.workspaces[0].pk})
        if self.everything:
            return rows
        return rows.filter(**{f"{path}__in": list(self.roles)})

    def workspace_for(self, slug: str | None) -> Workspace:
        """The workspace of this slug, or the first, among those that the person may write to. Raises Http404."""
        for workspace in self.workspaces:
            if self.writes(workspace.pk) and slug in (None, "", workspace.slug):
                return workspace
        raise Http404


def access_of(request: HttpRequest) -> DashboardAccess:
    """The access of the request's user; reads the database once per request."""
    access: DashboardAccess | None = getattr(request, _ATTRIBUTE, None)
    if access is None:
        access = DashboardAccess.of(request.user)
        setattr(request, _ATTRIBUTE, access)
    return access
