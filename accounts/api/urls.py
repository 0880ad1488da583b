"""Paths of accounts."""

from django.urls import path

from accounts.api import views

urlpatterns = [
    path("environments/", views.EnvironmentList.as_view()),
    path("signing-secrets/", views.SigningSecretList.as_view()),
    path("signing-secrets/rotate/", views.SigningSecretRotation.as_view()),
]
