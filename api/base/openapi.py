"""The OpenAPI document: query parameters from the views' queries, the errors of every route, and authentication."""

import inspect
from typing import Any

from django.views import View
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import force_instance, is_patched_serializer
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from api.base.idempotency import HEADER, REPLAYED_HEADER
from api.base.problems import CONTENT_TYPE, problem
from core.validation.strict import Query, StrictSerializer

_WRONG_URL = {"field": "request.url", "code": "invalid_url", "detail": "The URL must start with http:// or https://."}
#: Description and example of each error, by status.
_PROBLEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "400": (
        "The query or the body is invalid; `errors` names the fields.",
        problem(400, "invalid", "request.url: The URL must start with http:// or https://.", [_WRONG_URL]),
    ),
    "401": (
        "The API key is missing, unknown, revoked or expired.",
        problem(401, "key_expired", "This API key has expired."),
    ),
    "402": (
        "The runs that the workspace's plan allows this month are used up.",
        problem(
            402,
            "quota_exceeded",
            "The 10,000 runs that the plan includes this month are used up. The next month begins on 2026-04-01, at "
            "00:00 UTC.",
        ),
    ),
    "403": (
        "The key lacks the scope, the user lacks the role, or the key is bound to environments.",
        problem(403, "scope_missing", "This API key lacks the scope jobs:write."),
    ),
    "404": (
        "Not found in this workspace, or not within the key's environments.",
        problem(404, "not_found", "There is no job nightly-report."),
    ),
    "409": (
        "Not possible in the current state, or the `Idempotency-Key` was used for another request.",
        problem(409, "idempotency_key_reused", "This Idempotency-Key was used for another request."),
    ),
    "411": (
        "The `Content-Length` header is missing.",
        problem(
            411, "length_required", "Send the body with a Content-Length header; chunked bodies are not supported."
        ),
    ),
    "413": (
        "The body is larger than 2 MiB, or 16 MiB for routes that take a job's definition.",
        problem(413, "too_large", "The request body is larger than 2 MiB."),
    ),
    "415": (
        "The body is not JSON, or is compressed.",
        problem(415, "unsupported_media_type", 'Unsupported media type "text/plain" in request.'),
    ),
    "429": (
        "The rate limit is exceeded. Retry after `Retry-After` seconds.",
        problem(429, "rate_limited", "Too many requests; retry in 3 seconds."),
    ),
    "503": (
        "Temporarily unavailable, for example because the database is. Retry after `Retry-After` seconds.",
        problem(503, "database_unavailable", "The database is unavailable; retry in a moment."),
    ),
}
_ON_EVERY_ROUTE = ("400", "401", "403", "429", "503")
_WITH_BODY = ("404", "409", "411", "413", "415")
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
#: Descriptions of path parameters.
_PATH_PARAMETERS = {
    "environment": "The environment's slug or UUID.",
    "execution": "The execution's id.",
    "job": "The job's slug or UUID.",
    "key": "The key's id, not the key itself.",
    "member": "The member's id from `GET /members/`.",
    "number": "Number of a version of the job, from 1.",
    "callback": "The callback's id.",
    "operation": "The bulk operation's id.",
    "other": "Number of the version to compare with.",
    "policy": "The retry policy's slug or UUID.",
    "run": "The run's id.",
    "secret": "The secret's id. Names are not unique across environments.",
}
_COUNT = {"type": "integer", "minimum": 0}


def _header(name: str, description: str, *, codes: list[int] | bool = True, schema: Any = None) -> OpenApiParameter:
    """A header of responses: of all, or of those with `codes`. None is in every response."""
    schema = schema or _COUNT
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, response=codes, description=description)


_RATE_HEADERS = [
    _header("X-RateLimit-Limit", "Requests allowed per period."),
    _header("X-RateLimit-Remaining", "Requests that can be made now."),
    _header("X-RateLimit-Reset", "Seconds until the full limit is available again."),
    _header("Retry-After", "Seconds to wait before retrying.", codes=[409, 429, 503]),
]
_IDEMPOTENCY = [
    OpenApiParameter(
        HEADER,
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
        OpenApiParameter.HEADER,
        description="A unique text chosen by the caller. A request repeated with the same key within 24 hours is "
        "processed once and gets the same response.",
        examples=[OpenApiExample("Random key", value="0b1f2c1e-6a51-4f0e-9a1d-2f6f4c1f3a55")],
    ),
    _header(
        REPLAYED_HEADER,
        "Present if the response is that of an earlier request with the same `Idempotency-Key`.",
        schema={"type": "string", "enum": ["true"]},
    ),
]


_LOCATION = _header(
    "Location",
    "URL of the created object.",
    codes=[201, 202],
    schema={"type": "string", "format": "uri"},
)


