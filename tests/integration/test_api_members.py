"""Members through the API: added, invited, given roles and removed, with an owner left in every case."""

import threading
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from accounts.errors import HourhandError
from accounts.members import change_role, remove_member
from accounts.models import AuditEntry, Membership, Workspace
from accounts.services import create_workspace
from tests.integration.admin_rows import person
from tests.integration.api_fixtures import NOW, Caller, caller

pytestmark = pytest.mark.django_db
PASSWORD = "a quite long password"


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def session(user: Any) -> Caller:
    """The dashboard's session of a person, as its pages use the API."""
    client = Caller()
    client.force_login(user)
    return client


def add(api: Caller, *, expect: int = 201, **fields: Any) -> Any:
    return api.ask("POST", "/members/", fields, expect=expect)


def accept(url: str, password: str = PASSWORD) -> Client:
    """Follow an invitation as a browser does, and set a password."""
    client = Client()
    form = client.get(url.removeprefix("http://127.0.0.1:8000"), follow=True)
    if form.redirect_chain:
        client.post(form.redirect_chain[-1][0], {"new_password1": password, "new_password2": password})
    return client


def test_somebody_new_gets_an_account_and_a_link_that_works_once(api: Caller, workspace: Workspace) -> None:
    added = add(api, email="nina@example.com", role="viewer")
    invitation = added.pop("invitation")
    assert (added["username"], added["role"], added["state"]) == ("nina@example.com", "viewer", "invited")
    nina = accept(invitation["url"])
    assert nina.get("/admin/").status_code == 200, "signed in"
    assert api.ask("GET", f"/members/{added['id']}/", expect=200)["state"] == "active"
    assert Client().login(username="nina@example.com", password=PASSWORD)
    accept(invitation["url"], "another password")
    assert not Client().login(username="nina@example.com", password="another password")
    assert b"does not work any more" in Client().get(invitation["url"]).content
    assert api.ask("POST", f"/members/{added['id']}/invitation/", expect=409)["code"] == "not_invited"


def test_a_new_link_ends_the_one_before(api: Caller) -> None:
    added = add(api, username="nina", email="nina@example.com")
    second = api.ask("POST", f"/members/{added['id']}/invitation/", expect=201)
    assert b"does not work any more" in Client().get(added["invitation"]["url"]).content
    accept(second["url"])
    assert Client().login(username="nina", password=PASSWORD)


def test_a_removed_members_link_leads_nowhere(api: Caller) -> None:
    added = add(api, username="nina")
    api.ask("DELETE", f"/members/{added['id']}/", expect=204)
    assert b"does not work any more" in Client().get(added["invitation"]["url"]).content
    assert get_user_model().objects.filter(username="nina").exists(), "the account stays"


def test_the_password_rules_hold_for_invitations(api: Caller) -> None:
    accept(add(api, username="nina")["invitation"]["url"], "short")
    assert not get_user_model().objects.get(username="nina").has_usable_password()


def test_an_invited_account_can_not_be_taken_over_by_another_workspace(api: Caller) -> None:
    add(api, username="nina", role="admin")
    elsewhere = caller(create_workspace(slug="other", name="Other"))
    assert add(elsewhere, username="nina", expect=409)["code"] == "account_conflict"
    assert elsewhere.ask("GET", "/members/")["results"] == []


def test_an_account_in_use_joins_without_a_link(api: Caller, workspace: Workspace) -> None:
    olga = get_user_model().objects.create_user("olga", "olga@example.com", PASSWORD, is_staff=True)
    assert add(api, email="OLGA@example.com", role="admin")["invitation"] is None
    assert Membership.objects.get(workspace=workspace, user=olga).role == "admin"
    assert Client().login(username="olga", password=PASSWORD), "her password is untouched"
    assert add(api, username="olga", expect=409)["code"] == "member_exists"


def test_nobody_is_added_by_half_a_name(api: Caller) -> None:
    users = get_user_model().objects
    users.create_user("olga", "olga@example.com", PASSWORD)
    users.create_user("otto", "olga@example.com", PASSWORD)
    users.create_user("gone", "", PASSWORD, is_active=False)
    assert api.refused("POST", "/members/", {"role": "viewer"}) == {"username": "invalid"}
    assert api.refused("POST", "/members/", {"email": "no address"}) == {"email": "invalid"}
    assert api.refused("POST", "/members/", {"username": "a b"}) == {"username": "invalid"}
    assert api.refused("POST", "/members/", {"username": "nina", "role": "king"}) == {"role": "invalid_choice"}
    for wrong in (
        {"email": "olga@example.com"},
        {"username": "olga", "email": "other@example.com"},
        {"username": "new", "email": "olga@example.com"},
        {"username": "gone"},
    ):
        assert add(api, **wrong, expect=409)["code"] == "account_conflict"
    assert not Membership.objects.exists()


