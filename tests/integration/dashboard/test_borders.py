"""Nobody sees or changes another workspace's rows in the dashboard; roles apply and history is read-only."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts.actors import SYSTEM
from accounts.api_keys import issue_key
from accounts.models import ApiKey, Environment, Membership, Secret, Workspace
from accounts.services import create_workspace
from jobs.models import Job, JobEnvironment
from jobs.services.save import save_job
from runs.models import Execution, Run
from tests.support.admin_rows import admin_action, execution_of, person, run_of, signed_in
from tests.support.jobs import EPOCH, MakeJob, job_config

pytestmark = pytest.mark.django_db


@dataclass
class ForeignRows:
    """Rows of a workspace without our members."""

    workspace: Workspace
    row: JobEnvironment
    execution: Execution
    run: Run
    key: ApiKey
    environment: Environment
    membership: Membership
    secret: Secret


@pytest.fixture
def theirs() -> ForeignRows:
    workspace = create_workspace(slug="theirs", name="Theirs")
    config = job_config(name="Their secret job", tags=["their-tag"], schedule="0 2 * * *")
    job = save_job(workspace=workspace, job=None, slug=None, config=config, environments=None, now=EPOCH, actor=SYSTEM)
    row = JobEnvironment.objects.select_related("job__current_version", "environment").get(job=job)
    execution = execution_of(row, status="pending")
    someone = person("theodora", workspace=workspace, role="owner")
    return ForeignRows(
        workspace,
        row,
        execution,
        run_of(execution),
        issue_key(workspace=workspace, name="Their key", scopes=["jobs:read"], actor=SYSTEM).row,
        Environment.objects.create(workspace=workspace, slug="their-place", name="Their place"),
        Membership.objects.get(user=someone),
        Secret.objects.create(workspace=workspace, name="THEIR_SECRET", encrypted=b""),
    )


@pytest.fixture
def member(workspace: Workspace) -> Client:
    return signed_in(person("mara", workspace=workspace, role="owner"))


def pages_of(theirs: ForeignRows) -> list[str]:
    return [
        reverse("admin:jobs_job_page", args=[theirs.row.job_id]),
        reverse("admin:jobs_job_change", args=[theirs.row.job_id]),
        reverse("admin:jobs_job_delete", args=[theirs.row.job_id]),
        reverse("admin:jobs_job_versions", args=[theirs.row.job_id]),
        f"{reverse('admin:jobs_job_preview')}?job={theirs.row.job_id}",
        reverse("admin:runs_execution_run_with", args=[theirs.row.job_id]),
        reverse("admin:jobs_job_history", args=[theirs.row.job_id]),
        reverse("admin:runs_execution_change", args=[theirs.execution.pk]),
        reverse("admin:runs_execution_edit", args=[theirs.execution.pk]),
        reverse("admin:runs_run_change", args=[theirs.run.pk]),
        reverse("admin:accounts_workspace_change", args=[theirs.workspace.pk]),
        reverse("admin:accounts_environment_change", args=[theirs.environment.pk]),
        reverse("admin:accounts_membership_change", args=[theirs.membership.pk]),
        reverse("admin:accounts_membership_delete", args=[theirs.membership.pk]),
        reverse("admin:accounts_apikey_change", args=[theirs.key.pk]),
        reverse("admin:accounts_secret_change", args=[theirs.secret.pk]),
        reverse("admin:accounts_secret_delete", args=[theirs.secret.pk]),
    ]


def test_lists_contain_only_rows_of_my_workspaces(member: Client, make_job: MakeJob, theirs: ForeignRows) -> None:
    run_of(execution_of(make_job(name="My own job")))
    for name in ("jobs_job", "runs_execution", "runs_run"):
        page = member.get(reverse(f"admin:{name}_changelist")).content.decode()
        assert "My own job" in page
        assert "Their secret job" not in page
        assert "their-tag" not in page
        assert "their-place" not in page
    for name in ("accounts_workspace", "accounts_environment", "accounts_membership", "accounts_apikey"):
        page = member.get(reverse(f"admin:{name}_changelist")).content.decode()
        assert "Acme" in page or "No results" in page
        for secret in ("Theirs", "their-place", "theodora", "Their key"):
            assert secret not in page
    assert "Their secret job" not in member.get(reverse("admin:index")).content.decode()


def test_guessed_urls_are_not_found(member: Client, theirs: ForeignRows) -> None:
    for url in pages_of(theirs):
        assert member.get(url).status_code == 404, url


def test_guessed_buttons_are_not_found(member: Client, theirs: ForeignRows) -> None:
    buttons = [
        reverse("admin:jobs_job_pause", args=[theirs.row.job_id]),
        reverse("admin:jobs_job_resume", args=[theirs.row.job_id]),
        reverse("admin:jobs_job_restore", args=[theirs.row.job_id, 1]),
        reverse("admin:runs_execution_run_with", args=[theirs.row.job_id]),
        reverse("admin:jobs_job_delete", args=[theirs.row.job_id]),
        reverse("admin:runs_execution_delete_job", args=[theirs.row.job_id]),
        reverse("admin:runs_execution_run_now", args=[theirs.row.pk]),
        reverse("admin:runs_execution_test_call", args=[theirs.row.pk]),
        reverse("admin:runs_execution_replay", args=[theirs.execution.pk]),
        reverse("admin:runs_execution_edit", args=[theirs.execution.pk]),
        reverse("admin:runs_execution_retry", args=[theirs.execution.pk]),
        reverse("admin:runs_execution_cancel", args=[theirs.execution.pk]),
        reverse("admin:runs_bulkoperation_cancel", args=[theirs.execution.pk]),
        reverse("admin:accounts_apikey_revoke", args=[theirs.key.pk]),
    ]
    for url in buttons:
        assert member.post(url).status_code == 404, url
    theirs.row.refresh_from_db()
    theirs.key.refresh_from_db()
    assert theirs.row.paused_at is None
    assert theirs.key.revoked_at is None
    assert Execution.objects.get().status == "pending"


def test_no_filter_and_no_search_finds_another_workspaces_rows(member: Client, theirs: ForeignRows) -> None:
    execution, job = theirs.execution, theirs.row.job
    asked = {
        "runs_execution": [
            {"search": execution.pk}, {"search": theirs.run.pk}, {"search": job.pk}, {"search": "secret"},
            {"search": job.url}, {"job": job.pk}, {"job": job.slug}, {"job_name": "Their"}, {"tag": "their-tag"},
            {"workspace": "theirs"}, {"environment": "their-place"}, {"last_only": "true"}, {"sort": "duration"},
            {"status": "pending"},
        ],
        "runs_run": [
            {"execution": execution.pk}, {"execution": execution.pk, "job": job.pk}, {"job": job.pk},
            {"job": job.slug}, {"workspace": "theirs"}, {"environment": "their-place"}, {"trigger": "manual"},
        ],
        "jobs_job": [
            {"search": "Their"}, {"search": job.url}, {"tag": "their-tag"}, {"workspace": "theirs"},
            {"environment": "their-place"}, {"state": "enabled"}, {"sort": "name"},
        ],
    }  # fmt: skip
    for name, queries in asked.items():
        for query in queries:
            page = member.get(reverse(f"admin:{name}_changelist"), query).content.decode()
            assert "Their secret job" not in page, (name, query)
            for row in (execution, theirs.run, job):
                assert f"/{row.pk}/" not in page, (name, query)
    assert "secret job" not in member.get(reverse("admin:jobs_job_suggest"), {"job": "secret"}).content.decode()


def test_bulk_actions_reach_no_other_workspace(member: Client, make_job: MakeJob, theirs: ForeignRows) -> None:
    mine = make_job(name="Mine", schedule="0 2 * * *")
    both = [mine.job_id, theirs.row.job_id]
    for ids, more in (
        (both, {}),
        ([theirs.row.job_id], {}),
        (both, {"select_across": "1"}),
        (both, {"select_across": "1", "query": "?workspace=theirs"}),
    ):
        answer = admin_action(member, "jobs_job", "delete", ids, **more)
        assert "Their secret job" not in answer.content.decode()
        assert str(theirs.row.job_id) not in answer.content.decode()
    admin_action(member, "jobs_job", "pause", both, confirmed=True)
    admin_action(member, "jobs_job", "delete", both, confirmed=True)
    theirs.row.refresh_from_db()
    assert theirs.row.paused_at is None
    assert [job.pk for job in Job.objects.live()] == [theirs.row.job_id]


def test_a_viewer_of_one_workspace_can_not_change_it(
    workspace: Workspace, make_job: MakeJob, theirs: ForeignRows
) -> None:
    mixed = person("mix", workspace=workspace, role="member")
    Membership.objects.create(workspace=theirs.workspace, user=mixed, role="viewer")
    client, mine = signed_in(mixed), make_job(name="Mine", schedule="0 2 * * *")
    assert "Their secret job" in client.get(reverse("admin:jobs_job_changelist")).content.decode()
    both = [mine.job_id, theirs.row.job_id]
    page = admin_action(client, "jobs_job", "pause", both, select_across="1").content.decode()
    assert "Pause 1 job?" in page
    admin_action(client, "jobs_job", "pause", both, confirmed=True)
    theirs.row.refresh_from_db()
    assert theirs.row.paused_at is None
    assert client.post(reverse("admin:runs_execution_edit", args=[theirs.execution.pk])).status_code == 403


def test_choices_contain_only_my_workspaces(member: Client, workspace: Workspace, theirs: ForeignRows) -> None:
    for name in ("accounts_environment_add", "accounts_membership_add", "accounts_apikey_add", "jobs_job_add"):
        page = member.get(reverse(f"admin:{name}")).content.decode()
        assert "Theirs" not in page
        assert "Their place" not in page
        assert "their-place" not in page
    wanted: dict[str, Any] = {"workspace": theirs.workspace.pk, "name": "Sneaky", "scopes": ["admin"]}
    assert member.post(reverse("admin:accounts_apikey_add"), wanted).status_code == 200
    wanted = {"workspace": workspace.pk, "name": "Sneaky", "scopes": ["admin"], "environments": [theirs.environment.pk]}
    assert member.post(reverse("admin:accounts_apikey_add"), wanted).status_code == 200
    assert not ApiKey.objects.filter(name="Sneaky").exists()
    assert member.get(reverse("admin:jobs_job_add") + "?workspace=theirs").status_code == 404
    for field in ("workspace", "environments"):
        wanted = {"app_label": "accounts", "model_name": "apikey", "field_name": field}
        offered = member.get(reverse("admin:autocomplete"), wanted).json()["results"]
        assert not {str(theirs.workspace.pk), str(theirs.environment.pk)} & {row["id"] for row in offered}


def test_a_viewer_sees_and_changes_nothing(workspace: Workspace, make_job: MakeJob) -> None:
    viewer = signed_in(person("vera", workspace=workspace, role="viewer"))
    row = make_job()
    execution = execution_of(row, status="pending")
    for name, wanted in (("jobs_job_page", row.job_id), ("runs_execution_change", execution.pk)):
        page = viewer.get(reverse(f"admin:{name}", args=[wanted])).content.decode()
        for button in ("Run now", "Pause…", "Replay original", "Edit and replay", "Cancel…", ">Edit<"):
            assert button not in page
    assert viewer.get(reverse("admin:jobs_job_changelist")).status_code == 200
    refused = [
        reverse("admin:jobs_job_add"), reverse("admin:jobs_job_change", args=[row.job_id]),
        reverse("admin:jobs_job_delete", args=[row.job_id]), reverse("admin:jobs_job_pause", args=[row.job_id]),
        reverse("admin:jobs_job_resume", args=[row.job_id]), reverse("admin:runs_execution_run_now", args=[row.pk]),
        reverse("admin:runs_execution_replay", args=[execution.pk]),
        reverse("admin:runs_execution_cancel", args=[execution.pk]), reverse("admin:accounts_apikey_add"),
        reverse("admin:runs_execution_edit", args=[execution.pk]), reverse("admin:jobs_job_changelist"),
        reverse("admin:runs_execution_changelist"),
        reverse("admin:accounts_membership_add"), reverse("admin:accounts_environment_add"),
    ]  # fmt: skip
    for url in refused:
        assert viewer.post(url).status_code == 403, url
    assert Job.objects.live().count() == 1
    assert Execution.objects.count() == 1


def test_a_member_administers_nothing(workspace: Workspace) -> None:
    member = signed_in(person("mona", workspace=workspace, role="member"))
    for name in (
        "accounts_apikey_add",
        "accounts_membership_add",
        "accounts_environment_add",
        "accounts_workspace_add",
    ):
        assert member.get(reverse(f"admin:{name}")).status_code == 403
    assert member.get(reverse("admin:jobs_job_add")).status_code == 200
    for name in ("auth_user", "auth_group", "django_celery_beat_periodictask"):
        assert member.get(reverse(f"admin:{name}_changelist")).status_code == 403


def test_an_administrator_can_not_make_or_change_owners(workspace: Workspace) -> None:
    person("olga", workspace=workspace, role="owner")
    person("nina")
    admin = signed_in(person("adam", workspace=workspace, role="admin"))
    url = reverse("admin:accounts_membership_add")
    assert admin.post(url, {"workspace": workspace.pk, "username": "nina", "role": "owner"}).status_code == 200
    assert admin.post(url, {"workspace": workspace.pk, "username": "nina", "role": "viewer"}).status_code == 302
    owner = Membership.objects.get(user__username="olga")
    assert (
        admin.post(reverse("admin:accounts_membership_change", args=[owner.pk]), {"role": "viewer"}).status_code == 403
    )
    assert admin.post(reverse("admin:accounts_membership_delete", args=[owner.pk]), {"post": "yes"}).status_code == 403


def test_history_cannot_be_changed(workspace: Workspace, make_job: MakeJob) -> None:
    root = signed_in(person("root", workspace=workspace, role="owner", superuser=True))
    execution = execution_of(make_job(), status="failed")
    run = run_of(execution)
    for name, row in (("runs_execution", execution), ("runs_run", run)):
        assert root.post(reverse(f"admin:{name}_change", args=[row.pk]), {"status": "succeeded"}).status_code == 405
        chosen = {"action": "delete_selected", "_selected_action": [row.pk], "index": "0", "post": "yes"}
        root.post(reverse(f"admin:{name}_changelist"), chosen)
        assert type(row).objects.filter(pk=row.pk).exists()
        base = reverse(f"admin:{name}_changelist")
        for guess in ("add/", f"{row.pk}/delete/", f"{row.pk}/history/"):
            assert root.post(base + guess).status_code == 404
        for verb in ("add", "delete"):
            with pytest.raises(NoReverseMatch):
                reverse(f"admin:{name}_{verb}", args=[row.pk] if verb == "delete" else [])
    execution.refresh_from_db()
    assert execution.status == "failed"


def test_anonymous_users_are_redirected_to_sign_in(client: Client, make_job: MakeJob) -> None:
    row = make_job()
    for url in (
        reverse("admin:index"),
        reverse("admin:jobs_job_page", args=[row.job_id]),
        reverse("admin:runs_execution_changelist"),
        reverse("admin:jobs_job_preview"),
        reverse("admin:jobs_job_suggest"),
        reverse("admin:runs_execution_edit", args=[row.job_id]),
    ):
        answer: Any = client.get(url)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(reverse("admin:login"))
    nobody = signed_in(person("nobody"))
    assert "not a member of a workspace" in nobody.get(reverse("admin:index")).content.decode()
    assert nobody.get(reverse("admin:jobs_job_changelist")).status_code == 403
    assert "<option" not in nobody.get(reverse("admin:jobs_job_suggest")).content.decode()
