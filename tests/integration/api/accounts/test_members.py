"""Members through the API: added, invited, given roles and removed, always with an owner left."""

import threading
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.invitations import MAX_TRIES
from accounts.members import change_role, remove_member
from accounts.models import AuditEntry, Membership, Workspace
from accounts.services import create_workspace
from core.errors import HourhandError
from tests.support.admin_rows import person
from tests.support.api_caller import NOW, Caller, caller

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


def test_a_new_member_gets_an_account_and_a_single_use_link(api: Caller, workspace: Workspace) -> None:
    added = add(api, email="nina@example.com", role="viewer")
    invitation = added.pop("invitation")
    assert (added["username"], added["role"], added["state"]) == ("nina@example.com", "viewer", "invited")
    nina = accept(invitation["url"])
    assert nina.get("/admin/").status_code == 200, "signed in"
    assert api.ask("GET", f"/members/{added['id']}/", expect=200)["state"] == "active"
    assert Client().login(username="nina@example.com", password=PASSWORD)
    accept(invitation["url"], "another password")
    assert not Client().login(username="nina@example.com", password="another password")
    assert b"is no longer valid" in Client().get(invitation["url"]).content
    assert api.ask("POST", f"/members/{added['id']}/invitation/", expect=409)["code"] == "not_invited"


def test_a_new_link_invalidates_the_previous_one(api: Caller) -> None:
    added = add(api, username="nina", email="nina@example.com")
    second = api.ask("POST", f"/members/{added['id']}/invitation/", expect=201)
    assert b"is no longer valid" in Client().get(added["invitation"]["url"]).content
    accept(second["url"])
    assert Client().login(username="nina", password=PASSWORD)


def test_a_removed_members_link_is_invalid(api: Caller) -> None:
    added = add(api, username="nina")
    api.ask("DELETE", f"/members/{added['id']}/", expect=204)
    assert b"is no longer valid" in Client().get(added["invitation"]["url"]).content
    accept(added["invitation"]["url"])
    assert not get_user_model().objects.filter(username="nina").exists()


def test_a_link_expires(api: Caller, workspace: Workspace) -> None:
    added = add(api, username="nina")
    Membership.objects.filter(pk=added["id"]).update(invitation_expires_at=timezone.now())
    accept(added["invitation"]["url"])
    assert api.ask("GET", f"/members/{added['id']}/")["state"] == "invited"
    accept(api.ask("POST", f"/members/{added['id']}/invitation/", expect=201)["url"])
    assert api.ask("GET", f"/members/{added['id']}/")["state"] == "active"


@pytest.mark.parametrize("password", ["short", "password1234", "nina@example.com"])
def test_invitations_enforce_the_password_rules(api: Caller, password: str) -> None:
    accept(add(api, email="nina@example.com")["invitation"]["url"], password)
    assert not get_user_model().objects.filter(username="nina@example.com").exists()


