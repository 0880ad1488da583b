"""Rows that a form adds and removes: assertions, conditions, and others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


def rows_of(row: type[forms.Form], *, most: int, spare: int = _SPARE_ROWS) -> Any:
    """A formset of at most `most` rows; more are reported instead of dropped."""
    return forms.formset_factory(
        row, formset=_RemovableRows, extra=spare, can_delete=True, max_num=most, absolute_max=10 * most
    )


@dataclass(frozen=True, slots=True)
class RowKind:
    """Rows of one kind.

    `contents` turns an item of the API into the texts of its row; a valid row has its item as `attribute`. Errors of a
    whole row are shown at its field `otherwise`.
    """

    rows: Any
    contents: Callable[[Any], dict[str, Any]]
    attribute: str
    otherwise: str


class RowList:
    """The rows of one list of the definition. `before` are its items so far."""

    def __init__(self, kind: RowKind, data: Any, *, prefix: str, before: Sequence[Any]) -> None:
        self.kind = kind
        self.before = before
        self.rows = kind.rows(data, initial=[kind.contents(item) for item in before], prefix=prefix)
        self._sent: list[Any] = []

    def items(self) -> list[Any]:
        """Return the items of the rows that are neither removed, empty nor invalid; unchanged ones as they were."""
        self._sent = [
            row
            for index, row in enumerate(self.rows.forms)
            if row not in self.rows.deleted_forms and (row.has_changed() or index < len(self.before)) and not row.errors
        ]
        return [self._item(row) for row in self._sent]

    def _item(self, row: Any) -> Any:
        index = self.rows.forms.index(row)
        unchanged = index < len(self.before) and not row.has_changed()
        return self.before[index] if unchanged else getattr(row, self.kind.attribute)

    def show_error(self, path: Sequence[str], detail: str) -> None:
        """`path` is the index among `items()`, then the field of the row; empty for an error of the list itself."""
        if not path or not path[0].isdecimal():
            self.rows.non_form_errors().append(detail)
            return
        row = self._sent[int(path[0])]
        row.add_error(path[1] if len(path) > 1 and path[1] in row.fields else self.kind.otherwise, detail)