def sort_endpoints(endpoints: list[Any]) -> list[Any]:
    """Sort paths as in the URL conf, and methods as Django does: a viewset's methods are an unordered set."""
    paths = list(dict.fromkeys(path for path, *_ in endpoints))
    methods = [method.upper() for method in View.http_method_names]
    return sorted(endpoints, key=lambda endpoint: (paths.index(endpoint[0]), methods.index(endpoint[2])))


class ProblemFieldSerializer(serializers.Serializer):
    """One invalid field."""

    field = serializers.CharField(allow_null=True, help_text="Dotted path, such as request.url; null: the whole body.")
    code = serializers.CharField(help_text="The kind of error, for programs; stable.")
    detail = serializers.CharField(help_text="The error, for people; the wording may change.")


class ProblemSerializer(serializers.Serializer):
    """An error (RFC 9457)."""

    type = serializers.CharField(help_text="Always `about:blank`; use `code`.")
    title = serializers.CharField(help_text="The status in words, such as `Not Found`.")
    status = serializers.IntegerField(help_text="The HTTP status.")
    detail = serializers.CharField(help_text="The error, for people; the wording may change.")
    code = serializers.CharField(help_text="The kind of error, for programs; stable.")
    errors = ProblemFieldSerializer(  # type: ignore[assignment]
        many=True, help_text="The invalid fields, at most 100; empty if the error concerns none."
    )


class HourhandSchema(AutoSchema):
    """Adds what drf-spectacular can't infer."""

    view: Any  # an ApiView

    def get_override_parameters(self) -> list[Any]:
        query = self.view.get_query_class()
        creates = self.method in {"POST", "PUT"}
        return [
            *([query] if query is not Query else []),
            *_RATE_HEADERS,
            *([_LOCATION] if creates else []),
            *(_IDEMPOTENCY if self.method == "POST" else []),
        ]

    def _resolve_path_parameters(self, variables: Any) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super()._resolve_path_parameters(variables)
        return [{**parameter, "description": _PATH_PARAMETERS.get(parameter["name"], "")} for parameter in parameters]

    def get_description(self) -> str:  # type: ignore[override] # drf-spectacular takes no arguments
        """Return none beside that of `extend_schema`: docstrings are for maintainers."""
        return ""

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> dict[str, Any]:
        """Use the first paragraph of a serializer's own docstring as its description.

        Fields of a PATCH, and of the objects that it merges, are optional and have no default. Responses always contain
        the fields that are not optional in responses.
        """
        serializer = force_instance(serializer)
        patched = is_patched_serializer(serializer, direction)
        for name in getattr(serializer, "merged_sections", ()) if patched else ():
            serializer.fields[name].partial = True
        mapped: dict[str, Any] = super()._map_basic_serializer(serializer, direction)
        if patched:
            for schema in mapped["properties"].values():
                schema.pop("default", None)
        elif direction == "response":
            mapped |= _required_in_answers(serializer, mapped["properties"])
            for schema in mapped["properties"].values():
                schema.pop("minItems", None)  # items may have been deleted since the request
        own = inspect.cleandoc(vars(type(serializer)).get("__doc__") or "").partition("\n\n")[0]
        mapped.pop("description", None)
        return {**mapped, "description": own} if own else mapped

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/api/v1/").partition("/")[0]]

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        codes = {*_ON_EVERY_ROUTE}
        if "{" in self.path:
            codes.add("404")
        if self.method in _METHODS_WITH_BODY:
            codes.update(_WITH_BODY)
        if self.method == "DELETE":
            codes.add("409")
        if getattr(self.view, "action", self.method.lower()) in self.view.needs_quota:
            codes.add("402")
        for code in sorted(codes - bodies.keys()):
            description, example = _PROBLEMS[code]
            examples = [OpenApiExample(example["code"], value=example)]
            response = OpenApiResponse(ProblemSerializer, description, examples)
            bodies[code] = self._get_response_for_code(response, code, media_types=[CONTENT_TYPE])
        return bodies


def _required_in_answers(serializer: Any, properties: dict[str, Any]) -> dict[str, Any]:
    """The fields of every response. In a serializer that also reads, `required` is about requests."""
    if isinstance(serializer, StrictSerializer):
        always = sorted(properties)
    else:
        always = sorted(name for name in properties if serializer.fields[name].required)
    return {"required": always} if always else {}


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = "api.accounts.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer hh_...`."}


class DashboardSessionScheme(OpenApiAuthenticationExtension):
    target_class = "api.accounts.authentication.DashboardSessionAuthentication"
    name = "dashboardSession"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "hourhand_session",
            "description": "The dashboard's session. Changes also need the X-CSRFToken header.",
        }
