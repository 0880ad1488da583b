"""The OpenAPI document: query parameters from each view's query, errors on every route, and how to authenticate."""

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
#: Each error that routes tell of: what it means, and one as it is sent.
_PROBLEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "400": (
        "Something in the query or the body is wrong; `errors` names the fields.",
        problem(400, "invalid", "request.url: The URL must start with http:// or https://.", [_WRONG_URL]),
    ),
    "401": (
        "No API key, or one that is unknown, revoked or expired.",
        problem(401, "key_expired", "This API key has expired."),
    ),
    "402": (
        "The runs that the workspace's plan allows this month are used up; what makes calls, or jobs that do, waits.",
        problem(
            402,
            "quota_exceeded",
            "The 10,000 runs that the plan includes this month are used up. The next month begins on 2026-04-01, at "
            "00:00 UTC.",
        ),
    ),
    "403": (
        "The key lacks the scope, or the person the role.",
        problem(403, "scope_missing", "This API key lacks the scope jobs:write."),
    ),
    "404": (
        "There is no such thing in this workspace.",
        problem(404, "not_found", "There is no job nightly-report."),
    ),
    "409": (
        "Not possible in its present state, or the `Idempotency-Key` was used for another request.",
        problem(409, "idempotency_key_reused", "This Idempotency-Key was used for another request."),
    ),
    "411": (
        "The body does not say its length.",
        problem(411, "length_required", "Send the body with a Content-Length header; chunked bodies are not read."),
    ),
    "413": (
        "The body is larger than 2 MiB or, where it holds the definition of a job, than 16 MiB.",
        problem(413, "too_large", "The request body is larger than 2 MiB."),
    ),
    "415": (
        "The body is not JSON, or it is compressed.",
        problem(415, "unsupported_media_type", 'Unsupported media type "text/plain" in request.'),
    ),
    "429": (
        "The caller's rate is used up.",
        problem(429, "rate_limited", "Too many requests; try again in 3 seconds."),
    ),
    "503": (
        "Not possible at this moment: the database is away, or there is no room. Try again after `Retry-After`.",
        problem(503, "database_unavailable", "The database is unavailable; try again in a moment."),
    ),
}
_ON_EVERY_ROUTE = ("400", "401", "403", "429", "503")
_WITH_BODY = ("404", "409", "411", "413", "415")
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
#: What the parts of paths name.
_PATH_PARAMETERS = {
    "environment": "The environment's slug or UUID.",
    "execution": "The execution's id.",
    "job": "The job's slug or UUID.",
    "key": "The id of the key, not the key itself.",
    "member": "The id of the membership, as `GET /members/` lists it.",
    "number": "Number of a version of the job, from 1.",
    "operation": "The bulk operation's id.",
    "other": "Number of the version to compare it with.",
    "policy": "The retry policy's slug or UUID.",
    "run": "The run's id.",
    "secret": "The secret's id; its name does not tell those of several environments apart.",
}
_COUNT = {"type": "integer", "minimum": 0}


def _header(name: str, description: str, *, codes: list[int] | bool = True, schema: Any = None) -> OpenApiParameter:
    """A header of answers: of all, or of those with `codes`. None of them comes on every answer."""
    schema = schema or _COUNT
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, response=codes, description=description)


_RATE_HEADERS = [
    _header("X-RateLimit-Limit", "Requests that the caller may make in a period."),
    _header("X-RateLimit-Remaining", "Requests that the caller can make at once now."),
    _header("X-RateLimit-Reset", "Seconds until all that can be made at once are there again."),
    _header("Retry-After", "Seconds to wait before this can be asked again.", codes=[409, 429, 503]),
]
_IDEMPOTENCY = [
    OpenApiParameter(
        HEADER,
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
        OpenApiParameter.HEADER,
        description="Any text of the caller's: sent again within 24 hours, the request is done once and answered as it "
        "was the first time.",
        examples=[OpenApiExample("A random key", value="0b1f2c1e-6a51-4f0e-9a1d-2f6f4c1f3a55")],
    ),
    _header(
        REPLAYED_HEADER,
        "Sent with the answer of an earlier request with the same `Idempotency-Key`.",
        schema={"type": "string", "enum": ["true"]},
    ),
]


_LOCATION = _header(
    "Location",
    "URL of what was made.",
    codes=[201, 202],
    schema={"type": "string", "format": "uri"},
)


def in_order(endpoints: list[Any]) -> list[Any]:
    """Paths in the order of the URL conf, the methods of each in that of HTTP: a viewset's would come in any."""
    paths = list(dict.fromkeys(path for path, *_ in endpoints))
    methods = [method.upper() for method in View.http_method_names]
    return sorted(endpoints, key=lambda endpoint: (paths.index(endpoint[0]), methods.index(endpoint[2])))


class ProblemFieldSerializer(serializers.Serializer):
    """What is wrong with one field."""

    field = serializers.CharField(allow_null=True, help_text="A dotted path, as in request.url; null: all of it.")
    code = serializers.CharField(help_text="What kind of mistake it is, for programs: it stays the same.")
    detail = serializers.CharField(help_text="What is wrong, or what would be right, for people.")


class ProblemSerializer(serializers.Serializer):
    """An error, as of RFC 9457."""

    type = serializers.CharField(help_text="Always `about:blank`: `code` tells kinds of problems apart.")
    title = serializers.CharField(help_text="The status in words, as in `Not Found`.")
    status = serializers.IntegerField(help_text="The HTTP status of the answer.")
    detail = serializers.CharField(help_text="What is wrong in this case, for people; its words may change.")
    code = serializers.CharField(help_text="What kind of problem it is, for programs: it stays the same.")
    errors = ProblemFieldSerializer(  # type: ignore[assignment]
        many=True, help_text="Each field that is wrong; empty where it is about no field."
    )


class HourhandSchema(AutoSchema):
    """What drf-spectacular can't see by itself."""

    view: Any  # an ApiView

    def get_override_parameters(self) -> list[Any]:
        query = self.view.get_query_class()
        makes = self.method in {"POST", "PUT"}
        return [
            *([query] if query is not Query else []),
            *_RATE_HEADERS,
            *([_LOCATION] if makes else []),
            *(_IDEMPOTENCY if self.method == "POST" else []),
        ]

    def _resolve_path_parameters(self, variables: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = super()._resolve_path_parameters(variables)
        return [{**one, "description": _PATH_PARAMETERS.get(one["name"], "")} for one in found]

    def get_description(self) -> str:  # type: ignore[override] # drf-spectacular takes no arguments
        """What `extend_schema` says and nothing else: docstrings speak to those who write views."""
        return ""

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> dict[str, Any]:
        """What a serializer itself says first; the rest, and what its base says, is for those who write serializers.

        What a change leaves out stays as it is: in it nothing is required and nothing has a default, within the objects
        that it merges neither. An answer leaves out what is optional there and nothing else.
        """
        serializer = force_instance(serializer)
        patched = is_patched_serializer(serializer, direction)
        for name in getattr(serializer, "merged_sections", ()) if patched else ():
            serializer.fields[name].partial = True
        mapped: dict[str, Any] = super()._map_basic_serializer(serializer, direction)
        if patched:
            for said in mapped["properties"].values():
                said.pop("default", None)
        elif direction == "response":
            mapped |= _required_in_answers(serializer, mapped["properties"])
            for said in mapped["properties"].values():
                said.pop("minItems", None)  # what a request had to name may be gone by now
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
    """What is always answered. Of a serializer that reads too, `required` says what may be left out of a request."""
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
            "description": "The dashboard's session; changes need the X-CSRFToken header as well.",
        }
