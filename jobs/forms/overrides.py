"""What differs by environment: JSON, as the API takes it, with each environment by its slug."""

import json
from typing import Any, ClassVar

from django import forms

from jobs.forms.fields import area, json_in


class OverridesPart(forms.Form):
    PATHS: ClassVar[dict[str, str]] = {"overrides": "overrides"}

    overrides = area(
        rows=6,
        label="Overrides",
        help_text="JSON: of each environment what differs there, sparse. As in "
        '<code>{"staging": {"request": {"url": "https://staging.example.com/report"}}}</code>.',
        placeholder="{}",
    )

    def clean_overrides(self) -> dict[str, Any]:
        written = self.cleaned_data["overrides"]
        if not written.strip():
            return {}
        found = json_in(written)
        if not isinstance(found, dict) or not all(isinstance(sparse, dict) for sparse in found.values()):
            raise forms.ValidationError("Should be a JSON object with an object for each environment.")
        return found


def spelled_overrides(overrides: dict[str, Any]) -> str:
    """Overrides by environment as their field holds them; nothing where nothing differs."""
    return json.dumps(overrides, indent=2, ensure_ascii=False) if overrides else ""
