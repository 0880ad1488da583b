"""Environments, settings and the audit log through the API."""

import datetime
import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import audit
from accounts.actors import SYSTEM, Actor
from accounts.encryption import new_encryption_key
from accounts.models import ApiKey, AuditEntry, Environment, Secret, Workspace
from accounts.services import create_workspace
from jobs.models import JobEnvironment
from tests.support.admin_rows import person
from tests.support.api_caller import NOW, Caller, caller, make_execution
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
CANARY = "canary-v4lue-of-a-secret"


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


class TestEnvironments:
    @pytest.fixture
    def staging(self, api: Caller) -> Environment:
        made = api.ask("POST", "/environments/", {"slug": "staging", "name": "Staging"}, expect=201)
        return Environment.objects.get(pk=made["id"])

    def test_are_created_renamed_and_found_by_slug_or_id(self, api: Caller, staging: Environment) -> None:
        for reference in ("staging", staging.pk):
            assert api.ask("GET", f"/environments/{reference}/", expect=200)["name"] == "Staging"
        assert api.ask("PATCH", "/environments/staging/", {"name": "Stage"}, expect=200)["name"] == "Stage"
        assert api.refused("PATCH", "/environments/staging/", {"slug": "other"}) == {
            "slug": "unknown_field",
            "name": "required",
        }
        assert api.ask("POST", "/environments/", {"slug": "eu"}, expect=201)["name"] == "eu"

    @pytest.mark.parametrize(
        "slug", ["", "With Space", "UPPER", "a_b", "x" * 101, "0197a1b2-03d4-7e5f-8a6b-7c8d9e0f1a2b"]
    )
    def test_a_slug_unfit_for_paths_is_refused(self, api: Caller, slug: str) -> None:
        assert set(api.refused("POST", "/environments/", {"slug": slug, "name": "x"})) == {"slug"}

    def test_a_duplicate_slug_is_refused(self, api: Caller, staging: Environment) -> None:
        assert api.refused("POST", "/environments/", {"slug": "staging"}, expect=409) == {"slug": "slug_taken"}
        caller(create_workspace(slug="other", name="Other")).ask(
            "POST", "/environments/", {"slug": "staging"}, expect=201
        )

    def test_an_empty_one_is_deleted_with_its_secrets_and_disabled_jobs(
        self, api: Caller, workspace: Workspace, staging: Environment, make_job: MakeJob
    ) -> None:
        bound = caller(workspace, environments=[staging])
        Secret.objects.create(workspace=workspace, environment=staging, name="TOKEN", encrypted=b"")
        job = make_job().job
        JobEnvironment.objects.create(workspace=workspace, job=job, environment=staging, enabled=False)
        api.ask("DELETE", "/environments/staging/", expect=204)
        api.ask("GET", "/environments/staging/", expect=404)
        assert list(api.ask("GET", f"/jobs/{job.slug}/")["environments"]) == ["production"]
        assert not Secret.objects.exists()
        assert bound.ask("GET", "/jobs/", expect=200)["results"] == []
        lost = AuditEntry.objects.get(action="environment.deleted").changes
        assert lost["secrets"] == [["TOKEN"], None]
        assert lost["keys"] == [[str(ApiKey.objects.get(is_bound=True))], None]

    def test_one_with_jobs_or_history_can_not_be_deleted(
        self, api: Caller, workspace: Workspace, staging: Environment, make_job: MakeJob
    ) -> None:
        rows = {
            slug: JobEnvironment.objects.create(
                workspace=workspace, job=make_job(slug=slug).job, environment=staging, enabled=False
            )
            for slug in ("idle", "enabled", "overridden", "ran", "deleted")
        }
        JobEnvironment.objects.filter(pk=rows["enabled"].pk).update(enabled=True)
        overrides = {"environments": {"staging": {"overrides": {"concurrency": 2}}}}
        api.ask("PATCH", "/jobs/overridden/", overrides, expect=200)
        for slug in ("ran", "deleted"):
            make_execution(rows[slug])
        api.ask("DELETE", "/jobs/deleted/", expect=204)
        problem = api.ask("DELETE", "/environments/staging/", expect=409)
        assert (problem["code"], problem["jobs"]) == (
            "environment_in_use",
            ["deleted", "enabled", "overridden", "ran"],
        )
        assert Environment.objects.filter(slug="staging").exists()

    def test_the_last_one_can_not_be_deleted(self, api: Caller) -> None:
        assert api.ask("DELETE", "/environments/production/", expect=409)["code"] == "last_environment"

    def test_a_bound_key_can_not_change_them(self, workspace: Workspace, staging: Environment) -> None:
        bound = caller(workspace, environments=[staging])
        for method, path, body in (
            ("POST", "/environments/", {"slug": "eu"}),
            ("PATCH", "/environments/staging/", {"name": "Mine"}),
            ("DELETE", "/environments/staging/", None),
        ):
            assert bound.ask(method, path, body, expect=403)["code"] == "environment_bound"
        bound.ask("PATCH", "/environments/production/", {"name": "Mine"}, expect=404)


