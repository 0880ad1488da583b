"""Who a caller is, and what it may do."""

import datetime

import pytest
from django.contrib.auth import get_user_model

from accounts.models import Environment, Membership, Role, Scope, Workspace
from tests.support.api_caller import Caller, caller

pytestmark = pytest.mark.django_db
SOON = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


def test_a_key_without_scopes_may_ask(workspace: Workspace):
    me = caller(workspace, scopes=[]).ask("GET", "/whoami/", expect=200)
    assert me["name"].startswith("test (hh_")
    assert {name: value for name, value in me.items() if name != "name"} == {
        "kind": "key",
        "role": None,
        "workspace": "acme",
        "workspace_name": "Acme",
        "scopes": [],
        "environments": None,
        "expires_at": None,
    }


def test_a_key_sees_its_scopes_environments_and_end(workspace: Workspace):
    staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    scopes = [Scope.EXECUTIONS_READ, Scope.JOBS_READ]
    me = caller(workspace, scopes=scopes, environments=[staging], expires_at=SOON).ask("GET", "/whoami/", expect=200)
    assert me["scopes"] == ["jobs:read", "executions:read"]
    assert (me["environments"], me["expires_at"]) == (["staging"], "2100-01-01T00:00:00.000Z")


def test_a_person_sees_their_role(workspace: Workspace):
    user = get_user_model().objects.create_user("nina")
    Membership.objects.create(workspace=workspace, user=user, role=Role.VIEWER)
    person = Caller()
    person.force_login(user)
    me = person.ask("GET", "/whoami/", expect=200)
    assert (me["kind"], me["name"], me["role"]) == ("user", "nina", "viewer")
    assert me["scopes"] == ["jobs:read", "executions:read"]
