"""The rate limit of the API, per key or user, and per address for unauthenticated requests."""

import hashlib
from typing import Any

from django.conf import settings
from rest_framework.authentication import get_authorization_header
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.base.problems import TooManyRequests
from core.limits.addresses import client_address
from core.limits.buckets import buckets
from core.limits.rate import RateDecision


class RateLimited(APIView):
    """Takes a token for each request before processing it, and reports the remaining ones in headers.

    Requests without a valid key count by address, so that guessing keys uses up only the guesser's limit.
    """

    _decision: RateDecision | None = None

    def perform_authentication(self, request: Request) -> None:
        try:
            super().perform_authentication(request)
        except APIException:
            self._take_token(_address_of(request))
            raise
        self._take_token(caller_of(request) or _address_of(request))

    def finalize_response(self, request: Request, response: Any, *args: Any, **path: Any) -> Response:
        final = super().finalize_response(request, response, *args, **path)
        for name, value in self._decision.headers().items() if self._decision else ():
            final[name] = value
        return final

    def _take_token(self, subject: str) -> None:
        rate = settings.API_RATE
        self._decision = buckets().take(subject, rate) if rate else None
        if self._decision is not None and not self._decision.allowed:
            raise TooManyRequests(self._decision.retry_seconds)


def caller_of(request: Request) -> str | None:
    """A stable identifier of the key or user of a request; None if unauthenticated."""
    if request.auth is None:
        return None
    user: Any = request.user
    if user is not None:
        return f"user:{user.pk}"
    return f"key:{hashlib.sha256(get_authorization_header(request)).hexdigest()[:32]}"


def _address_of(request: Request) -> str:
    return f"address:{client_address(request.META, trusted_proxies=settings.TRUSTED_PROXIES)}"
