"""Keeps secret values that steps extracted out of what is stored and shown. Pure."""

from collections.abc import Sequence
from typing import Any

from runs.attempts.redaction import redact_text


def without(value: Any, hidden: Sequence[str]) -> Any:
    """A JSON value in which no text, and no name, has one of these values."""
    if not hidden:
        return value
    if isinstance(value, str):
        return redact_text(value, hidden)
    if isinstance(value, list):
        return [without(inner, hidden) for inner in value]
    if isinstance(value, dict):
        return {redact_text(name, hidden): without(inner, hidden) for name, inner in value.items()}
    return value
