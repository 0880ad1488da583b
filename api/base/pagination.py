"""Keyset pagination: every page costs the same, and new rows cause no skipped or repeated ones."""

import datetime
import uuid
from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.db.models import F, Func, TextField, Value
from django.db.models.lookups import GreaterThan, LessThan
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param


@dataclass(frozen=True, slots=True)
class Keyset:
    """An order: columns or annotations without nulls, the last one unique, all in one direction."""

    columns: tuple[str, ...]
    descending: bool

    def ordering(self, *, backward: bool) -> list[str]:
        sign = "-" if self.descending != backward else ""
        return [f"{sign}{column}" for column in self.columns]

    def beyond(self, position: list[Any], *, backward: bool) -> Any:
        """The condition for rows after (or before) a position: one row comparison, which an index can serve."""
        compare = LessThan if self.descending != backward else GreaterThan
        here = _Row(*(F(column) for column in self.columns))
        return compare(here, _Row(*(Value(value) for value in position)))

    def rows(self, queryset: Any, position: list[Any] | None, *, backward: bool, first: int, count: int) -> Any:
        """`count` rows after (or before) a position, nearest first, skipping the first `first`."""
        if position is not None:
            queryset = queryset.filter(self.beyond(position, backward=backward))
        return queryset.order_by(*self.ordering(backward=backward))[first : first + count]

    def position_of(self, row: Any) -> list[Any]:
        return [getattr(row, column) for column in self.columns]


class _Row(Func):
    """`ROW(a, b)`. Django requires an output field, which is never read."""

    function = "ROW"
    output_field = TextField()


class KeysetPagination(BasePagination):
    """Pages of `{"next", "previous", "results"}`. The view has a validated `query` and a `keyset`."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        keyset, query = view.keyset, view.query
        self._url = request.build_absolute_uri()
        self._salt = f"{type(view).__name__}:{keyset.columns}:{keyset.descending}"
        limit, offset = query["limit"], query.get("offset", 0)
        backward, position = self._read_cursor(query.get("cursor"))
        rows = list(keyset.rows(queryset, position, backward=backward, first=offset, count=limit + 1))
        more, rows = len(rows) > limit, rows[:limit]
        if backward:
            rows.reverse()
        after = backward or more
        before = more if backward else bool(position is not None or offset)
        self._next = self._link(keyset, rows[-1], backward=False) if after and rows else None
        self._previous = self._link(keyset, rows[0], backward=True) if before and rows else None
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self._next, "previous": self._previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True, "example": None}
        if isinstance(schema, dict):  # drf-spectacular also passes a marker, to find the results of an example
            schema = {**schema, "description": "The items of this page, at most `limit`."}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {**link, "description": "URL of the next page; null on the last."},
                "previous": {**link, "description": "URL of the previous page; null on the first."},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, _view: Any) -> list[Any]:
        """Return none: the view's query declares them."""
        return []

    def _link(self, keyset: Keyset, row: Any, *, backward: bool) -> str:
        values = [_encode(value) for value in keyset.position_of(row)]
        cursor = signing.dumps([int(backward), *values], salt=self._salt)
        return replace_query_param(remove_query_param(self._url, "offset"), "cursor", cursor)

    def _read_cursor(self, cursor: str | None) -> tuple[bool, list[Any] | None]:
        if cursor is None:
            return False, None
        try:
            backward, *position = signing.loads(cursor, salt=self._salt)
        except signing.BadSignature as error:
            detail = ErrorDetail("Not a cursor of this list in this order.", code="invalid_cursor")
            raise ValidationError({"cursor": [detail]}) from error
        return bool(backward), [_decode(value) for value in position]


def _encode(value: Any) -> Any:
    match value:
        case datetime.datetime():
            return {"t": value.isoformat()}
        case uuid.UUID():
            return {"u": value.hex}
    return value


def _decode(value: Any) -> Any:
    match value:
        case {"t": text}:
            return datetime.datetime.fromisoformat(text)
        case {"u": text}:
            return uuid.UUID(text)
    return value
