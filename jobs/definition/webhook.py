"""What a job's version says of its inbound webhook: who may send, what is kept, and which requests fire. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accounts.names import SECRET_NAME_PATTERN
from jobs.definition.conditions import Condition, compile_condition
from jobs.definition.webhook_signatures import Preset

MAX_KEPT_HEADERS = 20
#: How a definition names the secret of `verify`.
SECRET_REFERENCE = re.compile(rf"\{{\{{\s*secrets\.(?P<name>{SECRET_NAME_PATTERN})\s*\}}\}}")
#: What holds where a version says nothing of its webhook.
NO_WEBHOOK: dict[str, Any] = {
    "enabled": False,
    "verify": {"preset": "none", "secret": None, "header": None},
    "headers": [],
    "if": [],
}


@dataclass(frozen=True, slots=True)
class WebhookDefinition:
    """`secret_name` names the secret that `preset` verifies with; `kept_headers` are lower-case names."""

    enabled: bool
    preset: Preset
    secret_name: str | None
    header: str | None
    kept_headers: tuple[str, ...]
    conditions: tuple[Condition, ...]
    written_conditions: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "WebhookDefinition":
        """Read it from a version's definition. Raises InvalidConditionError, KeyError and ValueError."""
        written = config.get("webhook") or NO_WEBHOOK
        verify, conditions = written["verify"], tuple(written["if"])
        reference = SECRET_REFERENCE.fullmatch(verify["secret"] or "")
        return cls(
            written["enabled"],
            Preset(verify["preset"]),
            reference and reference["name"],
            verify["header"],
            tuple(name.lower() for name in written["headers"]),
            tuple(map(compile_condition, conditions)),
            conditions,
        )
