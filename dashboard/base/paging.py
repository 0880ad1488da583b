"""Numbered pages of a list that is too long to count.

Unfold's InfinitePaginator counts no rows either, but offers a next page after the last, and pages without end: the cost
of an OFFSET grows with it.
"""

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.http import HttpRequest
from unfold.views import ChangeList

#: The last row that pages reach, as in the API's `offset`; older rows are reached by filters.
DEEPEST_ROW = 10_000


class UncountedChangeList(ChangeList):
    """Reads one row more than it shows, to know if there is a next page, instead of counting."""

    has_more = False

    def get_results(self, request: HttpRequest) -> None:
        first = (self.page_num - 1) * self.list_per_page
        if not 0 <= first < DEEPEST_ROW:
            raise IncorrectLookupParameters
        rows = list(self.queryset[first : first + self.list_per_page + 1])
        self.has_more = len(rows) > self.list_per_page
        self.result_list: Any = rows[: self.list_per_page]
        self.result_count = self.full_result_count = first + len(self.result_list)
        self.show_full_result_count = False
        self.show_admin_actions = bool(self.model_admin.get_actions(request))
        self.can_show_all = False
        self.multi_page = self.has_more or self.page_num > 1
        self.paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)

    @property
    def first_row(self) -> int:
        return (self.page_num - 1) * self.list_per_page + 1

    @property
    def previous_page(self) -> str | None:
        return self.get_query_string({"p": self.page_num - 1}) if self.page_num > 1 else None

    @property
    def next_page(self) -> str | None:
        if not self.has_more or self.page_num * self.list_per_page >= DEEPEST_ROW:
            return None
        return self.get_query_string({"p": self.page_num + 1})

    @property
    def reaches_limit(self) -> bool:
        return self.has_more and self.next_page is None
