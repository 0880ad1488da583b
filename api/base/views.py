"""What every view of the REST API is made of, and the answer for paths that don't exist."""

import datetime
from typing import Any, NoReturn, cast

from django.conf import settings
from django.urls import get_script_prefix
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.accounts.access import Access
from api.base.idempotency import Idempotent
from api.base.limiting import RateLimited
from api.base.pagination import Keyset
from api.base.problems import EncodedBody, LengthRequired, shown_name
from core.validation.strict import Query, StrictSerializer

#: Of routes that take a whole definition: no limit of a field is reached later than this one. A request's body of 1 MiB
#: takes up to 6 MiB as JSON, and an environment may override it.
DEFINITION_BYTES = 16 * 1024 * 1024


#: Where all routes are.
BASE = "api/v1/"


class AlwaysJson(BaseContentNegotiation):
    """Answers in JSON whatever `Accept` says, and leaves the query parameter `format` alone."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return next((parser for parser in parsers if _is_json(request.content_type)), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:  # noqa: ARG002
        return renderers[0], renderers[0].media_type


def _is_json(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"


class TellsMethods(APIView):
    """A view that answers OPTIONS with what it allows, and nothing else: the document describes it."""

    metadata_class = None

    def options(self, request: Request, *args: Any, **path: Any) -> Response:  # type: ignore[override]  # noqa: ARG002
        return Response(status=status.HTTP_204_NO_CONTENT)


class ApiView(RateLimited, Idempotent, TellsMethods, GenericAPIView):
    """Names its scopes and query parameters; `access`, `query` and `now` are what its methods work with.

    `needs_quota` tells the document which methods answer 402 where the workspace's plan lets no more runs start; the
    verbs that they call refuse. A body has at most `max_body_bytes`.
    """

    read_scope: str
    write_scope: str
    max_body_bytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    query_class: type[Query] = Query
    needs_quota: frozenset[str] = frozenset()
    content_negotiation_class = AlwaysJson
    query: dict[str, Any]
    now: datetime.datetime

    def initial(self, request: Request, *args: Any, **path: Any) -> None:
        if request.method == "OPTIONS":
            self.perform_authentication(request)
            return
        super().initial(request, *args, **path)
        if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
            raise LengthRequired
        coding = request.META.get("HTTP_CONTENT_ENCODING", "").strip()
        if coding and coding.lower() != "identity":
            raise EncodedBody(coding)
        if not hasattr(self, (request.method or "").lower()):
            self.http_method_not_allowed(request)
        self.now = _milliseconds(timezone.now())
        self.query = self.query_class.read(request.query_params)
        self.heed_idempotency_key(request)

    @property
    def access(self) -> Access:
        return cast(Access, self.request.auth)

    def keyset(self) -> Keyset:
        """The order of a list; newest first unless a view says otherwise."""
        return Keyset(("id",), descending=True)

    def page(self, queryset: Any, serializer: type[Any], **context: Any) -> Response:
        """One page of `queryset`, serialised."""
        rows = self.paginate_queryset(queryset)
        shown = serializer(rows, many=True, context={"access": self.access, **context})
        return self.get_paginated_response(shown.data)

    def made(self, shown: Any, path: str, *, code: int = status.HTTP_201_CREATED) -> Response:
        """The answer that shows what was made, and says below which path of the API it is found."""
        location = self.request.build_absolute_uri(f"{get_script_prefix()}{BASE}{path}/")
        return Response(shown, status=code, headers={"Location": location})

    def body(self, serializer: type[StrictSerializer]) -> dict[str, Any]:
        """The validated body of the request."""
        read = serializer(data=self.request.data, context={"now": self.now})
        read.is_valid(raise_exception=True)
        return read.validated_data


def _milliseconds(now: datetime.datetime) -> datetime.datetime:
    """Cut to what times on the wire can say, so that "now" is the same instant when it is read back."""
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@extend_schema(exclude=True)
class UnknownPath(RateLimited):
    """404 for whatever no route below /api/ answers to."""

    authentication_classes = ()
    permission_classes = ()
    metadata_class = None
    content_negotiation_class = AlwaysJson

    def initial(self, request: Request, *args: Any, **path: Any) -> NoReturn:
        super().initial(request, *args, **path)
        raise NotFound(f"There is no {shown_name(request.path)} here.")
