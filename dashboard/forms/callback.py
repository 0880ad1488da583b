"""The section of the callback: where the outcome of an execution is reported, and after which endings."""

import copy
from typing import Any, ClassVar

from django import forms
from unfold import widgets

from core.words import STATUSES
from dashboard.forms.fields import flag, text
from jobs.definition.callback import CALLBACK_BITS, default_callback

_ENDINGS = [(ending, STATUSES[ending].label) for ending in CALLBACK_BITS]


class CallbackPart(forms.Form):
    PATHS: ClassVar[dict[str, str]] = {
        "callback_url": "callback.url",
        "callback_on": "callback.on",
        "callback_include_body": "callback.include_body",
    }

    callback_url = text(
        label="Callback URL",
        help_text="A signed POST goes there after an execution has ended. Leave empty for none.",
        spellcheck="false",
        inputmode="url",
        placeholder="https://example.com/finished",
    )
    callback_on = forms.MultipleChoiceField(
        required=False,
        choices=_ENDINGS,
        label="After executions that are",
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget(),
    )
    callback_include_body = flag("Include the response's body", "Up to 64 KiB; otherwise its first 2 KiB.")

    def clean_callback_url(self) -> str | None:
        return self.cleaned_data["callback_url"] or None


def shown_callback(callback: dict[str, Any] | None) -> dict[str, Any]:
    """A stored callback as the form shows it: without one, the usual settings without a URL."""
    return copy.deepcopy(callback) if callback else {**default_callback(""), "url": None}
