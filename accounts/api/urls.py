"""Paths of accounts."""

from django.urls import path

from accounts.api import views

urlpatterns = [path("environments/", views.EnvironmentList.as_view())]
