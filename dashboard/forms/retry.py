"""The section of retries."""

from typing import ClassVar

from django import forms

from dashboard.forms.fields import api_choices, choice, flag, number, text, whole_numbers
from jobs.services.retry_policies import RULES

_BACKOFF = {
    "exponential": "Exponential: doubles each time",
    "linear": "Linear: grows by the initial delay each time",
    "fixed": "Fixed: the same each time",
    "list": "List: the delays below",
}


class RetryPart(forms.Form):
    #: A retry policy replaces all the other fields.
    PATHS: ClassVar[dict[str, str]] = {"policy": "retry.policy", **{rule: f"retry.{rule}" for rule in RULES}}

    policy = choice(
        [],
        required=False,
        label="Retry policy",
        help_text="Replaces the rules below. To set a rule here, choose none.",
    )
    max_attempts = number(label="Max attempts", help_text="1: no retry. At most 20.")
    on_statuses = text(label="Retry these statuses", help_text="Separated by commas.")
    backoff = choice(api_choices("retry.backoff", _BACKOFF), label="Backoff")
    delay_ms = number(label="Initial delay (ms)", help_text="Before the second attempt.")
    delays_ms = text(label="Delays (ms)", help_text="For “List” only, separated by commas.")
    max_delay_ms = number(label="Max delay (ms)", help_text="Also the limit for a Retry-After header.")
    except_statuses = text(label="Never retry these statuses", help_text="Even if listed above. Separated by commas.")
    on_timeout = flag("Retry after a timeout")
    on_connection_error = flag("Retry when the connection fails")
    on_assertion = flag("Retry when an assertion fails")
    on_worker_lost = flag("Retry when the worker is lost", "Its request may or may not have arrived.")
    jitter = flag("Add random jitter to delays")
    honor_retry_after = flag("Honor the Retry-After header")

    def clean_policy(self) -> str | None:
        return self.cleaned_data["policy"] or None

    def clean_on_statuses(self) -> list[int]:
        return whole_numbers(self.cleaned_data["on_statuses"])

    def clean_except_statuses(self) -> list[int]:
        return whole_numbers(self.cleaned_data["except_statuses"])

    def clean_delays_ms(self) -> list[int] | None:
        return whole_numbers(self.cleaned_data["delays_ms"]) or None
