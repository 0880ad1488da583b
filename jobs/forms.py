"""The dashboard's form for a job. It only spells the API's job object another way: the API's validator judges it."""

import copy
import json
import zoneinfo
from collections.abc import Iterable
from typing import Any

from django import forms
from unfold import widgets

from accounts.models import Workspace
from jobs.api.definition import METHODS
from jobs.models import Job

BACKOFFS = (
    ("exponential", "Exponential: each wait twice the one before"),
    ("linear", "Linear: each wait longer by the first"),
    ("fixed", "Fixed: always the same wait"),
    ("list", "List: the waits written below"),
)
#: Where each field of the form stands in the API's job object.
PATHS = {
    "name": "name",
    "slug": "slug",
    "description": "description",
    "tags": "tags",
    "schedule": "schedule",
    "timezone": "timezone",
    "method": "request.method",
    "url": "request.url",
    "headers": "request.headers",
    "body": "request.body",
    "timeout_seconds": "request.timeout_seconds",
    "tls_verify": "request.tls_verify",
    "success_statuses": "success.statuses",
    "policy": "retry.policy",
    "max_attempts": "retry.max_attempts",
    "backoff": "retry.backoff",
    "delay_ms": "retry.delay_ms",
    "max_delay_ms": "retry.max_delay_ms",
    "delays_ms": "retry.delays_ms",
    "jitter": "retry.jitter",
    "on_statuses": "retry.on_statuses",
    "on_timeout": "retry.on_timeout",
    "on_connection_error": "retry.on_connection_error",
    "honor_retry_after": "retry.honor_retry_after",
    "environments": "environments",
}
TIMEZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
_MONOSPACED = {"class": "hh-mono", "spellcheck": "false", "autocapitalize": "off", "autocomplete": "off"}


def _text(*, required: bool = False, label: str = "", help_text: str = "", **attributes: Any) -> forms.CharField:
    widget = widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", **attributes})
    return forms.CharField(required=required, label=label or None, help_text=help_text, widget=widget)


def _area(*, rows: int, label: str = "", help_text: str = "", mono: bool = True, strip: bool = True) -> forms.CharField:
    widget = widgets.UnfoldAdminTextareaWidget(attrs={"rows": rows, **(_MONOSPACED if mono else {})})
    return forms.CharField(required=False, label=label or None, help_text=help_text, strip=strip, widget=widget)


def _number(*, label: str, help_text: str = "") -> forms.IntegerField:
    widget = widgets.UnfoldAdminIntegerFieldWidget()
    return forms.IntegerField(required=False, label=label, help_text=help_text, widget=widget)


def _seconds(*, label: str, help_text: str = "") -> forms.FloatField:
    widget = widgets.UnfoldAdminIntegerFieldWidget(attrs={"step": "any"})
    return forms.FloatField(required=False, label=label, help_text=help_text, widget=widget)


def _choice(choices: Iterable[tuple[str, str]], **options: Any) -> forms.ChoiceField:
    return forms.ChoiceField(choices=list(choices), widget=widgets.UnfoldAdminSelectWidget(), **options)


def _flag(label: str, help_text: str = "") -> forms.BooleanField:
    widget = widgets.UnfoldBooleanSwitchWidget()
    return forms.BooleanField(required=False, label=label, help_text=help_text, widget=widget)


