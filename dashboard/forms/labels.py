"""What the form calls the fields of the API's job object, for pages that tell of them."""

from functools import lru_cache

from django import forms
from django.forms.utils import pretty_name

from dashboard.forms.job import JobForm


@lru_cache(maxsize=1)
def _fields() -> dict[str, tuple[str, forms.Field]]:
    """The fields of the form by their dotted path in the job object."""
    base = JobForm.base_fields
    return {path: (name, base[name]) for name, path in JobForm.PATHS.items()}


def label_of(path: str) -> str:
    """What the field at a dotted path of the job object is called."""
    if path not in _fields():
        return pretty_name(path.rpartition(".")[2])
    name, field = _fields()[path]
    return str(field.label or pretty_name(name))


def choices_of(path: str) -> dict[str, str]:
    """The words of each value that the field there can have; none for one that is no choice."""
    _, field = _fields().get(path, ("", None))
    choices: list[tuple[str, str]] = list(getattr(field, "choices", ()))
    return {value: str(words) for value, words in choices if value}
