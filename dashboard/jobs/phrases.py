"""Parts of a definition in words: assertions, conditions, long texts. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from core.words import duration_words
from jobs.definition.assertions import ASSERTION_TYPES, spelled_value

#: Longer texts are cut; the form shows all of them.
MAX_CHARACTERS = 200
SENDERS = {
    "standard_webhooks": "Standard Webhooks signatures",
    "github": "GitHub's signatures",
    "stripe": "Stripe's signatures",
    "slack": "Slack's signatures",
    "header": "a secret header",
    "basic": "user and password",
}


def assertion_words(assertion: Mapping[str, Any]) -> str:
    """What an assertion requires of the response."""
    kind = str(assertion.get("type", "?"))
    assertion_type = ASSERTION_TYPES.get(kind)
    words = assertion_type.words if assertion_type else f"{cut(kind)} {{value}}".replace("{", "{{").replace("}", "}}")
    if assertion_type and assertion_type.negated and assertion.get("value") is False:
        words = assertion_type.negated
    parts = {name: cut(str(assertion.get(name, ""))) for name in ("name", "path")}
    return words.format(value=cut(spelled_value(assertion)), **parts)


def condition_words(condition: Mapping[str, Any]) -> str:
    """What a condition compares."""
    to = "" if condition.get("to") is None else f" {cut(json.dumps(condition['to'], ensure_ascii=False))}"
    return f"{cut(str(condition.get('value')))} {str(condition.get('op')).replace('_', ' ')}{to}"


def seconds_words(seconds: float) -> str:
    return duration_words(seconds * 1000)


def cut(text: str) -> str:
    """Cut a text to MAX_CHARACTERS."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
