"""Lists by the API's rules: its query parameters, its filters and its keyset pages.

Unfold's filters and paginator would not do. Its filters each narrow one queryset; here the API compiles all parameters
together into ranges of an index, and an invalid one is an error beside its field. Its InfinitePaginator counts no rows
either, but reads by OFFSET, and offers a next page after the last.
"""

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import CheckboxInput
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.safestring import SafeString
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from unfold.enums import ActionVariant
from unfold.views import ChangeList

from accounts.models import Workspace
from api.base.pagination import Keyset, KeysetPagination
from api.base.problems import field_errors
from core.validation.strict import Query
from dashboard.base.access import access_of
from dashboard.base.lookups import parse_id
from dashboard.base.scoped import ScopedAdmin

#: Most workspaces in one list; a person who sees more chooses one.
MOST_WORKSPACES = 20
#: Parameters that select a page of the list, not its rows.
_PAGING = ("cursor", "offset", "limit")
#: A longer choice is a text field, not a select.
_MOST_OPTIONS = 50

Options = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class FilterField:
    """A filter. `kind` is select, text, instant, or suggest: text with suggestions from the address `suggestions`."""

    name: str
    label: str
    kind: str = "text"
    options: Options = ()
    suggestions: str = ""
    placeholder: str = ""
    #: The label of a select's empty choice.
    blank: str = "Any"


@dataclass(frozen=True, slots=True)
class ActionButton:
    """The button of an admin action."""

    name: str
    label: str
    icon: str
    is_danger: bool


@dataclass(frozen=True, slots=True)
class BoundFilter:
    """A filter with its value and error."""

    field: FilterField
    value: str
    error: str

    @property
    def kind(self) -> str:
        is_long = self.field.kind == "select" and len(self.field.options) > _MOST_OPTIONS
        return "text" if is_long else self.field.kind

    @property
    def words(self) -> str:
        """The label of the value."""
        return dict(self.field.options).get(self.value, self.value)

    @property
    def local_time(self) -> str:
        """An instant as a browser's datetime field holds it, in UTC."""
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
class ListPage:
    """One page of a list with its filters. `errors` are those of parameters that no filter shows."""

    rows: list[Any]
    next: str | None
    previous: str | None
    filters: tuple[BoundFilter, ...]
    more_filters: tuple[BoundFilter, ...]
    errors: tuple[str, ...]
    parameters: QueryDict
    note: str = ""

    @property
    def chosen(self) -> Iterator[tuple[BoundFilter, str]]:
        """The filters in use, each with the query string without it."""
        for bound in (*self.filters, *self.more_filters):
            if bound.value:
                yield bound, self._without(bound.field.name)

    @property
    def hidden(self) -> Iterator[tuple[str, str]]:
        """The parameters that no filter shows, which the form has to keep."""
        shown = {bound.field.name for bound in (*self.filters, *self.more_filters)}
        kept = [name for name in self.parameters if name not in shown and name not in _PAGING]
        return ((name, self.parameters.get(name, "")) for name in kept)

    @property
    def is_invalid(self) -> bool:
        """True if a parameter is invalid: then there are no rows."""
        return bool(self.errors) or any(bound.error for bound in (*self.filters, *self.more_filters))

    @property
    def is_filtered(self) -> bool:
        return any(name not in _PAGING for name in self.parameters)

    @property
    def opens_more(self) -> bool:
        return any(bound.value or bound.error for bound in self.more_filters)

    def _without(self, name: str) -> str:
        kept = self.parameters.copy()
        for unwanted in (name, *_PAGING):
            kept.pop(unwanted, None)
        return "?" + kept.urlencode()


@dataclass(frozen=True, slots=True)
class KeysetView:
    """What KeysetPagination needs of a view."""

    query: dict[str, Any]
    keyset: Keyset


@dataclass(frozen=True, slots=True)
class KeysetRequest:
    """What KeysetPagination needs of a request. Its links are cut to their query strings later."""

    parameters: QueryDict

    def build_absolute_uri(self) -> str:
        return f"/?{self.parameters.urlencode()}"


class KeysetChangeList(ChangeList):
    """Takes its page from KeysetAdmin.get_page; Django's filters, search, count and page numbers are not used."""

    page: ListPage

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        """The rows that an admin action may take."""
        self.filter_specs: list[Any] = []
        self.has_filters = self.has_active_filters = False
        self.clear_all_filters_qs = ""
        return self.model_admin.actionable(request)

    def get_results(self, request: HttpRequest) -> None:
        self.page = self.model_admin.get_page(request)
        self.result_list = self.page.rows
        self.result_count = self.full_result_count = len(self.page.rows)
        self.show_full_result_count = self.show_admin_actions = self.can_show_all = self.multi_page = False
        self.paginator = self.model_admin.get_paginator(request, self.root_queryset.none(), self.list_per_page)


