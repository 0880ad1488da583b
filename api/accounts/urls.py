"""URL paths of accounts. Those of environments and secrets are in api/jobs/urls.py."""

from django.urls import path

from api.accounts.audit import AuditLogViewSet
from api.accounts.keys import KeyViewSet
from api.accounts.members import MemberViewSet
from api.accounts.settings import SettingsViewSet
from api.accounts.signing import SigningSecretViewSet
from api.accounts.whoami import Whoami

urlpatterns = [
    path("audit-log/", AuditLogViewSet.as_view({"get": "list"})),
    path("keys/", KeyViewSet.as_view({"get": "list", "post": "create"})),
    path("keys/<uuid:key>/", KeyViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"})),
    path("members/", MemberViewSet.as_view({"get": "list", "post": "create"})),
    path(
        "members/<uuid:member>/",
        MemberViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
    ),
    path("members/<uuid:member>/invitation/", MemberViewSet.as_view({"post": "invite"})),
    path("settings/", SettingsViewSet.as_view({"get": "retrieve", "put": "update"})),
    path("signing-secrets/", SigningSecretViewSet.as_view({"get": "list"})),
    path("signing-secrets/rotate/", SigningSecretViewSet.as_view({"post": "rotate"})),
    path("whoami/", Whoami.as_view()),
]
