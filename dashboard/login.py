"""The login form with its rate limit, and the cookie of browsers that have logged in before."""

import secrets
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.forms import AuthenticationForm

from core.limits.addresses import client_address
from core.limits.logins import Login, account_digest

_COOKIE = "hourhand_browser"
_SALT = "hourhand.known-browser"
_YEAR_SECONDS = 365 * 24 * 3600


class LoginForm(AuthenticationForm):
    """Rejects a login before its password is checked if the account, browser or address has had too many attempts."""

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username")
        if not username or not self.cleaned_data.get("password"):
            return super().clean()
        login = Login(
            username=username,
            address=client_address(self.request.META, trusted_proxies=settings.TRUSTED_PROXIES),
            browser=_known_browser(self.request, username),
        )
        if wait := login.begin(timezone.now()):
            self.request.login_wait = wait
            minutes = -(-wait // 60)
            again = "1 minute" if minutes == 1 else f"{minutes} minutes"
            raise ValidationError(f"Too many login attempts. Try again in {again}.", code="too_many_tries")
        cleaned = super().clean()
        login.succeeded()
        self.request.known_browser = f"{account_digest(username)}:{login.browser or secrets.token_urlsafe(16)}"
        return cleaned


def _known_browser(request: HttpRequest, username: str) -> str | None:
    """The random name in this browser's cookie, if it comes from a login to this account."""
    value: str = request.get_signed_cookie(_COOKIE, default="", salt=_SALT, max_age=_YEAR_SECONDS) or ""
    account, _, browser = value.partition(":")
    return browser if browser and account == account_digest(username) else None


class LoginThrottleMiddleware:
    """Adds the form's outcome to the response: the cookie, or status 429."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if wait := getattr(request, "login_wait", 0):
            response.status_code = 429
            response["Retry-After"] = str(wait)
        if value := getattr(request, "known_browser", ""):
            response.set_signed_cookie(
                _COOKIE,
                value,
                salt=_SALT,
                max_age=_YEAR_SECONDS,
                httponly=True,
                secure=settings.SESSION_COOKIE_SECURE,
                samesite="Lax",
            )
        return response