class TestSettings:
    def test_are_shown_and_changed(self, api: Caller) -> None:
        assert api.ask("GET", "/settings/", expect=200)["name"] == "Acme"
        assert api.ask("PUT", "/settings/", {"name": "Acme Inc."}, expect=200)["name"] == "Acme Inc."
        assert api.ask("PUT", "/settings/", {}, expect=200)["name"] == "Acme Inc."
        (entry,) = AuditEntry.objects.filter(action="settings.updated")
        assert entry.changes == {"name": ["Acme", "Acme Inc."]}

    @pytest.mark.parametrize(
        ("names", "wrong"),
        [(["a b"], "not a valid"), (["Authorization"], "never shown"), (["x-\u00e4"], "not a valid")],
    )
    def test_headers_that_are_never_shown_are_refused(self, api: Caller, names: list[str], wrong: str) -> None:
        problem = api.ask("PUT", "/settings/", {"redact_allow_headers": names}, expect=400)
        assert problem["errors"][0]["field"] == "redact_allow_headers"
        assert wrong in problem["detail"]

    def test_headers_are_stored_in_lower_case_without_duplicates(self, api: Caller) -> None:
        shown = api.ask("PUT", "/settings/", {"redact_allow_headers": ["X-B", "x-a", "X-A"]}, expect=200)
        assert shown["redact_allow_headers"] == ["x-a", "x-b"]
        assert api.ask("PUT", "/settings/", {"name": "Acme Inc."})["redact_allow_headers"] == ["x-a", "x-b"]

    def test_refuse_unknown_fields(self, api: Caller) -> None:
        assert api.refused("PUT", "/settings/", {"nmae": "x"}) == {"nmae": "unknown_field"}
        assert api.refused("PUT", "/settings/", {"name": ""}) == {"name": "blank"}

    def test_a_bound_key_can_not_change_them(self, workspace: Workspace) -> None:
        bound = caller(workspace, environments=list(workspace.environments.all()))
        assert bound.ask("PUT", "/settings/", {"name": "x"}, expect=403)["code"] == "environment_bound"


