"""The base of every dashboard page: rows, choices and permissions end at the borders of a person's workspaces."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db import models
from django.db.models.fields.related import ForeignKey, ManyToManyField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from unfold.admin import ModelAdmin

from accounts.actors import Actor
from core.errors import HourhandError
from dashboard.accounts.access import access_of


class ScopedAdmin(ModelAdmin):
    """Shows only rows of the workspaces that the person sees; roles, not Django's permissions, say what may change.

    `workspace_path` leads from a row to its workspace; `choice_paths` does the same for what its fields may point to.
    """

    workspace_path = "workspace"
    choice_paths: dict[str, str] = {}
    actions: list[str] | None = None
    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # a count for each choice of each filter

    def workspace_id_of(self, row: Any) -> uuid.UUID:
        found: uuid.UUID = row.workspace_id
        return found

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return access_of(request).narrow(super().get_queryset(request), self.workspace_path)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        """The form knows whose it is: the verbs behind it ask."""
        form = super().get_form(request, obj, change=change, **options)
        form.access, form.actor = access_of(request), Actor.of_user(request.user)
        return form

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What a verb refuses to delete stays, and its page says why."""
        try:
            answer: HttpResponse = super().delete_view(request, object_id, extra_context)
        except HourhandError as error:
            messages.error(request, error.detail)
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", object_id)
        return answer

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(access_of(request).everything or access_of(request).workspaces)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is None:
            return self.has_module_permission(request)
        return access_of(request).sees(self.workspace_id_of(obj))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access_of(request).writes_somewhere

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        access = access_of(request)
        return access.writes_somewhere if obj is None else access.writes(self.workspace_id_of(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **options: Any) -> Any:
        self._narrow_choices(db_field, request, options)
        return super().formfield_for_foreignkey(db_field, request, **options)

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest, **options: Any
    ) -> Any:
        self._narrow_choices(db_field, request, options)
        return super().formfield_for_manytomany(db_field, request, **options)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """A field of the form, without Django's buttons to make or change what it points to."""
        field = super().formfield_for_dbfield(db_field, request, **options)
        if isinstance(getattr(field, "widget", None), RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field

    def _narrow_choices(self, field: Any, request: HttpRequest, options: dict[str, Any]) -> None:
        path = self.choice_paths.get(field.name)
        if path is not None and "queryset" not in options:
            options["queryset"] = access_of(request).narrow(field.remote_field.model._default_manager.all(), path)

    def _get_obj_does_not_exist_redirect(self, *_: Any) -> HttpResponseRedirect:
        """An address of no row, or of somebody else's, is not found; Django would send to the start page."""
        raise Http404


class AdministeredAdmin(ScopedAdmin):
    """What owners and administrators of a workspace change, and its other members only see. They are counted: few."""

    show_full_result_count = True

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **options: Any) -> HttpResponse:
        """One button: to add another or to go on editing is rare here, and what is shown once is shown in the list."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        found: HttpResponse = super().render_change_form(request, context, **options)
        return found

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        access = access_of(request)
        first = next((workspace for workspace in access.workspaces if access.administers(workspace.pk)), None)
        return {"workspace": first.pk if first else None, **super().get_changeform_initial_data(request)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access_of(request).administers_somewhere

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        access = access_of(request)
        return access.administers_somewhere if obj is None else access.administers(self.workspace_id_of(obj))

    def _narrow_choices(self, field: Any, request: HttpRequest, options: dict[str, Any]) -> None:
        super()._narrow_choices(field, request, options)
        if field.name == "workspace" and "queryset" in options:
            options["queryset"] = options["queryset"].filter(pk__in=access_of(request).administered)


class ConfidentialAdmin(AdministeredAdmin):
    """What only owners and administrators see, as in the API, where it takes the scope `admin`."""

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        access, rows = access_of(request), super().get_queryset(request)
        return rows if access.everything else rows.filter(**{f"{self.workspace_path}__in": access.administered})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return access_of(request).administers_somewhere

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        access = access_of(request)
        return access.administers_somewhere if obj is None else access.administers(self.workspace_id_of(obj))
