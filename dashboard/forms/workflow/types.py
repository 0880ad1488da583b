"""The card of each type of step."""

from typing import Any, ClassVar

from django import forms
from django.forms import BoundField

from dashboard.forms.fields import area, choice, comma_separated, flag, json_in, number, text, value_at
from dashboard.forms.request import RequestPart
from dashboard.forms.retry import RetryPart
from dashboard.forms.success import SuccessPart
from dashboard.forms.webhook import PRESETS
from dashboard.forms.workflow.cards import CardRows, ShownRows, Step, StepCard
from dashboard.forms.workflow.rows import ASSERTION_ROWS, CONDITION_ROWS, EXTRACTION_ROWS, FIELD_ROWS
from jobs.definition.workflow.contract import StepType

_CONDITION, _ASSERTION = "admin/jobs/job/condition.html", "admin/jobs/job/assertion.html"
_IF = CardRows(
    "if", CONDITION_ROWS, _CONDITION, "Conditions", "Add condition", "If one does not hold, the step is skipped."
)
_POLL, _UNTIL = "poll", "until"


class CommonPart(forms.Form):
    """The fields of every step."""

    id = text(
        required=True,
        label="Id",
        help_text="Its name in variables, such as <code>{{steps.ID.status}}</code>: a-z, 0-9 and _.",
        spellcheck="false",
        autocapitalize="off",
        maxlength=40,
    )
    on_failure = choice(
        [
            ("fail", "The workflow fails"),
            ("continue", "The workflow goes on"),
            ("stop", "The workflow ends as a success"),
        ],
        required=False,
        label="If the step fails",
    )


_COMMON = {"id": "id", "on_failure": "on_failure"}


class HttpCard(StepCard, CommonPart, RequestPart, SuccessPart, RetryPart):
    TYPE, TITLE = StepType.HTTP.value, "HTTP call"
    NEW: ClassVar[Step] = {"type": TYPE, "request": {"method": "GET"}}
    PATHS: ClassVar[dict[str, str]] = {
        **_COMMON,
        **RequestPart.PATHS,
        **SuccessPart.PATHS,
        **RetryPart.PATHS,
        "poll_every_seconds": "poll.every_seconds",
        "poll_timeout_seconds": "poll.timeout_seconds",
    }
    ROWS: ClassVar[dict[str, CardRows]] = {
        "assertions": CardRows(
            "success.assertions", ASSERTION_ROWS, _ASSERTION, "Assertions", "Add assertion", "All must hold."
        ),
        "extract": CardRows(
            "extract",
            EXTRACTION_ROWS,
            "admin/jobs/job/workflow/extraction.html",
            "Values to extract",
            "Add value",
            "From the JSON of the response, for later steps: <code>{{steps.ID.NAME}}</code>.",
        ),
        "conditions": _IF,
        _UNTIL: CardRows(
            "poll.until", ASSERTION_ROWS, _ASSERTION, "Until", "Add assertion", "All must hold of the response."
        ),
    }
    NULLABLE = frozenset({"body", "ca_cert", "client_cert", "delays_ms", "policy"})
    LINES = (
        "id", "timeout_seconds", ("method", "url"), "headers", "body", "success_statuses", "max_attempts",
    )  # fmt: skip
    ADVANCED = (
        "policy", "on_statuses", "backoff", "delay_ms", "delays_ms", "max_delay_ms", "except_statuses", "on_timeout",
        "on_connection_error", "on_assertion", "on_worker_lost", "jitter", "honor_retry_after", "tls_verify",
        "ca_cert", "client_cert", "on_failure",
    )  # fmt: skip

    polls = flag("Call again until the response is as expected")
    poll_every_seconds = number(label="Seconds between calls")
    poll_timeout_seconds = number(label="Seconds in total", help_text="Then the step fails.")

    def __init__(self, data: Any, *, prefix: str, whole: Step, policies: list[tuple[str, str]]) -> None:
        super().__init__(data, prefix=prefix, whole=_with_bare_policy(whole))
        self.initial["polls"] = bool(self.before.get(_POLL))
        self.fields["policy"].choices = [("", "None: use the rules below"), *policies]  # type: ignore[attr-defined]
        self.fields["url"].widget.attrs["placeholder"] = "https://"

    def items_before(self, name: str) -> list[Any]:
        if name == "extract":
            return list((self.before.get("extract") or {}).items())
        return super().items_before(name)

    def clean_body(self) -> Any:
        """Read JSON again where the body was written as JSON, which says the content type too."""
        body = super().clean_body()
        if body is None or isinstance(value_at(self.before, "request.body"), str | None):
            return body
        return json_in(body)

    def definition(self) -> Step:
        step = super().definition()
        if not self.is_bound:
            return step
        if not self.cleaned_data.get("polls"):
            return {**step, _POLL: None}
        poll = step.get(_POLL) or {}
        return {**step, _POLL: {**poll, "until": poll.get("until", [])}}

    def put_rows(self, step: Step, name: str) -> None:
        if name != "extract":
            super().put_rows(step, name)
            return
        items = self.row_lists[name].items()
        step["extract"] = dict(items)
        names = [item[0] for item in items]
        for index, each in enumerate(names):
            if each in names[:index]:
                self.row_lists[name].show_error([str(index), "name"], "Another value has this name.")

    def show_row_error(self, name: str, path: str, detail: str) -> None:
        """Errors of values to extract are by name."""
        if name != "extract":
            super().show_row_error(name, path, detail)
            return
        names = [item[0] for item in self.row_lists[name].items()]
        index = next((index for index, each in enumerate(names) if f"{path}.".startswith(f"{each}.")), None)
        rest = "" if index is None else path.removeprefix(names[index]).strip(".")
        self.row_lists[name].show_error([] if index is None else [str(index), rest], detail)

    @property
    def shown_rows(self) -> list[ShownRows]:
        return [rows for rows in super().shown_rows if rows.name != _UNTIL]

    @property
    def until_rows(self) -> ShownRows:
        return self.rows_named(_UNTIL)

    @property
    def poll_lines(self) -> list[BoundField]:
        """The fields that matter while it polls."""
        return [self["poll_every_seconds"], self["poll_timeout_seconds"]]


