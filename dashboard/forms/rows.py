"""Rows that a form adds and removes: assertions, conditions."""

from typing import Any

from django import forms
from unfold import widgets

#: Empty rows for browsers without scripts.
_SPARE_ROWS = 2


class _RemovableRows(forms.BaseFormSet):
    deletion_widget = widgets.UnfoldBooleanWidget

    def add_fields(self, form: forms.Form, index: int | None) -> None:
        super().add_fields(form, index)
        form.fields["DELETE"].label = "Remove"


def rows_of(row: type[forms.Form], *, most: int) -> Any:
    """A formset of at most `most` rows; more are reported instead of dropped."""
    return forms.formset_factory(
        row, formset=_RemovableRows, extra=_SPARE_ROWS, can_delete=True, max_num=most, absolute_max=10 * most
    )
