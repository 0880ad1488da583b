"""What a caller may do: every route names the scope it needs."""

from typing import Any, Protocol

from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from api.accounts.access import Access


class ScopedView(Protocol):
    """A view that says which scope reads it and which one changes things through it."""

    read_scope: str
    write_scope: str


class HasScope(BasePermission):
    """401 without a key or session; 403, naming the scope, where the key or role lacks it."""

    def has_permission(self, request: Request, view: Any) -> bool:
        access = request.auth
        if not isinstance(access, Access):
            raise NotAuthenticated("Send an API key as `Authorization: Bearer hh_...`.")
        needed = scope_needed(request.method, view)
        if needed in access.scopes:
            return True
        who = "This API key" if access.role is None else f"Your role, {access.role},"
        raise PermissionDenied(f"{who} lacks the scope {needed}.", code="scope_missing")


def scope_needed(method: str | None, view: ScopedView) -> str:
    """A method that the view lacks is told of to whoever may read."""
    changes = method not in SAFE_METHODS and hasattr(view, (method or "").lower())
    return view.write_scope if changes else view.read_scope
