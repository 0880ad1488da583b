"""The OpenAPI document: query parameters from each view's query, errors on every route, and how to authenticate."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers

from scheduler_project.api.problems import CONTENT_TYPE, problem
from scheduler_project.api.strict import Query

_DESCRIPTIONS = {
    "400": "Something in the query or the body is wrong; `errors` names the fields.",
    "401": "No API key, or one that is unknown, revoked or expired.",
    "403": "The key lacks the scope, or the person the role.",
    "404": "There is no such thing in this workspace.",
    "409": "Not possible in its present state.",
    "413": "The body is larger than 2 MiB.",
    "415": "The body is not JSON.",
}
_ON_EVERY_ROUTE = ("400", "401", "403")
_WITH_BODY = ("409", "413", "415")
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_EXAMPLE = problem(
    400,
    "invalid",
    "request.url: The URL must start with http:// or https://.",
    [{"field": "request.url", "code": "invalid_url", "detail": "The URL must start with http:// or https://."}],
)


class ProblemFieldSerializer(serializers.Serializer):
    field = serializers.CharField(allow_null=True, help_text="A dotted path, as in request.url.")
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer):
    """An error, as of RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = ProblemFieldSerializer(many=True)  # type: ignore[assignment]


class HourhandSchema(AutoSchema):
    """What drf-spectacular can't see by itself."""

    def get_override_parameters(self) -> list[Any]:
        query = getattr(self.view, "query_class", Query)
        listed = self.method == "GET" and query is not Query
        return [query] if listed else []

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/api/v1/").partition("/")[0]]

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        codes = [*_ON_EVERY_ROUTE]
        if "{" in self.path:
            codes.append("404")
        if self.method in _METHODS_WITH_BODY:
            codes.extend(_WITH_BODY)
        for code in sorted(codes):
            examples = [OpenApiExample("A wrong URL", value=_EXAMPLE)] if code == "400" else None
            response = OpenApiResponse(ProblemSerializer, _DESCRIPTIONS[code], examples)
            bodies[code] = self._get_response_for_code(response, code, media_types=[CONTENT_TYPE])
        return bodies


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.api.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002
        return {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer hh_...`."}


class DashboardSessionScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.api.authentication.DashboardSessionAuthentication"
    name = "dashboardSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "hourhand_session",
            "description": "The dashboard's session; changes need the X-CSRFToken header as well.",
        }
