"""The section of the inbound webhook: how senders prove themselves, what is kept, and a row for each condition."""

import json
from typing import Any, ClassVar

from django import forms

from dashboard.forms.fields import choice, comma_separated, flag, json_in, text
from dashboard.forms.rows import RowKind, rows_of
from jobs.definition.conditions import MAX_CONDITIONS, UNARY, Operator
from jobs.definition.webhook_signatures import Preset

CONDITIONS_PREFIX = "conditions"
PRESETS = {
    Preset.NONE: "Nothing but the secret URL",
    Preset.STANDARD_WEBHOOKS: "Standard Webhooks (also Svix)",
    Preset.GITHUB: "GitHub",
    Preset.STRIPE: "Stripe",
    Preset.SLACK: "Slack",
    Preset.HEADER: "A header with a secret value",
    Preset.BASIC: "User and password (Basic)",
}
OPERATORS = {
    Operator.EQUALS: "is",
    Operator.NOT_EQUALS: "is not",
    Operator.CONTAINS: "contains",
    Operator.NOT_CONTAINS: "does not contain",
    Operator.MATCHES: "matches pattern",
    Operator.EXISTS: "exists",
    Operator.NOT_EXISTS: "does not exist",
    Operator.GT: "is greater than",
    Operator.GTE: "is at least",
    Operator.LT: "is less than",
    Operator.LTE: "is at most",
    Operator.IN: "is one of",
}


class WebhookPart(forms.Form):
    PATHS: ClassVar[dict[str, str]] = {
        "webhook_enabled": "webhook.enabled",
        "webhook_preset": "webhook.verify.preset",
        "webhook_secret": "webhook.verify.secret",
        "webhook_header": "webhook.verify.header",
        "webhook_headers": "webhook.headers",
    }

    webhook_enabled = flag("Run on requests to its URL", "The job's page shows the URL once this is saved.")
    webhook_preset = choice(PRESETS.items(), label="Verify senders by", required=False)
    webhook_secret = text(
        label="Secret to verify with",
        help_text="The name of a secret, as <code>{{secrets.NAME}}</code>.",
        placeholder="{{secrets.NAME}}",
    )
    webhook_header = text(label="Header to verify", help_text="Only for a header with a secret value.")
    webhook_headers = text(
        label="Headers to keep",
        help_text="Separated by commas; the request can use them as <code>{{trigger.headers.NAME}}</code>.",
    )

    def clean_webhook_preset(self) -> str | None:
        return self.cleaned_data["webhook_preset"] or None

    def clean_webhook_headers(self) -> list[str]:
        return comma_separated(self.cleaned_data["webhook_headers"])

    def clean_webhook_secret(self) -> str | None:
        return self.cleaned_data["webhook_secret"] or None

    def clean_webhook_header(self) -> str | None:
        return self.cleaned_data["webhook_header"] or None


class ConditionForm(forms.Form):
    """One condition. `written` is its object in the API once the row is valid."""

    written: dict[str, Any]

    value = text(label="Value", spellcheck="false", placeholder="{{input.action}}")
    op = choice([("", "Choose…"), *OPERATORS.items()], label="Comparison")
    to = text(label="Compared with", spellcheck="false")

    def clean(self) -> dict[str, Any] | None:
        values = super().clean() or {}
        if values.get("op"):
            operator = Operator(values["op"])
            to = {} if operator in UNARY and not values["to"] else {"to": _compared(operator, values["to"])}
            self.written = {"value": values["value"], "op": operator.value, **to}
        return values


ConditionRows = rows_of(ConditionForm, most=MAX_CONDITIONS)


def condition_values(condition: dict[str, Any]) -> dict[str, Any]:
    """A condition of the API as the contents of its row."""
    to = condition.get("to")
    if isinstance(to, list) and all(isinstance(option, str) and "," not in option for option in to):
        shown = ", ".join(to)
    else:
        shown = to if isinstance(to, str) and not _reads_as_json(to) else "" if to is None else _spelled(to)
    return {"value": condition["value"], "op": condition["op"], "to": shown}


CONDITIONS = RowKind(ConditionRows, condition_values, "written", "op")


def _compared(operator: Operator, spelled: str) -> Any:
    """JSON where it reads as JSON, such as 5 or true; for `in` a list, also separated by commas; else the text."""
    try:
        value = json_in(spelled)
    except forms.ValidationError:
        value = spelled
    if operator is Operator.MATCHES:
        return spelled
    if operator is Operator.IN and not isinstance(value, list):
        return comma_separated(spelled)
    return value


def _reads_as_json(spelled: str) -> bool:
    try:
        json_in(spelled)
    except forms.ValidationError:
        return False
    return True


def _spelled(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
