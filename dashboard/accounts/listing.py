"""Lists by the rules of the API: its parameters, its filters, its pages. What is chosen stands in the address."""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from unfold.views import ChangeList

from accounts.models import Workspace
from api.base.pagination import Keyset, KeysetPagination
from api.base.problems import field_errors
from core.validation.strict import Query
from dashboard.accounts.access import access_of
from dashboard.accounts.scoped import ScopedAdmin

#: So many workspaces stand in one list at most; somebody who sees more chooses one.
MOST_WORKSPACES = 20
#: Parameters that say where in the list, not what is in it.
_PLACES = ("cursor", "offset", "limit")
#: A longer choice is typed, not picked from a list.
_MOST_OPTIONS = 50

Options = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class FilterField:
    """One thing to filter by. `kind` is select, text, instant, or suggest: text with suggestions from `suggestions`."""

    name: str
    label: str
    kind: str = "text"
    options: Options = ()
    suggestions: str = ""
    placeholder: str = ""
    #: What a select says where nothing is chosen.
    blank: str = "Any"


@dataclass(frozen=True, slots=True)
class Doing:
    """One thing to do to selected rows, as its button."""

    label: str
    icon: str
    danger: bool = False


@dataclass(frozen=True, slots=True)
class ShownField:
    field: FilterField
    value: str
    error: str

    @property
    def kind(self) -> str:
        is_long = self.field.kind == "select" and len(self.field.options) > _MOST_OPTIONS
        return "text" if is_long else self.field.kind

    @property
    def words(self) -> str:
        """The value as people read it."""
        return dict(self.field.options).get(self.value, self.value)

    @property
    def wall_time(self) -> str:
        """An instant as a browser's field holds it: on the clock of UTC."""
        try:
            at = datetime.datetime.fromisoformat(self.value)
            local = at.astimezone(datetime.UTC) if at.tzinfo else at
        except (ValueError, OverflowError):
            return ""
        return local.replace(tzinfo=None).isoformat(timespec="seconds")

    @property
    def is_listed(self) -> bool:
        return not self.value or self.value in dict(self.field.options)


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a list, and everything that its filters show."""

    rows: list[Any]
    next: str | None
    previous: str | None
    fields: tuple[ShownField, ...]
    more_fields: tuple[ShownField, ...]
    errors: tuple[str, ...]
    parameters: QueryDict
    note: str = ""

    @property
    def chosen(self) -> Iterator[tuple[ShownField, str]]:
        """What narrows the list, each with the query string without it."""
        for shown in (*self.fields, *self.more_fields):
            if shown.value:
                yield shown, self._without(shown.field.name)

    @property
    def hidden(self) -> Iterator[tuple[str, str]]:
        """What the address says besides the fields of the form, so that the form keeps it."""
        shown = {shown.field.name for shown in (*self.fields, *self.more_fields)}
        kept = [name for name in self.parameters if name not in shown and name not in _PLACES]
        return ((name, self.parameters.get(name, "")) for name in kept)

    @property
    def is_wrong(self) -> bool:
        """If the address can't be understood, so that nothing was looked for."""
        return bool(self.errors) or any(shown.error for shown in (*self.fields, *self.more_fields))

    @property
    def narrows(self) -> bool:
        return any(name not in _PLACES for name in self.parameters)

    @property
    def opens_more(self) -> bool:
        return any(shown.value or shown.error for shown in self.more_fields)

    @property
    def query_string(self) -> str:
        """What is chosen, without where in the list: for links to the same rows."""
        return self._without()

    def _without(self, *names: str) -> str:
        left = self.parameters.copy()
        for name in (*names, *_PLACES):
            left.pop(name, None)
        return "?" + left.urlencode()


@dataclass(frozen=True, slots=True)
class Listing:
    """What the API's pagination wants of a view."""

    query: dict[str, Any]
    keyset: Keyset


@dataclass(frozen=True, slots=True)
class Asked:
    """What it wants of a request. Its links are cut to their query strings."""

    parameters: QueryDict

    def build_absolute_uri(self) -> str:
        return f"/?{self.parameters.urlencode()}"


class FoundChangeList(ChangeList):
    """A list whose rows its admin finds; Django's filters, search, count and page numbers have no part in it."""

    found: Found

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:  # noqa: ARG002
        self.filter_specs: list[Any] = []
        self.has_filters = self.has_active_filters = False
        self.clear_all_filters_qs = ""
        return self.root_queryset

    def get_results(self, request: HttpRequest) -> None:
        self.found = self.model_admin.find(request)
        self.result_list = self.found.rows
        self.result_count = self.full_result_count = len(self.found.rows)
        self.show_full_result_count = self.show_admin_actions = self.can_show_all = self.multi_page = False
        self.paginator = self.model_admin.get_paginator(request, self.root_queryset.none(), self.list_per_page)


