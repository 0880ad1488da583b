"""The base classes of the dashboard's admins, which restrict rows, choices and permissions to a person's workspaces."""

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
from dashboard.base.access import access_of


class ScopedAdmin(ModelAdmin):
    """Lists rows of the workspaces that the person sees; permissions follow from roles, not from Django's permissions.

    `workspace_path` is the lookup from a row to its workspace; `choice_paths` are those from the targets of its fields.
    """

    workspace_path = "workspace"
    choice_paths: dict[str, str] = {}
    actions: list[str] | None = None
    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # facets count the rows of each choice

    def workspace_id_of(self, row: Any) -> uuid.UUID:
        workspace_id: uuid.UUID = row.workspace_id
        return workspace_id

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return access_of(request).narrow(super().get_queryset(request), self.workspace_path)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        """Give the form the access and actor that its domain functions take."""
        form = super().get_form(request, obj, change=change, **options)
        form.access, form.actor = access_of(request), Actor.of_user(request.user)
        return form

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a domain error on the row's page."""
        try:
            response: HttpResponse = super().delete_view(request, object_id, extra_context)
        except HourhandError as error:
            messages.error(request, error.detail)
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", object_id)
        return response

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
        """Leave out Django's buttons that add or change the target of a field."""
        field = super().formfield_for_dbfield(db_field, request, **options)
        if isinstance(getattr(field, "widget", None), RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field

    def _narrow_choices(self, field: Any, request: HttpRequest, options: dict[str, Any]) -> None:
        path = self.choice_paths.get(field.name)
        if path is not None and "queryset" not in options:
            options["queryset"] = access_of(request).narrow(field.remote_field.model._default_manager.all(), path)

    def _get_obj_does_not_exist_redirect(self, *_: Any) -> HttpResponseRedirect:
        """Raise Http404, where Django redirects to the start page."""
        raise Http404


class AdministeredAdmin(ScopedAdmin):
    """Rows that owners and administrators change and other members see. They are few, so lists count them."""

    show_full_result_count = True

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **options: Any) -> HttpResponse:
        """One save button, which leads to the list, where values that are shown once appear."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        response: HttpResponse = super().render_change_form(request, context, **options)
        return response

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
    """Rows that only owners and administrators see, as in the API, which requires the scope `admin`."""

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        access, rows = access_of(request), super().get_queryset(request)
        return rows if access.everything else rows.filter(**{f"{self.workspace_path}__in": access.administered})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return access_of(request).administers_somewhere

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        access = access_of(request)
        return access.administers_somewhere if obj is None else access.administers(self.workspace_id_of(obj))
