"""Who is calling: an API key in the `Authorization` header, or the dashboard's session with its CSRF token."""

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
    """`Authorization: Bearer hh_...`. `request.auth` is then the key's Access, `request.user` is None."""

    def authenticate(self, request: Request) -> tuple[Any, Access] | None:
        keyword, _, key = get_authorization_header(request).partition(b" ")
        if keyword.lower() != _KEYWORD.lower().encode():
            return None
        return None, _access_of(key.strip())

    def authenticate_header(self, _request: Request) -> str:
        return _KEYWORD


def _access_of(key: bytes) -> Access:
    now = timezone.now()
    found = ApiKey.objects.select_related("workspace").filter(digest=digest_of(key.decode("latin-1"))).first()
    if found is None:
        raise AuthenticationFailed("This API key is not known.", code="key_unknown")
    if found.revoked_at is not None:
        raise AuthenticationFailed("This API key has been revoked.", code="key_revoked")
    if found.expires_at is not None and found.expires_at <= now:
        raise AuthenticationFailed("This API key has expired.", code="key_expired")
    ApiKey.objects.mark_used(found.pk, now)
    places = found.environments.values_list("pk", flat=True) if found.is_bound else ()
    return Access.of_key(found, frozenset(places))


class DashboardSessionAuthentication(SessionAuthentication):
    """The dashboard's session, CSRF enforced. Its workspace is the oldest one that the person belongs to."""

    def authenticate(self, request: Request) -> tuple[Any, Access] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        return found[0], _access_of_person(found[0])


def access_now(request: Request) -> Access | None:
    """What the caller of an answer that goes on for long may do by now; None once its key or session is over."""
    try:
        if isinstance(request.successful_authenticator, ApiKeyAuthentication):
            return ApiKeyAuthentication().authenticate(request)[1]  # type: ignore[index] # it did at first
        asked = request._request
        # The session as it is kept, not as it was read when the request came.
        asked.session = type(asked.session)(asked.session.session_key)
        user = get_user(asked)
        return _access_of_person(user) if user.is_authenticated else None
    except (AuthenticationFailed, PermissionDenied):
        return None


def _access_of_person(user: Any) -> Access:
    membership = Membership.objects.select_related("workspace", "user").filter(user=user).order_by("id").first()
    if membership is not None:
        return Access.of_member(membership)
    workspace = Workspace.objects.order_by("id").first() if user.is_superuser else None
    if workspace is None:
        raise PermissionDenied("You belong to no workspace.", code="no_workspace")
    return Access.of_superuser(user, workspace)
