"""The dashboard's pages of keys, members, environments and the audit log follow the API's rules."""

from typing import Any

import pytest
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts.actors import SYSTEM
from accounts.api_keys import issue_key
from accounts.environments import create_environment
from accounts.models import ApiKey, AuditEntry, Environment, Membership, Workspace
from accounts.services import create_workspace
from tests.support.admin_rows import HOSTILE, person, signed_in
from tests.support.api_caller import Caller
from tests.support.jobs import EPOCH, MakeJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(workspace: Workspace) -> Client:
    return signed_in(person("olga", workspace=workspace, role="owner"))


@pytest.fixture
def staging(workspace: Workspace) -> Environment:
    return create_environment(workspace=workspace, slug="staging", name="Staging", now=EPOCH, actor=SYSTEM)


def said(answer: Any) -> str:
    return str(answer.content.decode())


class TestKeys:
    def wanted(self, workspace: Workspace, **fields: Any) -> dict[str, Any]:
        return {"workspace": workspace.pk, "name": "Deploys", "scopes": ["jobs:read"], **fields}

    def test_a_key_is_created_shown_once_and_bound(
        self, owner: Client, workspace: Workspace, staging: Environment
    ) -> None:
        wanted = self.wanted(workspace, only_some="on", environments=[staging.pk])
        page = said(owner.post(reverse("admin:accounts_apikey_add"), wanted, follow=True))
        shown = page.partition('id="shown-once">')[2].partition("<")[0]
        assert [row["slug"] for row in Caller(shown).ask("GET", "/environments/")["results"]] == ["staging"]
        assert shown not in said(owner.get(reverse("admin:accounts_apikey_changelist")))
        entry = AuditEntry.objects.get(action="key.created")
        assert (entry.actor_kind, entry.actor_label) == ("user", "olga")

    def test_selected_environments_without_the_switch_are_refused(
        self, owner: Client, workspace: Workspace, staging: Environment
    ) -> None:
        for wrong in ({"environments": [staging.pk]}, {"only_some": "on"}):
            answer = owner.post(reverse("admin:accounts_apikey_add"), self.wanted(workspace, **wrong))
            assert answer.status_code == 200
        assert not ApiKey.objects.exists()

    def test_a_key_is_changed_and_a_revoked_one_is_not(
        self, owner: Client, workspace: Workspace, staging: Environment
    ) -> None:
        key = issue_key(
            workspace=workspace, name="Deploys", scopes=["jobs:read"], environments=[staging], actor=SYSTEM
        ).row
        change = reverse("admin:accounts_apikey_change", args=[key.pk])
        assert owner.get(change).status_code == 200
        kept = {"scopes": ["jobs:read"], "only_some": "on", "environments": [staging.pk]}
        assert owner.post(change, {"name": "Stage", **kept}).status_code == 302
        key.refresh_from_db()
        assert (key.name, key.is_bound, list(key.environments.all())) == ("Stage", True, [staging])
        owner.post(reverse("admin:accounts_apikey_revoke", args=[key.pk]))
        assert owner.get(change).status_code == 200
        assert owner.post(change, {"name": "Back", **kept}).status_code == 403
        assert list(AuditEntry.objects.values_list("action", flat=True).order_by("id"))[-2:] == [
            "key.updated",
            "key.revoked",
        ]

    def test_renaming_a_key_of_deleted_environments_restores_no_access(
        self, owner: Client, workspace: Workspace, staging: Environment
    ) -> None:
        key = issue_key(
            workspace=workspace, name="Deploys", scopes=["jobs:read"], environments=[staging], actor=SYSTEM
        ).row
        owner.post(reverse("admin:accounts_environment_delete", args=[staging.pk]), {"post": "yes"})
        assert "None: deleted" in said(owner.get(reverse("admin:accounts_apikey_changelist")))
        change = reverse("admin:accounts_apikey_change", args=[key.pk])
        owner.post(change, {"name": "Stranded", "scopes": ["jobs:read"], "only_some": "on"})
        key.refresh_from_db()
        assert (key.name, key.is_bound, key.environments.count()) == ("Stranded", True, 0)


