"""What every view of the REST API is made of, and the answer for paths that don't exist."""

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

#: Of routes that take a whole definition: no limit of a field is reached later than this one. A request's body of 1 MiB
#: takes up to 6 MiB as JSON, and an environment may override it.
MAX_DEFINITION_BYTES = 16 * 1024 * 1024


#: Where all routes are.
BASE = "api/v1/"


class JsonOnly(BaseContentNegotiation):
    """Answers in JSON whatever `Accept` says, and leaves the query parameter `format` alone."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return next((parser for parser in parsers if _is_json(request.content_type)), None)

    def select_renderer(self, _request: Request, renderers: Any, _format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def _is_json(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"


class PlainOptions(APIView):
    """A view that answers OPTIONS with what it allows, and nothing else: the document describes it."""

    metadata_class = None

    def options(self, _request: Request, *_args: Any, **_path: Any) -> Response:  # type: ignore[override]
        return Response(status=status.HTTP_204_NO_CONTENT)


class EmptySerializer(StrictSerializer):
    """An empty body."""


class ApiView(RateLimited, Idempotent, PlainOptions, GenericAPIView):
    """Names its scopes and query parameters; `access`, `query` and `now` are what its methods work with.

    `needs_quota` tells the document which of its handlers answer 402 where the workspace's plan lets no more runs
    start; the verbs that they call refuse. A body has at most `max_body_bytes`. Lists come in the order of `keyset`.
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
        self.heed_idempotency_key(request)

    @property
    def access(self) -> Access:
        return cast(Access, self.request.auth)

    def get_query_class(self) -> type[Query]:
        return self.query_class

    def get_serializer_context(self) -> dict[str, Any]:
        return {"workspace": self.access.workspace, "access": self.access, "now": self.now}

    def read_body(self, request: Request, serializer_class: type[StrictSerializer]) -> dict[str, Any]:
        """The validated body of the request."""
        serializer = serializer_class(data=request.data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data

    def location(self, path: str) -> dict[str, str]:
        """The header that names what was created, by its path below that of the API."""
        return {"Location": self.request.build_absolute_uri(f"{get_script_prefix()}{BASE}{path}/")}


class ApiViewSet(ViewSetMixin, ApiView):
    """The routes of one resource: DRF's mixins and, for verbs, methods of its own. The URL conf maps methods to them.

    `query_classes` are by action. A path names an object by its id or, where it `has_slug`, by its slug.
    """

    query_classes: Mapping[str, type[Query]] = {"list": ListQuery}
    #: Where lists show less of an object.
    list_serializer_class: type[BaseSerializer[Any]] | None = None
    lookup_url_kwarg: str
    #: What errors call an object.
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
    """DRF's, with the URL of what was created: DRF's own looks for that in the body."""

    def get_success_headers(self, data: Any) -> dict[str, str]:
        view = cast(ApiViewSet, self)
        name = data["slug" if view.has_slug else "id"]
        return {"Location": view.request.build_absolute_uri(f"{view.request.path}{name}/")}


def _milliseconds(now: datetime.datetime) -> datetime.datetime:
    """Cut to what times on the wire can say, so that "now" is the same instant when it is read back."""
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@extend_schema(exclude=True)
class UnknownPath(RateLimited):
    """404 for whatever no route below /api/ answers to."""

    authentication_classes = ()
    permission_classes = ()
    metadata_class = None
    content_negotiation_class = JsonOnly

    def initial(self, request: Request, *args: Any, **path: Any) -> NoReturn:
        super().initial(request, *args, **path)
        raise NotFound(f"There is no {shortened(request.path)} here.")
