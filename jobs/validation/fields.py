"""Fields of the job object with rules of their own, and those that accept a single value in this release."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from core import exact_json
from core.validation.fields import Text
from jobs.definition import headers as header_rules
from jobs.definition.templates import MAX_BODY_BYTES, Template, TemplateContext, TemplateError, parse
from jobs.egress import InvalidUrl, parse_target
from jobs.schedule import MAX_INTERVAL_SECONDS, MAX_TEXT, MIN_INTERVAL_SECONDS


def only(*supported: Any) -> Callable[[Any], None]:
    """Return a validator for a field of which this release supports these values only."""
    values = " or ".join(json.dumps(value) for value in supported)

    def validate(value: Any) -> None:
        if value not in supported:
            raise ValidationError(f"Only {values} is supported so far.", code="unsupported")

    return validate


def template(text: str, context: TemplateContext) -> Template:
    """Parse a text with template variables. Raises ValidationError."""
    try:
        return parse(text, context)
    except TemplateError as error:
        raise ValidationError(str(error), code=error.code) from error


# A single choice within `oneOf` gets no name of its own in the document.
@extend_schema_field({"oneOf": [{"enum": [None]}], "nullable": True})
class NullOnly(serializers.Field):
    """A field that only accepts null in this release."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_null=True, default=None, **options)

    def to_internal_value(self, data: Any) -> Any:  # noqa: ARG002
        raise ValidationError("Only null is supported so far.", code="unsupported")

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(
    {
        "type": "string",
        "maxLength": 2048,
        "description": "An http or https URL. Its path and query may contain template variables.",
        "example": "https://api.example.com/report?day={{timestamp}}",
    }
)
class TargetUrl(Text):
    """A URL that Hourhand may call: parsed strictly, and checked against the operator's policy."""

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        try:
            target = parse_target(template(url, TemplateContext.URL).sample)
        except InvalidUrl as error:
            raise ValidationError(str(error), code="invalid_url") from error
        refusal = settings.OUTBOUND_POLICY.check_target(target)
        if refusal is not None:
            raise ValidationError(f"Hourhand may not call this URL: it is {refusal.description}.", code="ssrf_blocked")
        return url


class Headers(serializers.DictField):
    """Header names and values; errors are by name."""

    child = Text(allow_blank=True, trim_whitespace=False)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if isinstance(data, Mapping) and len(data) > header_rules.MAX_HEADERS:
            raise ValidationError(f"Should have at most {header_rules.MAX_HEADERS} headers.", code="too_many")
        headers: dict[str, str] = super().to_internal_value(data)
        headers = {name: value.strip(" \t") for name, value in headers.items()}
        if problems := header_rules.header_problems(headers):
            raise ValidationError({name: [ErrorDetail(text, "invalid_header")] for name, text in problems.items()})
        if header_rules.size_of(headers) > header_rules.MAX_HEADER_BYTES:
            raise ValidationError("Should be at most 16 KiB, all headers together.", code="too_large")
        return headers


@extend_schema_field(
    {
        "description": "Text, or any other JSON value, which is sent as compact JSON with its content type.",
        "oneOf": [
            {"type": "string"},
            {"type": "object", "additionalProperties": {}},
            {"type": "array", "items": {}},
            {"type": "number"},
            {"type": "boolean"},
        ],
        "nullable": True,
    }
)
class Body(serializers.Field):
    """The request's body, as its text and whether it was given as JSON."""

    def to_internal_value(self, data: Any) -> tuple[str, bool]:
        is_json = not isinstance(data, str)
        text = exact_json.compact(data) if is_json else data
        if len(text.encode(errors="surrogatepass")) > MAX_BODY_BYTES:
            raise ValidationError("Should be at most 1 MiB.", code="too_large")
        return text, is_json

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(
    {
        "description": "A cron expression of five fields, or of six with the seconds first; a preset such as `@daily`; "
        'words such as `every weekday at 9:00`; `{"every_seconds": 90}`; once: an ISO 8601 time, `in 10 minutes` or '
        "`now`; or null (manual).",
        "oneOf": [
            {"type": "string", "maxLength": MAX_TEXT},
            {
                "type": "object",
                "properties": {
                    "every_seconds": {
                        "type": "integer",
                        "minimum": MIN_INTERVAL_SECONDS,
                        "maximum": MAX_INTERVAL_SECONDS,
                        "description": "From one firing to the next, counted from `starts_at`, else from the job's "
                        "creation.",
                    }
                },
                "required": ["every_seconds"],
                "additionalProperties": False,
            },
        ],
        "nullable": True,
    }
)
class ScheduleSpelling(serializers.Field):
    """A schedule as it was written; it is parsed together with the time zone."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            return dict(data)
        return data.strip() if isinstance(data, str) else data

    def to_representation(self, value: Any) -> Any:
        return value