def entries(workspace: Workspace, count: int) -> None:
    """A history of changes by two people and Hourhand to two objects."""
    actors = [Actor.of_user(person(name)) for name in ("olga", "otto")] + [SYSTEM]
    targets = [workspace.environments.get(), workspace]
    for number in range(count):
        audit.record(
            ("environment.updated", "settings.updated")[number % 2],
            targets[number % 2],
            actor=actors[number % 3],
            now=NOW + datetime.timedelta(minutes=number // 2),
            changes={"name": ["a", "b"]},
        )


class TestAuditLog:
    def log(self, api: Caller, query: str = "") -> list[dict[str, Any]]:
        return api.ask("GET", f"/audit-log/{query}", expect=200)["results"]

    def test_lists_who_changed_what(self, api: Caller, workspace: Workspace) -> None:
        api.ask("PATCH", "/environments/production/", {"name": "Prod"}, expect=200)
        (entry, *_) = self.log(api)
        key = ApiKey.objects.get()
        environment = workspace.environments.get()
        assert entry["actor"] == {"kind": "key", "id": str(key.pk), "label": str(key)}
        assert entry["target"] == {"kind": "environment", "id": str(environment.pk), "label": "production"}
        assert (entry["action"], entry["changes"]) == ("environment.updated", {"name": ["Production", "Prod"]})

    def test_is_filtered_by_action_actor_target_and_time(self, workspace: Workspace) -> None:
        api = caller(workspace)
        AuditEntry.objects.all().delete()
        entries(workspace, 12)
        assert len(self.log(api)) == 12
        assert len(self.log(api, "?action=settings.updated")) == 6
        assert len(self.log(api, "?action=settings.updated,environment.updated")) == 12
        assert {row["actor"]["label"] for row in self.log(api, "?actor=olga")} == {"olga"}
        assert {row["actor"]["kind"] for row in self.log(api, "?actor=system")} == {"system"}
        assert self.log(api, "?actor=nobody") == []
        assert len(self.log(api, "?target=production")) == 6
        assert len(self.log(api, f"?target={workspace.pk}")) == 6
        since, until = "2026-03-01T12:01:00Z", "2026-03-01T12:03:00Z"
        assert len(self.log(api, f"?from={since}&to={until}")) == 4
        assert api.refused("GET", "/audit-log/?actin=x") == {"actin": "unknown_parameter"}

    def test_pages_neither_skip_nor_repeat(self, workspace: Workspace) -> None:
        entries(workspace, 11)
        api, path, seen = caller(workspace), "/audit-log/?limit=2", []
        while path:
            page = api.ask("GET", path, expect=200)
            seen += [row["id"] for row in page["results"]]
            path = (page["next"] or "").partition("/api/v1")[2]
        assert len(seen) == len(set(seen)) == AuditEntry.objects.filter(workspace=workspace).count()

    def test_takes_the_same_queries_at_any_length(self, workspace: Workspace) -> None:
        api = caller(workspace)
        self.log(api)
        with CaptureQueriesContext(
            connection,
        ) as short:
            self.log(api)
        entries(workspace, 30)
        with CaptureQueriesContext(connection) as long:
            self.log(api)
        assert len(long) == len(short)

    def test_is_for_administrators_of_this_workspace(self, api: Caller, workspace: Workspace) -> None:
        entries(workspace, 3)
        other = caller(create_workspace(slug="other", name="Other"))
        assert {row["action"] for row in self.log(other)} == {"key.created"}
        caller(workspace, scopes=["jobs:read", "jobs:write"]).ask("GET", "/audit-log/", expect=403)
        bound = caller(workspace, environments=list(workspace.environments.all()))
        assert bound.ask("GET", "/audit-log/", expect=403)["code"] == "environment_bound"

    @pytest.mark.usefixtures("fresh_tables")
    @pytest.mark.parametrize(
        "query", ["", "?action=settings.updated", "?actor=olga", "?target=acme", "?from=2026-03-01"]
    )
    def test_a_page_is_read_from_an_index(self, workspace: Workspace, query: str) -> None:
        entries(workspace, 30)
        api = caller(workspace)
        with CaptureQueriesContext(connection) as queries:
            self.log(api, f"{query}{'&' if query else '?'}limit=2")
        (page,) = [found["sql"] for found in queries if 'FROM "accounts_auditentry"' in found["sql"]]
        with connection.cursor() as cursor:
            cursor.execute(
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off"
            )
            cursor.execute(f"EXPLAIN {page}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "Index" in plan, plan
        assert "Sort" not in plan, plan

    def test_it_is_read_only(self, api: Caller) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            api.ask(method, "/audit-log/", {}, expect=405)

    def test_a_failed_change_leaves_no_entry(self, api: Caller) -> None:
        before = AuditEntry.objects.count()
        api.ask("POST", "/environments/", {"slug": "production"}, expect=409)
        api.ask("DELETE", "/environments/production/", expect=409)
        api.ask("PATCH", "/environments/production/", {"name": "Production"}, expect=200)
        assert AuditEntry.objects.count() == before, "a change of nothing is none either"

    def test_no_secret_is_ever_in_it(self, api: Caller, settings: Any) -> None:
        settings.ENCRYPTION_KEYS = [new_encryption_key()]
        made = api.ask("POST", "/secrets/", {"name": "TOKEN", "value": CANARY}, expect=201)
        api.ask("PATCH", f"/secrets/{made['id']}/", {"value": f"{CANARY}-2"}, expect=200)
        api.ask("DELETE", f"/secrets/{made['id']}/", expect=204)
        rotated = api.ask("POST", "/signing-secrets/rotate/", {}, expect=201)["secret"]
        key = api.ask("POST", "/keys/", {"name": "x", "scopes": ["admin"]}, expect=201)["key"]
        link = api.ask("POST", "/members/", {"username": "nina"}, expect=201)["invitation"]["url"]
        shown = json.dumps(self.log(api)) + str(list(AuditEntry.objects.values()))
        for secret in (CANARY, rotated, rotated.removeprefix("whsec_"), key, link.split("/")[-2]):
            assert secret not in shown
        assert {"secret.created", "secret.updated", "secret.deleted", "signing_secret.rotated", "key.created"} <= {
            row["action"] for row in self.log(api)
        }
