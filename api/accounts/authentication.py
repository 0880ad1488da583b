"""Authentication by an API key in the `Authorization` header, or by the dashboard's session and its CSRF token."""

from typing import Any

from django.contrib.auth import get_user
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from accounts.keys import digest_of
from accounts.models import ApiKey, Membership, Workspace
from api.accounts.access import Access

_KEYWORD = "Bearer"


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer hh_...`: sets `request.auth` to the key's Access and `request.user` to None."""

    def authenticate(self, request: Request) -> tuple[Any, Access] | None:
        keyword, _, key = get_authorization_header(request).partition(b" ")
        if keyword.lower() != _KEYWORD.lower().encode():
            return None
        return None, _access_of(key.strip())

    def authenticate_header(self, _request: Request) -> str:
        return _KEYWORD


def _access_of(key: bytes) -> Access:
    now = timezone.now()
    api_key = ApiKey.objects.select_related("workspace").filter(digest=digest_of(key.decode("latin-1"))).first()
    if api_key is None:
        raise AuthenticationFailed("This API key does not exist.", code="key_unknown")
    if api_key.revoked_at is not None:
        raise AuthenticationFailed("This API key has been revoked.", code="key_revoked")
    if api_key.expires_at is not None and api_key.expires_at <= now:
        raise AuthenticationFailed("This API key has expired.", code="key_expired")
    ApiKey.objects.mark_used(api_key.pk, now)
    environment_ids = api_key.environments.values_list("pk", flat=True) if api_key.is_bound else ()
    return Access.of_key(api_key, frozenset(environment_ids))


class DashboardSessionAuthentication(SessionAuthentication):
    """The dashboard's session, CSRF enforced, in the first workspace that the user joined."""

    def authenticate(self, request: Request) -> tuple[Any, Access] | None:
        authenticated = super().authenticate(request)
        if authenticated is None:
            return None
        user = authenticated[0]
        return user, _access_of_user(user)


def access_now(request: Request) -> Access | None:
    """The current access of a long-lived response's caller; None once its key or session is invalid."""
    try:
        if isinstance(request.successful_authenticator, ApiKeyAuthentication):
            return ApiKeyAuthentication().authenticate(request)[1]  # type: ignore[index] # the header is there
        django_request = request._request
        # A new session object reads the stored session again.
        django_request.session = type(django_request.session)(django_request.session.session_key)
        user = get_user(django_request)
        return _access_of_user(user) if user.is_authenticated else None
    except (AuthenticationFailed, PermissionDenied):
        return None


def _access_of_user(user: Any) -> Access:
    membership = Membership.objects.select_related("workspace", "user").filter(user=user).order_by("id").first()
    if membership is not None:
        return Access.of_member(membership)
    workspace = Workspace.objects.order_by("id").first() if user.is_superuser else None
    if workspace is None:
        raise PermissionDenied("You belong to no workspace.", code="no_workspace")
    return Access.of_superuser(user, workspace)
