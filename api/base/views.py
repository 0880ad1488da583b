"""Base classes of the API's views."""

import datetime
from collections.abc import Mapping
from typing import Any, NoReturn, cast

from django.conf import settings
from django.http import Http404
from django.urls import get_script_prefix
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.mixins import CreateModelMixin
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from api.accounts.access import Access
from api.base.idempotency import Idempotent
from api.base.pagination import Keyset
from api.base.problems import EncodedBody, LengthRequired, shortened
from api.base.throttling import RateLimited
from core.slugs import is_uuid
from core.validation.strict import ListQuery, Query, StrictSerializer

#: Maximum body of routes that take a job's definition, enough for the limits of all its fields. A request body of 1 MiB
#: takes up to 6 MiB as JSON, and an environment may override it.
MAX_DEFINITION_BYTES = 16 * 1024 * 1024


#: Path of all routes.
BASE = "api/v1/"


class JsonOnly(BaseContentNegotiation):
    """Reads and writes JSON only, and ignores the `Accept` header and the `format` parameter."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return next((parser for parser in parsers if _is_json(request.content_type)), None)

    def select_renderer(self, _request: Request, renderers: Any, _format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def _is_json(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"


class PlainOptions(APIView):
    """Answers OPTIONS with the `Allow` header only: the OpenAPI document describes the route."""

    metadata_class = None

    def options(self, _request: Request, *_args: Any, **_path: Any) -> Response:  # type: ignore[override]
        return Response(status=status.HTTP_204_NO_CONTENT)


class EmptySerializer(StrictSerializer):
    """An empty body."""


class ApiView(RateLimited, Idempotent, PlainOptions, GenericAPIView):
    """A view with scopes and a query. Its handlers read `access`, `query` and `now`, the instant of the request.

    `needs_quota` are the handlers that answer 402 if the plan's runs are used up, for the OpenAPI document. `keyset` is
    the order of lists.
    """

    read_scope: str
    write_scope: str
    max_body_bytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    query_class: type[Query] = Query
    needs_quota: frozenset[str] = frozenset()
    keyset = Keyset(("id",), descending=True)
    content_negotiation_class = JsonOnly
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
        self.query = self.get_query_class().read(request.query_params)
        self.apply_idempotency_key(request)

    @property
    def access(self) -> Access:
        return cast(Access, self.request.auth)

    def get_query_class(self) -> type[Query]:
        return self.query_class

    def get_serializer_context(self) -> dict[str, Any]:
        return {"request": self.request, "workspace": self.access.workspace, "access": self.access, "now": self.now}

    def read_body(self, request: Request, serializer_class: type[StrictSerializer]) -> dict[str, Any]:
        """The validated body of the request."""
        serializer = serializer_class(data=request.data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data

    def location(self, path: str) -> dict[str, str]:
        """The Location header for a path of the API."""
        return {"Location": self.request.build_absolute_uri(f"{get_script_prefix()}{BASE}{path}/")}


class ApiViewSet(ViewSetMixin, ApiView):
    """The routes of a resource: DRF's mixins, and a method for each verb. The URL conf maps HTTP methods to them.

    `query_classes` are by action. Paths identify an object by id or, if it `has_slug`, by slug.
    """

    query_classes: Mapping[str, type[Query]] = {"list": ListQuery}
    #: Serializer of lists, if they show less.
    list_serializer_class: type[BaseSerializer[Any]] | None = None
    lookup_url_kwarg: str
    #: The object's name in errors.
    noun: str
    has_slug = False

    def get_query_class(self) -> type[Query]:
        return self.query_classes.get(self.action, Query)

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        listed = self.list_serializer_class if self.action == "list" else None
        return listed or super().get_serializer_class()

    def get_object(self) -> Any:
        """The object that the path names. Raises NotFound."""
        reference = self.kwargs[self.lookup_url_kwarg]
        if self.has_slug and not is_uuid(reference):
            self.lookup_field = "slug"
        try:
            return super().get_object()
        except Http404 as error:
            raise NotFound(f"There is no {self.noun} {reference}.") from error


class CreateMixin(CreateModelMixin):
    """Adds the URL of the created object, which DRF expects in the body."""

    def get_success_headers(self, data: Any) -> dict[str, str]:
        view = cast(ApiViewSet, self)
        name = data["slug" if view.has_slug else "id"]
        return {"Location": view.request.build_absolute_uri(f"{view.request.path}{name}/")}


def _milliseconds(now: datetime.datetime) -> datetime.datetime:
    """Truncate to milliseconds, the precision of responses, so that instants can be sent back unchanged."""
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@extend_schema(exclude=True)
class UnknownPath(RateLimited):
    """Answers 404 for unknown paths below /api/."""

    authentication_classes = ()
    permission_classes = ()
    metadata_class = None
    content_negotiation_class = JsonOnly

    def initial(self, request: Request, *args: Any, **path: Any) -> NoReturn:
        super().initial(request, *args, **path)
        raise NotFound(f"There is no {shortened(request.path)}.")
