"""Paths of accounts. Those of environments and secrets are in api/jobs/urls.py."""

from django.urls import path

from api.accounts import audit, keys, members, settings, signing

urlpatterns = [
    path("audit-log/", audit.AuditLog.as_view()),
    path("keys/", keys.KeyList.as_view()),
    path("keys/<uuid:key>/", keys.KeyDetail.as_view()),
    path("members/", members.MemberList.as_view()),
    path("members/<uuid:member>/", members.MemberDetail.as_view()),
    path("members/<uuid:member>/invitation/", members.MemberInvitation.as_view()),
    path("settings/", settings.Settings.as_view()),
    path("signing-secrets/", signing.SigningSecretList.as_view()),
    path("signing-secrets/rotate/", signing.SigningSecretRotation.as_view()),
]