class TestWorkspaceIsolation:
    """Invitations, acceptances and removals of one workspace grant and reveal nothing in another."""

    @pytest.fixture
    def elsewhere(self) -> Caller:
        return caller(create_workspace(slug="other", name="Other"))

    @pytest.mark.parametrize(
        ("mine", "theirs"),
        [
            ({"email": "victim@example.com"}, {"email": "victim@example.com"}),
            ({"email": "Victim@Example.com"}, {"email": "victim@example.com"}),
            ({"username": "victim", "email": "victim@example.com"}, {"email": "victim@example.com"}),
            ({"username": "victim"}, {"username": "victim"}),
            ({"username": "victim@example.com"}, {"email": "victim@example.com"}),
            ({"email": "victim@example.com"}, {"username": "victim@example.com"}),
        ],
    )
    @pytest.mark.parametrize("removes", [True, False])
    def test_accepting_anothers_invitation_grants_nothing_in_other_workspaces(
        self, api: Caller, elsewhere: Caller, mine: dict[str, str], theirs: dict[str, str], removes: bool
    ) -> None:
        added = add(api, **mine)
        thief = accept(added["invitation"]["url"])
        if removes:
            api.ask("DELETE", f"/members/{added['id']}/", expect=204)
        invited = add(elsewhere, **theirs, role="admin")
        assert invited["state"] == "invited"
        assert session(get_user_model().objects.get()).get("/api/v1/members/").status_code == 403
        assert b"Other" not in thief.get("/admin/").content
        victim = Client()
        form = victim.get(invited["invitation"]["url"], follow=True)
        victim.post(
            form.redirect_chain[-1][0],
            {
                "username": "the-real-one",
                "new_password1": "another long password",
                "new_password2": "another long password",
            },
        )
        [member] = elsewhere.ask("GET", "/members/")["results"]
        assert (member["username"], member["state"]) == ("the-real-one", "active")

    @pytest.mark.parametrize(
        "named",
        [{"username": "olga"}, {"username": "OLGA"}, {"email": "olga@example.com"}, {"username": "gone"},
         {"username": "new", "email": "olga@example.com"}, {"username": "olga", "email": "else@example.com"},
         {"username": "waiting"}, {"email": "waiting@example.com"}],
    )  # fmt: skip
    def test_the_answer_does_not_reveal_accounts_or_invitations(
        self, api: Caller, elsewhere: Caller, named: dict[str, str]
    ) -> None:
        users = get_user_model().objects
        users.create_user("olga", "olga@example.com", PASSWORD, is_staff=True)
        users.create_user("otto", "olga@example.com", PASSWORD)
        users.create_user("gone", "", PASSWORD, is_active=False)
        add(elsewhere, username="waiting", email="waiting@example.com")
        stranger = {name: f"nobody-{value}" for name, value in named.items()}
        known, unknown = add(api, **named), add(api, **stranger)
        assert known.keys() == unknown.keys()
        assert (known["state"], unknown["state"]) == ("invited", "invited")
        assert known["username"] == named.get("username", named.get("email"))
        assert known["email"] == named.get("email", "")
        assert known["invitation"]["url"].count("/") == unknown["invitation"]["url"].count("/")

    def test_inviting_takes_the_same_queries_for_a_known_account(self, api: Caller) -> None:
        get_user_model().objects.create_user("olga", "olga@example.com", PASSWORD)
        with CaptureQueriesContext(connection) as known:
            add(api, username="olga", email="olga@example.com")
        with CaptureQueriesContext(connection) as unknown:
            add(api, username="oleg", email="oleg@example.com")
        assert len(known) == len(unknown)

    def test_an_existing_account_joins_by_accepting_while_signed_in(self, api: Caller, workspace: Workspace) -> None:
        olga = get_user_model().objects.create_user("olga", "olga@home.example", PASSWORD, is_staff=True)
        added = add(api, email="olga@work.example", role="admin")
        assert not Membership.objects.filter(user=olga).exists()
        browser = Client()
        browser.force_login(olga)
        page = browser.get(added["invitation"]["url"], follow=True)
        assert b"Join as olga" in page.content
        browser.post(page.redirect_chain[-1][0])
        shown = api.ask("GET", f"/members/{added['id']}/")
        assert (shown["username"], shown["email"], shown["state"]) == ("olga", "olga@work.example", "active")
        assert Membership.objects.get(workspace=workspace, user=olga).role == "admin"
        assert Client().login(username="olga", password=PASSWORD), "her password is untouched"
        assert add(api, username="olga", expect=409)["code"] == "member_exists"

    def test_signing_in_keeps_the_invitation(self, api: Caller) -> None:
        get_user_model().objects.create_user("olga", "", PASSWORD, is_staff=True)
        browser = Client()
        page = browser.get(add(api, username="olga")["invitation"]["url"], follow=True)
        here = page.redirect_chain[-1][0]
        signed_in = browser.post(f"/admin/login/?next={here}", {"username": "olga", "password": PASSWORD}, follow=True)
        assert b"Join as olga" in signed_in.content
        browser.post(here)
        assert Membership.objects.get(user__username="olga")

    def test_nobody_is_a_member_twice(self, api: Caller, workspace: Workspace) -> None:
        olga = person("olga", workspace=workspace)
        browser = Client()
        browser.force_login(olga)
        page = browser.get(add(api, username="second")["invitation"]["url"], follow=True)
        again = browser.post(page.redirect_chain[-1][0])
        assert b"already a member of this workspace" in again.content
        assert Membership.objects.filter(user=olga).count() == 1

    def test_a_taken_username_is_refused_and_guessing_is_limited(self, api: Caller) -> None:
        olga = get_user_model().objects.create_user("Olga", "", PASSWORD, is_staff=True)
        url = add(api, username="olga")["invitation"]["url"]
        for _ in range(MAX_TRIES):
            accept(url, "a stolen password")
        olga.refresh_from_db()
        assert olga.check_password(PASSWORD)
        assert not Membership.objects.filter(user=olga).exists()
        assert b"is no longer valid" in Client().get(url).content

    def test_a_second_invitation_to_the_same_workspace_is_refused(self, api: Caller) -> None:
        add(api, username="nina", email="nina@example.com")
        for same in (
            {"username": "NINA"},
            {"email": "nina@EXAMPLE.com"},
            {"username": "n", "email": "nina@example.com"},
        ):
            assert add(api, **same, expect=409)["code"] == "member_exists"


