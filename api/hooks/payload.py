"""Reads what a request to a webhook's URL says: JSON as it is, a form as an object, other text as `{"text": ...}`."""

import urllib.parse
from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import APIException

from api.base.parsing import read_json, refuse_unstorable
from runs.states import WebhookReason

MAX_BODY_BYTES = 1024 * 1024
_MAX_FORM_FIELDS = 1000
_FORM = "application/x-www-form-urlencoded"


def input_of(headers: Mapping[str, str], body: bytes) -> tuple[Any, WebhookReason | None]:
    """Return the input that a body stands for, and why there is none where it can't be read."""
    if not body:
        return None, None
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        text = body.decode("utf-8-sig")
        if media_type == "application/json" or media_type.endswith("+json"):
            return read_json(body), None
        value = _form(text) if media_type == _FORM else {"text": text}
        refuse_unstorable(value)
    except UnicodeDecodeError:
        return None, WebhookReason.NOT_TEXT
    except (ValueError, APIException):
        return None, WebhookReason.NOT_JSON if media_type != _FORM else WebhookReason.NOT_TEXT
    return value, None


def _form(text: str) -> dict[str, Any]:
    """The fields of a form; one that comes several times is a list."""
    fields = urllib.parse.parse_qs(text, keep_blank_values=True, max_num_fields=_MAX_FORM_FIELDS)
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
