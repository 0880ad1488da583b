"""The callback of a job as it is saved, in full or as its URL alone."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ErrorDetail, ValidationError

from core.validation.fields import BoundedList, Choice, Flag, Text
from core.validation.strict import StrictSerializer
from jobs.definition.callback import CALLBACK_BITS, DEFAULT_ON, default_callback
from jobs.definition.templates import OPENING
from jobs.egress import InvalidUrl, parse_target

MAX_URL_CHARACTERS = 2048


@extend_schema_field({"type": "string", "maxLength": MAX_URL_CHARACTERS, "example": "https://example.com/finished"})
class CallbackUrl(Text):
    """A URL that Hourhand may call, without template variables."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MAX_URL_CHARACTERS, **options)

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        if OPENING in url:
            raise ValidationError("The URL of a callback has no template variables.", code="template_not_allowed")
        try:
            target = parse_target(url)
        except InvalidUrl as error:
            raise ValidationError(str(error), code="invalid_url") from error
        refusal = settings.OUTBOUND_POLICY.check_target(target)
        if refusal is not None:
            raise ValidationError(f"Hourhand may not call this URL: it is {refusal.description}.", code="ssrf_blocked")
        return url


class CallbackSerializer(StrictSerializer):
    """The call to make after an execution has ended."""

    url = CallbackUrl(help_text="An http or https URL, which gets a signed POST.")
    on = BoundedList(
        child=Choice(choices=tuple(CALLBACK_BITS)),
        default=lambda: list(DEFAULT_ON),
        min_length=1,
        max_length=len(CALLBACK_BITS),
        help_text="After which endings. `skipped` executions have no callback unless it is listed.",
    )
    include_body = Flag(
        default=False,
        help_text="Whether `final_response` has the body that history keeps, up to 64 KiB, beside its preview.",
    )

    def validate_on(self, endings: list[str]) -> list[str]:
        return [ending for ending in CALLBACK_BITS if ending in endings]


def with_callback(attrs: dict[str, Any], *, given: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve the short form `callback_url`. Raises ValidationError where both are `given` and disagree."""
    url, callback = attrs["callback_url"], attrs["callback"]
    if "callback_url" in given and "callback" in given:
        if url != (callback and callback["url"]):
            problem = "Should be the URL of `callback`: give one of the two, or the same URL in both."
            raise ValidationError({"callback_url": [ErrorDetail(problem, code="conflicting")]})
    elif "callback_url" in given:
        callback = None if url is None else default_callback(url)
    return {**attrs, "callback_url": callback and callback["url"], "callback": callback}


def merged_callback(stored: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a change by the short form alone says of the callback: its other settings stay."""
    before = stored.get("callback")
    if before is None or "callback_url" not in changes or "callback" in changes:
        return {}
    url = changes["callback_url"]
    return {"callback": None if url is None else {**before, "url": url}}


def without_short_form(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition without `callback_url`, which an override of `callback` would contradict."""
    return {field: value for field, value in definition.items() if field != "callback_url"}