class FoundAdmin(ScopedAdmin):
    """A list of rows in sight. A subclass names its `query_class` and `filters`, and says what a query means."""

    query_class: type[Query]
    list_fullwidth = True
    change_list_template = "hourhand/found.html"
    #: The name of the address that asks before something is done to selected rows.
    doings_url = ""
    #: If that takes all rows that the filters find, too.
    doings_reach_all = False

    def doings(self, request: HttpRequest) -> Mapping[str, Doing]:  # noqa: ARG002
        """What can be done to selected rows, by the name that its button sends. Who may only look ticks none."""
        return {}

    def filters(self, request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
        """What can be filtered by: what everybody wants, and what is folded away until it is used."""
        raise NotImplementedError

    def meant(self, request: HttpRequest, query: dict[str, Any], among: Sequence[Workspace]) -> tuple[Any, Keyset]:
        """What a query means in these workspaces, and the order of its pages, which knows how to read that."""
        raise NotImplementedError

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[FoundChangeList]:  # noqa: ARG002
        return FoundChangeList

    def get_list_display(self, request: HttpRequest) -> list[str]:
        access, shown = access_of(request), list(super().get_list_display(request))
        absent = {"workspace_name"} if not access.several else set()
        absent |= {"ticked"} if not access.writes_somewhere else set()
        return [name for name in shown if name not in absent]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """A form sends its empty fields too; an address without them is one to keep."""
        if request.method == "GET" and any(not str(value).strip() for value in request.GET.values()):
            return HttpResponseRedirect("?" + _filled(request.GET).urlencode())
        doings = self.doings(request).items() if access_of(request).writes_somewhere else ()
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "doings": doings})
        return answer

    def find(self, request: HttpRequest) -> Found:
        """The page that an address asks for; no rows, and what is wrong with it, where it can't be understood."""
        parameters = _filled(request.GET)
        errors: dict[str, str] = {}
        rows: list[Any] = []
        following = preceding = None
        note = ""
        try:
            query = self.query_class.read(parameters)
            among, note = _workspaces(request, query.get("workspace"))
            wanted, keyset = self.meant(request, query, among)
            pages = KeysetPagination()
            asked: Any = Asked(parameters)
            rows = pages.paginate_queryset(wanted, asked, Listing(query, keyset))
            known = {one.pk: one for one in among}
            for row in rows:
                row.workspace = known[row.workspace_id]
            answer = pages.get_paginated_response([]).data
            following, preceding = answer["next"], answer["previous"]
        except ValidationError as error:
            errors = {wrong["field"] or "": wrong["detail"] for wrong in field_errors(error.detail)}
        first, more = self.filters(request)
        shown = {field.name for field in (*first, *more)}
        return Found(
            rows,
            _query_string(following),
            _query_string(preceding),
            tuple(_shown(first, parameters, errors)),
            tuple(_shown(more, parameters, errors)),
            tuple(f"{name}: {told}" if name else told for name, told in errors.items() if name not in shown),
            parameters,
            note,
        )


def tick(name: str, value: Any, of: str) -> SafeString:
    """The box of a row that is sent as `name` with the form of the list's doings."""
    return format_html(
        '<input type="checkbox" class="hh-tick" form="together" name="{}" value="{}" aria-label="Select {}">',
        name, value, of,
    )  # fmt: skip


def back_to_list(request: HttpRequest, name: str) -> HttpResponseRedirect:
    """The list as it was filtered where its doings were asked for."""
    query = asked_query(request).urlencode()
    return redirect(f"{reverse(name)}{'?' if query else ''}{query}")


def asked_query(request: HttpRequest) -> QueryDict:
    """What the list was filtered by where its doings were asked for."""
    return QueryDict(request.POST.get("query", "").removeprefix("?"))


def workspace_field(request: HttpRequest) -> list[FilterField]:
    """Only where rows of several workspaces stand in one list."""
    access = access_of(request)
    if not access.several:
        return []
    return [FilterField("workspace", "Workspace", "select", [(one.slug, one.name) for one in access.workspaces])]


class WorkspaceParameter(serializers.Serializer):
    """The parameter that lists of the dashboard have beside those of the API, which knows one workspace only."""

    workspace = serializers.CharField(required=False)


def _workspaces(request: HttpRequest, slug: str | None) -> tuple[Sequence[Workspace], str]:
    """The workspaces whose rows are listed, and what to tell of those left out."""
    among = access_of(request).workspaces
    if slug is not None:
        return [one for one in among if one.slug == slug], ""
    if len(among) <= MOST_WORKSPACES:
        return among, ""
    return among[:1], f"Rows of {among[0].name} only: of {len(among)} workspaces, choose one."


def _filled(parameters: QueryDict) -> QueryDict:
    filled = QueryDict(mutable=True)
    for name, values in parameters.lists():
        filled.setlist(name, [value for value in values if value.strip()])
    for name in [name for name, values in filled.lists() if not values]:
        del filled[name]
    return filled


def _query_string(url: str | None) -> str | None:
    return None if url is None else "?" + urlsplit(url).query


def _shown(fields: Iterable[FilterField], parameters: QueryDict, errors: dict[str, str]) -> Iterator[ShownField]:
    for field in fields:
        yield ShownField(field, parameters.get(field.name, ""), errors.get(field.name, ""))