class JobForm(forms.Form):
    """A job as text fields. `definition()` is the API's job object, `show_errors()` takes the errors of that one."""

    name = _text(required=True, maxlength=200)
    slug = _text(help_text="How the API names the job. Left empty, it is made from the name.", maxlength=100)
    description = _area(rows=2, mono=False)
    tags = _text(help_text="Separated by commas.")
    schedule = _text(
        help_text="Cron (<code>0 2 * * *</code>), <code>@hourly</code>, a datetime (<code>2026-03-15T02:00</code>), "
        '<code>now</code> or <code>{"every_seconds": 90}</code>. Empty: the job runs only when it is asked to.',
        spellcheck="false",
        placeholder="0 2 * * *",
    )
    timezone = _text(required=True, help_text="The wall clock that the schedule is read on.", list="timezones")
    method = _choice([(method, method) for method in METHODS])
    url = _text(required=True, label="URL", spellcheck="false", inputmode="url", placeholder="https://")
    headers = _area(rows=4, help_text="One a line, as in <code>Content-Type: application/json</code>.")
    body = _area(rows=6, strip=False)
    timeout_seconds = _seconds(label="Timeout, seconds", help_text="For the whole call, 1 to 300.")
    tls_verify = _flag("Verify the TLS certificate")
    success_statuses = _text(
        label="What counts as success", help_text="Statuses and classes, as in <code>2xx, 304</code>."
    )
    policy = _choice(
        [], required=False, label="Retry policy", help_text="What it says holds instead of what stands below."
    )
    max_attempts = _number(label="Most attempts", help_text="1: no retry. At most 20.")
    backoff = _choice(BACKOFFS, label="Waits grow")
    delay_ms = _number(label="First wait, milliseconds")
    max_delay_ms = _number(label="Longest wait, milliseconds")
    delays_ms = _text(label="The waits, milliseconds", help_text="For “List” only, separated by commas.")
    on_statuses = _text(label="Retry these statuses", help_text="Separated by commas.")
    jitter = _flag("Spread retries at random")
    on_timeout = _flag("Retry after a timeout")
    on_connection_error = _flag("Retry when the connection fails")
    honor_retry_after = _flag("Wait as long as the answer's Retry-After asks")
    environments = forms.MultipleChoiceField(
        required=False, label="Enabled in", widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget()
    )

    def __init__(self, *args: Any, workspace: Workspace, job: Job | None = None, **options: Any) -> None:
        self.base = copy.deepcopy(job.current_version.config) if job and job.current_version else {}
        self.slugs = list(workspace.environments.order_by("created_at", "id").values_list("slug", "name"))
        rows = job.job_environments.select_related("environment") if job else []
        self.enabled_before = {row.environment.slug: row.enabled for row in rows}
        options.setdefault("initial", self._initial(job))
        super().__init__(*args, **options)
        policies = workspace.retry_policies.order_by("name").values_list("slug", "name")
        self.fields["policy"].choices = [("", "None: as written below"), *policies]  # type: ignore[attr-defined]
        self.fields["environments"].choices = self.slugs  # type: ignore[attr-defined]

    def _initial(self, job: Job | None) -> dict[str, Any]:
        if job is None:
            return {**_NEW, "environments": [slug for slug, _ in self.slugs[:1]]}
        flat = {field: spell(field, _at(self.base, path)) for field, path in PATHS.items()}
        enabled = [slug for slug, enabled in self.enabled_before.items() if enabled]
        return {**flat, "slug": job.slug, "environments": enabled}

    def clean_schedule(self) -> Any:
        text = self.cleaned_data["schedule"]
        if not text.startswith("{"):
            return text or None
        try:
            return json.loads(text)
        except ValueError as error:
            raise forms.ValidationError('Should be like {"every_seconds": 90}.') from error

    def clean_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for line in filter(str.strip, self.cleaned_data["headers"].splitlines()):
            name, colon, value = line.partition(":")
            if not colon:
                raise forms.ValidationError(f"{line.strip()!r} should look like “Name: value”.")
            if name.strip().lower() in (known.lower() for known in headers):
                raise forms.ValidationError(f"{name.strip()} stands there twice.")
            headers[name.strip()] = value.strip()
        return headers

    def clean_body(self) -> str | None:
        # A browser sends every line break of a text area as CR LF, whatever was typed.
        body: str = self.cleaned_data["body"].replace("\r\n", "\n")
        return body or None

    def clean_tags(self) -> list[str]:
        return _listed(self.cleaned_data["tags"])

    def clean_success_statuses(self) -> list[str] | None:
        return _listed(self.cleaned_data["success_statuses"]) or None

    def clean_policy(self) -> str | None:
        return self.cleaned_data["policy"] or None

    def clean_on_statuses(self) -> list[int]:
        return _whole_numbers(self.cleaned_data["on_statuses"])

    def clean_delays_ms(self) -> list[int] | None:
        return _whole_numbers(self.cleaned_data["delays_ms"]) or None

    def definition(self) -> dict[str, Any]:
        """The API's job object: what the form says, over what the job says already. What is left empty is left out."""
        definition = copy.deepcopy(self.base)
        for field, path in PATHS.items():
            value = self.cleaned_data[field]
            *parents, last = path.split(".")
            place = definition
            for parent in parents:
                place = place.setdefault(parent, {})
            if (value is None and field not in _NULLABLE) or (field == "slug" and not value):
                place.pop(last, None)
            else:
                place[last] = value
        chosen = set(self.cleaned_data["environments"])
        known = chosen | set(self.enabled_before)
        definition["environments"] = {slug: {"enabled": slug in chosen} for slug in sorted(known)}
        return definition

    def show_errors(self, errors: Iterable[tuple[str, str]]) -> None:
        """Put errors of the API's validator, as (dotted field, text), beside the fields that they mean."""
        fields = {path: field for field, path in PATHS.items()}
        for path, text in errors:
            inside = (field for known, field in fields.items() if f"{path}.".startswith(f"{known}."))
            field = next(inside, None)
            if field is None:
                self.add_error(None, f"{path}: {text}" if path else text)
            else:
                self.add_error(field, text)


_NULLABLE = frozenset({"schedule", "body", "delays_ms", "policy"})
#: What a new job starts with; everything else is the API's default.
_NEW = {
    "timezone": "UTC",
    "method": "GET",
    "timeout_seconds": 30,
    "tls_verify": True,
    "success_statuses": "2xx",
    "max_attempts": 3,
    "backoff": "exponential",
    "delay_ms": 250,
    "on_statuses": "429, 500, 502, 503, 504",
    "jitter": True,
    "on_timeout": True,
    "on_connection_error": True,
    "honor_retry_after": True,
}


def spell(field: str, value: Any) -> Any:
    """A value of the API's job object as its text field holds it."""
    match value:
        case dict() if field == "headers":
            return "\n".join(f"{name}: {text}" for name, text in value.items())
        case dict():
            return json.dumps(value)
        case float() if value.is_integer():
            return int(value)
        case list():
            return ", ".join(str(item) for item in value)
    return value


def _at(definition: dict[str, Any], path: str) -> Any:
    value: Any = definition
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _listed(text: str) -> list[str]:
    return [part for part in (item.strip() for item in text.split(",")) if part]


def _whole_numbers(text: str) -> list[int]:
    parts = _listed(text)
    if not all(part.isdecimal() for part in parts):
        raise forms.ValidationError("Should be whole numbers, separated by commas.")
    return [int(part) for part in parts]
