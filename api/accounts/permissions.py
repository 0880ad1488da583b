"""Permissions: the scope that a route needs, and whether it needs the whole workspace."""

from typing import Any

from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from api.accounts.access import Access

#: The scope of a route that any valid key may use.
NO_SCOPE = ""


class HasScope(BasePermission):
    """Answers 401 without a key or session, and 403 with the missing scope."""

    def has_permission(self, request: Request, view: Any) -> bool:
        access = request.auth
        if not isinstance(access, Access):
            raise NotAuthenticated("Send an API key as `Authorization: Bearer hh_...`.")
        needed = view.write_scope if changes_something(request, view) else view.read_scope
        if needed == NO_SCOPE or needed in access.scopes:
            return True
        who = "This API key" if access.role is None else f"Your role, {access.role},"
        raise PermissionDenied(f"{who} lacks the scope {needed}.", code="scope_missing")


class WholeWorkspace(BasePermission):
    """Answers 403 to a key that is bound to environments: the route concerns all of them."""

    def has_permission(self, request: Request, _view: Any) -> bool:
        if isinstance(request.auth, Access) and request.auth.environment_ids is not None:
            raise PermissionDenied(
                "This API key is bound to environments; use one that reaches the whole workspace.",
                code="environment_bound",
            )
        return True


class WholeWorkspaceToChange(WholeWorkspace):
    """The same for changes only. An object out of reach is answered 404 first."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return bool(view.kwargs) or self.has_object_permission(request, view, None)

    def has_object_permission(self, request: Request, view: Any, _object: Any) -> bool:
        return not changes_something(request, view) or super().has_permission(request, view)


def changes_something(request: Request, view: Any) -> bool:
    """Whether the method changes anything. One that the view lacks does not: its callers get a 405."""
    return request.method not in SAFE_METHODS and hasattr(view, (request.method or "").lower())