class TestMembers:
    def test_a_new_member_gets_a_link(self, owner: Client, workspace: Workspace) -> None:
        wanted = {"workspace": workspace.pk, "email": "nina@example.com", "role": "viewer"}
        page = said(owner.post(reverse("admin:accounts_membership_add"), wanted, follow=True))
        assert "/invitations/" in page
        nina = Membership.objects.get(invited_email="nina@example.com")
        assert nina.user is None
        assert "Invited" in said(owner.get(reverse("admin:accounts_membership_changelist")))
        page = said(owner.post(reverse("admin:accounts_membership_invite", args=[nina.pk]), follow=True))
        assert "/invitations/" in page

    def test_roles_change_and_members_go_but_not_the_last_owner(self, owner: Client, workspace: Workspace) -> None:
        person("mona", workspace=workspace)
        mona, olga = Membership.objects.get(user__username="mona"), Membership.objects.get(user__username="olga")
        change = reverse("admin:accounts_membership_change", args=[mona.pk])
        assert owner.post(change, {"role": "viewer"}).status_code == 302
        assert (
            owner.post(reverse("admin:accounts_membership_delete", args=[mona.pk]), {"post": "yes"}).status_code == 302
        )
        told = AuditEntry.objects.filter(target_kind="member").order_by("id").values_list("action", "actor_label")
        assert list(told) == [("member.updated", "olga"), ("member.removed", "olga")]
        for name in ("change", "delete"):
            url = reverse(f"admin:accounts_membership_{name}", args=[olga.pk])
            assert owner.post(url, {"role": "viewer", "post": "yes"}).status_code == 403

    def test_an_admin_can_not_make_owners_even_if_they_own_another_workspace(self, workspace: Workspace) -> None:
        adam = person("adam", workspace=workspace, role="admin")
        other = create_workspace(slug="other", name="Other")
        Membership.objects.create(workspace=other, user=adam, role="owner")
        person("olga", workspace=workspace, role="owner")
        url = reverse("admin:accounts_membership_add")
        signed_in(adam).post(url, {"workspace": workspace.pk, "username": "nina", "role": "owner"})
        assert not Membership.objects.filter(workspace=workspace, invited_username="nina").exists()


class TestEnvironments:
    def test_are_created_renamed_and_deleted(self, owner: Client, workspace: Workspace) -> None:
        add = reverse("admin:accounts_environment_add")
        assert owner.post(add, {"workspace": workspace.pk, "name": "EU", "slug": "Not a slug"}).status_code == 200
        assert owner.post(add, {"workspace": workspace.pk, "name": "EU", "slug": "production"}).status_code == 200
        assert owner.post(add, {"workspace": workspace.pk, "name": "EU", "slug": "eu"}).status_code == 302
        made = Environment.objects.get(slug="eu")
        assert (
            owner.post(reverse("admin:accounts_environment_change", args=[made.pk]), {"name": "Eu"}).status_code == 302
        )
        delete = reverse("admin:accounts_environment_delete", args=[made.pk])
        assert owner.get(delete).status_code == 200
        assert owner.post(delete, {"post": "yes"}).status_code == 302
        told = AuditEntry.objects.filter(target_kind="environment").order_by("id").values_list("action", flat=True)
        assert list(told) == ["environment.created", "environment.updated", "environment.deleted"]

    def test_one_with_jobs_can_not_be_deleted(
        self, owner: Client, workspace: Workspace, staging: Environment, make_job: MakeJob
    ) -> None:
        production = make_job().environment
        page = said(
            owner.post(reverse("admin:accounts_environment_delete", args=[production.pk]), {"post": "yes"}, follow=True)
        )
        assert "nightly-report" in page
        assert Environment.objects.filter(pk=production.pk).exists()