def _with_bare_policy(step: Step) -> Step:
    """Leave out the rules of a policy: those stored may be older than it."""
    retry = step.get("retry")
    if isinstance(retry, dict) and retry.get("policy") is not None:
        return {**step, "retry": {"policy": retry["policy"]}}
    return step


class DelayCard(StepCard, CommonPart):
    TYPE, TITLE = StepType.DELAY.value, "Delay"
    NEW: ClassVar[Step] = {"type": TYPE}
    PATHS: ClassVar[dict[str, str]] = {**_COMMON, "seconds": "seconds", "until": "until"}
    ROWS: ClassVar[dict[str, CardRows]] = {"conditions": _IF}
    NULLABLE = frozenset({"seconds", "until"})
    LINES = ("id", "seconds", "until")
    ADVANCED = ("on_failure",)

    seconds = number(label="Seconds", help_text="Or the time below.")
    until = text(
        label="Until",
        help_text="A time such as <code>2026-03-15T02:00Z</code>, or variables that render one.",
        spellcheck="false",
        takes_variables=True,
    )

    def clean_until(self) -> str | None:
        return self.cleaned_data["until"] or None


class WaitPart(forms.Form):
    timeout_seconds = number(label="Seconds to wait", help_text="A day has 86400. At most 366 days.")


class WebhookCard(StepCard, CommonPart, WaitPart):
    TYPE, TITLE = StepType.WEBHOOK.value, "Wait for a request"
    NEW: ClassVar[Step] = {"type": TYPE}
    PATHS: ClassVar[dict[str, str]] = {
        **_COMMON,
        "timeout_seconds": "timeout_seconds",
        "on_timeout": "on_timeout",
        "preset": "verify.preset",
        "secret": "verify.secret",
        "header": "verify.header",
    }
    ROWS: ClassVar[dict[str, CardRows]] = {
        "accept": CardRows(
            "accept",
            CONDITION_ROWS,
            _CONDITION,
            "Requests to accept",
            "Add condition",
            "Conditions on <code>{{body.PATH}}</code> that must all hold; other requests are ignored.",
        ),
        "conditions": _IF,
    }
    NULLABLE = frozenset({"secret", "header"})
    LINES = ("id", "timeout_seconds", "on_timeout", "preset", "secret", "header")
    ADVANCED = ("on_failure",)

    on_timeout = choice(
        [("fail", "The step fails"), ("continue", "The workflow goes on")], required=False, label="After that time"
    )
    preset = choice(PRESETS.items(), label="Verify senders by", required=False)
    secret = text(
        label="Secret to verify with",
        help_text="The name of a secret, as <code>{{secrets.NAME}}</code>.",
        placeholder="{{secrets.NAME}}",
    )
    header = text(label="Header to verify", help_text="Only for a header with a secret value.")

    def clean_secret(self) -> str | None:
        return self.cleaned_data["secret"] or None

    def clean_header(self) -> str | None:
        return self.cleaned_data["header"] or None


class ApprovalCard(StepCard, CommonPart, WaitPart):
    TYPE, TITLE = StepType.APPROVAL.value, "Approval"
    NEW: ClassVar[Step] = {"type": TYPE}
    PATHS: ClassVar[dict[str, str]] = {
        **_COMMON,
        "message": "message",
        "approvers": "approvers",
        "required": "required",
        "self_approval": "self_approval",
        "timeout_seconds": "timeout_seconds",
        "on_timeout": "on_timeout",
    }
    ROWS: ClassVar[dict[str, CardRows]] = {
        "form": CardRows(
            "form",
            FIELD_ROWS,
            "admin/jobs/job/workflow/approval_field.html",
            "Fields to fill in",
            "Add field",
            "Later steps read them as <code>{{steps.ID.json.form.NAME}}</code>.",
        ),
        "conditions": _IF,
    }
    NULLABLE = frozenset({"message"})
    LINES = ("id", "required", "message", "approvers", "timeout_seconds", "on_timeout", "self_approval")
    ADVANCED = ("on_failure",)

    message = area(rows=2, label="Message", help_text="What to approve.", mono=False, takes_variables=True)
    approvers = text(
        label="Approvers",
        help_text="Separated by commas: <code>role:admin</code>, <code>user:olga</code>. Empty: all who may run jobs.",
        spellcheck="false",
        autocapitalize="off",
    )
    required = number(label="People who must approve")
    self_approval = flag("The person who started the execution may approve it")
    on_timeout = choice(
        [("reject", "It is rejected"), ("continue", "The workflow goes on")], required=False, label="After that time"
    )

    def clean_message(self) -> str | None:
        return self.cleaned_data["message"] or None

    def clean_approvers(self) -> list[str]:
        return comma_separated(self.cleaned_data["approvers"])


CARDS: dict[str, type[StepCard]] = {card.TYPE: card for card in (HttpCard, DelayCard, WebhookCard, ApprovalCard)}