class KeysetAdmin(ScopedAdmin):
    """A list of rows that the person sees. A subclass has a `query_class`, `filters` and `compile_query`."""

    query_class: type[Query]
    list_fullwidth = True
    change_list_template = "hourhand/keyset_list.html"
    # Unfold's bar of actions would need the number of all matching rows; hourhand/actions.html does without.
    actions_on_top, actions_on_bottom = False, True
    #: If actions can take all rows that match the filters.
    selects_all_matching = False

    def filters(self, request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
        """The filters that are always visible, and those that are folded away while unused."""
        raise NotImplementedError

    def compile_query(
        self, request: HttpRequest, query: dict[str, Any], workspaces: Sequence[Workspace]
    ) -> tuple[Any, Keyset]:
        """The rows of these workspaces that match a validated query, in the form that the keyset reads."""
        raise NotImplementedError

    def actionable(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows that an admin action may take, before it is narrowed to the selected ones."""
        return self.get_queryset(request)

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_list_display(self, request: HttpRequest) -> list[str]:
        columns = list(super().get_list_display(request))
        return columns if access_of(request).several else [name for name in columns if name != "workspace_name"]

    def action_checkbox(self, obj: Any) -> SafeString:
        """Unfold's box names none of its rows to a screen reader."""
        box = CheckboxInput({"class": "action-select", "aria-label": f"Select {obj}"}, check_test=lambda _: False)
        return box.render(helpers.ACTION_CHECKBOX_NAME, str(obj.pk))

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Run an admin action. Raises Http404 for a selected row that is no id."""
        for reference in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME):
            parse_id(reference)
        response: HttpResponse | None = super().response_action(request, queryset)
        return response

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect from an address with empty parameters, which a form sends, to one without: that one is to keep."""
        if request.method == "GET" and any(not str(value).strip() for value in request.GET.values()):
            return HttpResponseRedirect("?" + _without_empty(request.GET).urlencode())
        buttons = self._action_buttons(request)
        if request.method == "POST" and not buttons:
            raise PermissionDenied
        response: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "action_buttons": buttons})
        return response

    def _action_buttons(self, request: HttpRequest) -> list[ActionButton]:
        return [
            ActionButton(name, description, action.icon, action.variant == ActionVariant.DANGER)
            for action, name, description in self.get_actions(request).values()
        ]

    def read_query(self, request: HttpRequest) -> tuple[dict[str, Any], Sequence[Workspace], str]:
        """The validated query of an address, its workspaces, and a note on those left out. Raises ValidationError."""
        query = self.query_class.read(_without_empty(request.GET))
        return query, *_workspaces(request, query.get("workspace"))

    def get_page(self, request: HttpRequest) -> ListPage:
        """The page that an address asks for; no rows but the errors if it is invalid."""
        parameters = _without_empty(request.GET)
        errors: dict[str, str] = {}
        rows: list[Any] = []
        next_url = previous_url = None
        note = ""
        try:
            query, workspaces, note = self.read_query(request)
            matching, keyset = self.compile_query(request, query, workspaces)
            pagination = KeysetPagination()
            keyset_request: Any = KeysetRequest(parameters)
            rows = pagination.paginate_queryset(matching, keyset_request, KeysetView(query, keyset))
            by_id = {workspace.pk: workspace for workspace in workspaces}
            for row in rows:
                row.workspace = by_id[row.workspace_id]
            links = pagination.get_paginated_response([]).data
            next_url, previous_url = links["next"], links["previous"]
        except ValidationError as error:
            errors = {each["field"] or "": each["detail"] for each in field_errors(error.detail)}
        first, more = self.filters(request)
        shown = {field.name for field in (*first, *more)}
        return ListPage(
            rows,
            _query_string(next_url),
            _query_string(previous_url),
            tuple(_bind(first, parameters, errors)),
            tuple(_bind(more, parameters, errors)),
            tuple(f"{name}: {detail}" if name else detail for name, detail in errors.items() if name not in shown),
            parameters,
            note,
        )


def workspace_field(request: HttpRequest) -> list[FilterField]:
    """The filter by workspace, for a person who sees several."""
    access = access_of(request)
    if not access.several:
        return []
    options = [(workspace.slug, workspace.name) for workspace in access.workspaces]
    return [FilterField("workspace", "Workspace", "select", options)]


class WorkspaceParameter(serializers.Serializer):
    """A parameter that the dashboard adds to those of the API, which serves one workspace at a time."""

    workspace = serializers.CharField(required=False)


def _workspaces(request: HttpRequest, slug: str | None) -> tuple[Sequence[Workspace], str]:
    """The workspaces whose rows are listed, and a note if others are left out."""
    workspaces = access_of(request).workspaces
    if slug is not None:
        return [workspace for workspace in workspaces if workspace.slug == slug], ""
    if len(workspaces) <= MOST_WORKSPACES:
        return workspaces, ""
    note = f"Only rows of {workspaces[0].name} are listed. Choose one of your {len(workspaces)} workspaces."
    return workspaces[:1], note


def _without_empty(parameters: QueryDict) -> QueryDict:
    filled = QueryDict(mutable=True)
    for name, values in parameters.lists():
        if kept := [value for value in values if value.strip()]:
            filled.setlist(name, kept)
    return filled


def _query_string(url: str | None) -> str | None:
    return None if url is None else "?" + url.partition("?")[2]


def _bind(fields: Iterable[FilterField], parameters: QueryDict, errors: dict[str, str]) -> Iterator[BoundFilter]:
    for field in fields:
        yield BoundFilter(field, parameters.get(field.name, ""), errors.get(field.name, ""))