def test_an_invited_owner_does_not_count_as_an_owner(workspace: Workspace) -> None:
    olga = person("olga", workspace=workspace, role="owner")
    api = session(olga)
    added = add(api, username="second", role="owner")
    mine = Membership.objects.get(user=olga)
    assert api.ask("DELETE", f"/members/{mine.pk}/", expect=409)["code"] == "last_owner"
    api.ask("DELETE", f"/members/{added['id']}/", expect=204)


def test_a_link_of_one_invitation_opens_no_other(api: Caller) -> None:
    first, second = add(api, username="nina"), add(api, username="otto")
    mixed = first["invitation"]["url"].replace(first["id"], second["id"])
    assert b"is no longer valid" in Client().get(mixed).content
    for broken in (f"/invitations/{first['id']}/accept/", f"/invitations/{first['id']}/x/"):
        assert b"is no longer valid" in Client().get(broken).content


def test_a_member_is_added_by_the_exact_name_only(api: Caller) -> None:
    assert api.refused("POST", "/members/", {"role": "viewer"}) == {"username": "invalid"}
    assert api.refused("POST", "/members/", {"email": "no address"}) == {"email": "invalid"}
    assert api.refused("POST", "/members/", {"username": "a b"}) == {"username": "invalid"}
    assert api.refused("POST", "/members/", {"username": "nina", "role": "king"}) == {"role": "invalid_choice"}
    assert api.refused("POST", "/members/", {"email": "a@b.com\u0000"}) == {"email": "invalid_text"}
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

    def test_the_last_owner_can_not_leave(self, owner: Membership) -> None:
        api = session(owner.user)
        for method, body in (("PATCH", {"role": "admin"}), ("DELETE", None)):
            assert api.ask(method, f"/members/{owner.pk}/", body, expect=409)["code"] == "last_owner"
        api.ask("PATCH", f"/members/{owner.pk}/", {"role": "owner"}, expect=200)

    def test_members_and_viewers_see_no_members(self, workspace: Workspace) -> None:
        for role in ("member", "viewer"):
            api = session(person(role, workspace=workspace, role=role))
            api.ask("GET", "/members/", expect=403)
            api.ask("GET", "/keys/", expect=403)

    def test_a_key_can_not_grant_a_role_beyond_its_own_access(self, workspace: Workspace) -> None:
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
def test_two_owners_leaving_at_once_leave_one(workspace: Workspace) -> None:
    owners = [Membership.objects.get(user=person(name, workspace=workspace, role="owner")) for name in ("olga", "otto")]
    refused: list[str] = []

    def leave(membership: Membership) -> None:
        try:
            remove_member(membership=membership, now=NOW, actor=SYSTEM)
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
    change_role(membership=membership, role="member", now=NOW, actor=SYSTEM)
    change_role(membership=membership, role="member", now=NOW, actor=SYSTEM)
    remove_member(membership=membership, now=NOW, actor=SYSTEM)
    told = list(AuditEntry.objects.filter(target_kind="member").order_by("id").values_list("action", "changes"))
    assert told == [
        ("member.added", {"role": [None, "viewer"]}),
        ("member.updated", {"role": ["viewer", "member"]}),
        ("member.removed", {"role": ["member", None]}),
    ]