class TestRoles:
    @pytest.fixture
    def owner(self, workspace: Workspace) -> Membership:
        person("olga", workspace=workspace, role="owner")
        return Membership.objects.get(user__username="olga")

    @pytest.fixture
    def second(self, workspace: Workspace) -> Membership:
        person("otto", workspace=workspace, role="owner")
        return Membership.objects.get(user__username="otto")

    def test_only_owners_make_and_unmake_owners(
        self, workspace: Workspace, owner: Membership, second: Membership
    ) -> None:
        admin = session(person("adam", workspace=workspace, role="admin"))
        for api in (admin, caller(workspace)):
            assert add(api, username="nina", role="owner", expect=403)["code"] == "broader_than_caller"
            api.ask("PATCH", f"/members/{owner.pk}/", {"role": "viewer"}, expect=403)
            api.ask("DELETE", f"/members/{owner.pk}/", expect=403)
        by_owner = session(owner.user)
        add(by_owner, username="nina", role="owner")
        assert by_owner.ask("PATCH", f"/members/{second.pk}/", {"role": "member"}, expect=200)["role"] == "member"

    def test_the_last_owner_stays(self, owner: Membership) -> None:
        api = session(owner.user)
        for method, body in (("PATCH", {"role": "admin"}), ("DELETE", None)):
            assert api.ask(method, f"/members/{owner.pk}/", body, expect=409)["code"] == "last_owner"
        api.ask("PATCH", f"/members/{owner.pk}/", {"role": "owner"}, expect=200)

    def test_members_and_viewers_see_no_members(self, workspace: Workspace) -> None:
        for role in ("member", "viewer"):
            api = session(person(role, workspace=workspace, role=role))
            api.ask("GET", "/members/", expect=403)
            api.ask("GET", "/keys/", expect=403)

    def test_a_key_gives_no_role_that_reaches_further_than_it_does(self, workspace: Workspace) -> None:
        person("vera", workspace=workspace, role="viewer")
        vera = Membership.objects.get(user__username="vera")
        places = list(workspace.environments.all())
        for weak in (
            caller(workspace, scopes=["admin"]),
            caller(workspace, environments=places),
            caller(workspace, expires_at=NOW.replace(year=2099)),
        ):
            for role in ("viewer", "admin"):
                assert add(weak, username="nina", role=role, expect=403)["code"] == "broader_than_caller"
            weak.ask("PATCH", f"/members/{vera.pk}/", {"role": "admin"}, expect=403)
            weak.ask("DELETE", f"/members/{vera.pk}/", expect=403)
        assert not get_user_model().objects.filter(username="nina").exists(), "no account is left behind"
        add(caller(workspace), username="nina", role="admin")


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_once_leave_one(workspace: Workspace) -> None:
    owners = [Membership.objects.get(user=person(name, workspace=workspace, role="owner")) for name in ("olga", "otto")]
    refused: list[str] = []

    def leave(membership: Membership) -> None:
        try:
            remove_member(membership=membership, now=NOW)
        except HourhandError as error:
            refused.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=leave, args=[owner]) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["last_owner"]
    assert Membership.objects.filter(role="owner").count() == 1


def test_every_change_of_a_member_is_in_the_log(api: Caller, workspace: Workspace) -> None:
    added = add(api, username="nina", role="viewer")
    membership = Membership.objects.get(pk=added["id"])
    change_role(membership=membership, role="member", now=NOW)
    change_role(membership=membership, role="member", now=NOW)
    remove_member(membership=membership, now=NOW)
    told = list(AuditEntry.objects.filter(target_kind="member").order_by("id").values_list("action", "changes"))
    assert told == [
        ("member.added", {"role": [None, "viewer"], "account": [None, "new"]}),
        ("member.updated", {"role": ["viewer", "member"]}),
        ("member.removed", {"role": ["member", None]}),
    ]