@pytest.mark.parametrize("name", ["apikey", "membership", "secret", "signingsecret", "auditentry"])
def test_pages_of_the_admin_scope_are_for_administrators(workspace: Workspace, name: str) -> None:
    url = reverse(f"admin:accounts_{name}_changelist")
    issue_key(workspace=workspace, name="Deploys", scopes=["admin"], actor=SYSTEM)
    for role, code in (("viewer", 403), ("member", 403), ("admin", 200), ("owner", 200)):
        client = signed_in(person(role, workspace=workspace, role=role))
        assert client.get(url).status_code == code, role
        assert (url in said(client.get(reverse("admin:index")))) == (code == 200)
    other = create_workspace(slug="other", name="Other")
    both = person("bo", workspace=other, role="owner")
    Membership.objects.create(workspace=workspace, user=both, role="viewer")
    assert "Deploys" not in said(signed_in(both).get(url))


class TestSettingsPage:
    def test_renaming_a_workspace_is_in_the_log(self, owner: Client, workspace: Workspace) -> None:
        change = reverse("admin:accounts_workspace_change", args=[workspace.pk])
        wanted = {"name": "Acme Inc.", "overage_policy": "allow"}
        assert "never shown" in said(owner.post(change, {**wanted, "redact_allow_headers": "Cookie"}))
        assert owner.post(change, wanted).status_code == 302
        assert AuditEntry.objects.get(action="settings.updated").changes == {"name": ["Acme", "Acme Inc."]}


class TestAuditLog:
    def test_shows_who_changed_what_escaped(self, owner: Client, workspace: Workspace) -> None:
        environment = workspace.environments.get()
        change = reverse("admin:accounts_environment_change", args=[environment.pk])
        owner.post(change, {"name": HOSTILE})
        entry = AuditEntry.objects.get(action="environment.updated")
        lists = said(owner.get(reverse("admin:accounts_auditentry_changelist")))
        page = said(owner.get(reverse("admin:accounts_auditentry_change", args=[entry.pk])))
        assert "environment.updated" in lists
        assert "Production" in page
        assert "&lt;script&gt;" in page
        assert HOSTILE not in page + lists

    def test_is_searched_and_filtered(self, owner: Client, workspace: Workspace, staging: Environment) -> None:
        url = reverse("admin:accounts_auditentry_changelist")
        assert "staging" in said(owner.get(url, {"q": "staging"}))
        assert "environment.created" not in said(owner.get(url, {"q": "stag"}))
        assert "environment.created" not in said(owner.get(url, {"target_kind": "key"}))

    def test_is_read_only_for_superusers_too(self, workspace: Workspace, staging: Environment) -> None:
        root = signed_in(person("root", superuser=True))
        entry = AuditEntry.objects.get(action="environment.created")
        assert root.get(reverse("admin:accounts_auditentry_change", args=[entry.pk])).status_code == 200
        assert root.post(reverse("admin:accounts_auditentry_change", args=[entry.pk]), {}).status_code == 405
        assert root.post(reverse("admin:accounts_auditentry_changelist"), {}).status_code == 405
        for verb in ("add", "delete"):
            with pytest.raises(NoReverseMatch):
                reverse(f"admin:accounts_auditentry_{verb}", args=[entry.pk] if verb == "delete" else [])

    def test_shows_only_workspaces_that_the_user_administers(self, workspace: Workspace, staging: Environment) -> None:
        entry = AuditEntry.objects.get(action="environment.created")
        page, lists = (
            reverse("admin:accounts_auditentry_change", args=[entry.pk]),
            reverse("admin:accounts_auditentry_changelist"),
        )
        other = create_workspace(slug="other", name="Other")
        stranger = signed_in(person("sam", workspace=other, role="owner"))
        assert stranger.get(page).status_code == 404
        assert "staging" not in said(stranger.get(lists))
        both = person("bo", workspace=other, role="owner")
        Membership.objects.create(workspace=workspace, user=both, role="member")
        assert signed_in(both).get(page).status_code == 404
        member = signed_in(person("mona", workspace=workspace))
        assert member.get(lists).status_code == 403
        assert "Audit log" not in said(member.get(reverse("admin:index")))
