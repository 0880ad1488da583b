"""The URLs of the dashboard: those of the admin site, and pages that belong to no model of it."""

from typing import Any

from django.contrib import admin
from django.urls import path

from dashboard.workflows.approval_page import approval_page


def admin_urls() -> tuple[list[Any], str, str]:
    """The patterns in the namespace `admin`, for `path`."""
    own = [path("approvals/<uuid:execution_id>/<slug:step>/", admin.site.admin_view(approval_page), name="approval")]
    return [*own, *admin.site.get_urls()], "admin", admin.site.name
