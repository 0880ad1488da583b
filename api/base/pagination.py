"""Keyset pages: a page costs the same wherever it is, and neither skips nor repeats rows while new ones arrive."""

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
    """An order to page by: columns (or annotations) without nulls, the last one unique, all in one direction."""

    columns: tuple[str, ...]
    descending: bool

    def ordering(self, *, backward: bool) -> list[str]:
        sign = "-" if self.descending != backward else ""
        return [f"{sign}{column}" for column in self.columns]

    def beyond(self, position: list[Any], *, backward: bool) -> Any:
        """The condition for rows after (or before) a position: one row comparison, which an index can answer."""
        compare = LessThan if self.descending != backward else GreaterThan
        here = _Row(*(F(column) for column in self.columns))
        return compare(here, _Row(*(Value(value) for value in position)))

    def rows(self, queryset: Any, position: list[Any] | None, *, backward: bool, first: int, count: int) -> Any:
        """`count` rows after (or before) a position, `first` of them skipped, the nearest first."""
        if position is not None:
            queryset = queryset.filter(self.beyond(position, backward=backward))
        return queryset.order_by(*self.ordering(backward=backward))[first : first + count]

    def position_of(self, row: Any) -> list[Any]:
        return [getattr(row, column) for column in self.columns]


class _Row(Func):
    """`ROW(a, b)`. Its type is never read; Django asks for one."""

    function = "ROW"
    output_field = TextField()


class KeysetPagination(BasePagination):
    """`{"next", "previous", "results"}`. The view has the validated `query` and says its `keyset`."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        keyset, query = view.keyset, view.query
        self._url = request.build_absolute_uri()
        self._salt = f"{type(view).__name__}:{keyset.columns}:{keyset.descending}"
        limit, offset = query["limit"], query.get("offset", 0)
        backward, position = self._read_cursor(query.get("cursor"))
        found = list(keyset.rows(queryset, position, backward=backward, first=offset, count=limit + 1))
        more, rows = len(found) > limit, found[:limit]
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
        if isinstance(schema, dict):  # else a mark: drf-spectacular looks for where the results of an example go
            schema = {**schema, "description": "What is on this page, at most `limit` of them."}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {**link, "description": "URL of the page after this one; null on the last."},
                "previous": {**link, "description": "URL of the page before this one; null on the first."},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, _view: Any) -> list[Any]:
        """None beside those that a list's query declares."""
        return []

    def _link(self, keyset: Keyset, row: Any, *, backward: bool) -> str:
        values = [_packed(value) for value in keyset.position_of(row)]
        cursor = signing.dumps([int(backward), *values], salt=self._salt)
        return replace_query_param(remove_query_param(self._url, "offset"), "cursor", cursor)

    def _read_cursor(self, cursor: str | None) -> tuple[bool, list[Any] | None]:
        if cursor is None:
            return False, None
        try:
            backward, *position = signing.loads(cursor, salt=self._salt)
        except signing.BadSignature as error:
            detail = ErrorDetail("This cursor belongs to no page of this list in this order.", code="invalid_cursor")
            raise ValidationError({"cursor": [detail]}) from error
        return bool(backward), [_unpacked(value) for value in position]


def _packed(value: Any) -> Any:
    match value:
        case datetime.datetime():
            return {"t": value.isoformat()}
        case uuid.UUID():
            return {"u": value.hex}
    return value


def _unpacked(value: Any) -> Any:
    match value:
        case {"t": text}:
            return datetime.datetime.fromisoformat(text)
        case {"u": text}:
            return uuid.UUID(text)
    return value
