"""The form's labels of the API's fields, for other pages."""

from functools import lru_cache

from django import forms
from django.forms.utils import pretty_name

from dashboard.forms.job import JobForm


@lru_cache(maxsize=1)
def _fields() -> dict[str, tuple[str, forms.Field]]:
    """The form's fields by their dotted path in the job object."""
    base = JobForm.base_fields
    return {path: (name, base[name]) for name, path in JobForm.PATHS.items()}


def label_of(path: str) -> str:
    """The label of the field at a dotted path of the job object."""
    if path not in _fields():
        return pretty_name(path.rpartition(".")[2])
    name, field = _fields()[path]
    return str(field.label or pretty_name(name))


def choices_of(path: str) -> dict[str, str]:
    """The labels of the field's choices by value; empty for other fields."""
    _, field = _fields().get(path, ("", None))
    choices: list[tuple[str, str]] = list(getattr(field, "choices", ()))
    return {value: str(words) for value, words in choices if value}
