"""Assertions and retry policies through the API: validation, and the effects of changing a policy."""

import threading

import pytest
from django.db import connection, transaction

from accounts.actors import SYSTEM
from accounts.models import Environment, Scope
from accounts.services import create_workspace
from jobs.models import Job, JobVersion, RetryPolicy
from jobs.services.retry_policies import RULES, save_policy
from jobs.services.save import save_job
from tests.support.api_caller import JOB, caller
from tests.support.jobs import EPOCH, job_config

pytestmark = pytest.mark.django_db

ALL_TYPES = [
    {"type": "status_equals", "value": 200},
    {"type": "header_equals", "name": "X-Build", "value": ""},
    {"type": "header_contains", "name": "Content-Type", "value": "json"},
    {"type": "body_contains", "value": " ok "},
    {"type": "body_not_contains", "value": "error"},
    {"type": "body_matches", "value": r"^\{.*\}$"},
    {"type": "json_path_equals", "path": "$.checks[?@.name == 'db'].state", "value": {"up": [1, None, 2.5]}},
    {"type": "json_path_exists", "path": "$.checks", "value": True},
    {"type": "response_time_under_ms", "value": 500},
]


@pytest.fixture
def api(workspace):
    return caller(workspace)


def job(**changes):
    return {**JOB, **changes}


def asserted(*assertions):
    return job(success={"assertions": list(assertions)})


def test_every_type_of_assertion_is_kept_as_it_was_written(api):
    made = api.ask("PUT", "/jobs/a/", asserted(*ALL_TYPES), expect=201)
    assert made["success"] == {"statuses": ["2xx"], "assertions": ALL_TYPES}
    assert api.ask("PUT", "/jobs/a/", made, expect=200)["version"] == 1
    patched = api.ask("PATCH", "/jobs/a/", {"success": {"statuses": ["200"]}}, expect=200)
    assert patched["success"]["assertions"] == ALL_TYPES


def test_json_path_exists_defaults_to_true(api):
    made = api.ask("POST", "/jobs/", asserted({"type": "json_path_exists", "path": "$.a"}), expect=201)
    assert made["success"]["assertions"] == [{"type": "json_path_exists", "path": "$.a", "value": True}]


@pytest.mark.parametrize(
    ("assertion", "field", "code"),
    [
        ({}, "type", "invalid_choice"),
        ({"type": "moon_phase"}, "type", "invalid_choice"),
        ({"type": ["status_equals"]}, "type", "invalid_choice"),
        ({"type": "status_equals"}, "value", "required"),
        ({"type": "status_equals", "value": "200"}, "value", "invalid"),
        ({"type": "status_equals", "value": 600}, "value", "max_value"),
        ({"type": "status_equals", "value": 200, "name": "x"}, "name", "unknown_field"),
        ({"type": "header_equals", "value": "x"}, "name", "required"),
        ({"type": "header_equals", "name": "a b", "value": "x"}, "name", "invalid"),
        ({"type": "body_contains", "value": ""}, "value", "blank"),
        ({"type": "body_contains", "value": "x" * 1001}, "value", "max_length"),
        ({"type": "body_contains", "value": "x", "path": "$"}, "path", "unknown_field"),
        ({"type": "body_matches", "value": "("}, "value", "invalid"),
        ({"type": "body_matches", "value": r"(a)\1"}, "value", "invalid"),
        ({"type": "json_path_equals", "path": "$.a"}, "value", "required"),
        ({"type": "json_path_equals", "path": "a", "value": 1}, "path", "invalid"),
        ({"type": "json_path_equals", "path": "$.a", "value": "x" * 20_000}, "value", "too_large"),
        ({"type": "json_path_exists", "path": "$..a..b"}, "path", "invalid"),
        ({"type": "json_path_exists", "path": "$[?match(@.a, '.')]"}, "path", "invalid"),
        ({"type": "response_time_under_ms", "value": 0}, "value", "min_value"),
    ],
)
def test_an_assertion_error_is_named_by_its_field(api, assertion, field, code):
    body = asserted(ALL_TYPES[0], assertion)
    assert api.refused("POST", "/jobs/", body) == {f"success.assertions.1.{field}": code}


def test_an_assertion_is_an_object_and_there_are_ten_at_most(api):
    assert api.refused("POST", "/jobs/", asserted("ok")) == {"success.assertions.0": "invalid"}
    assert api.refused("POST", "/jobs/", asserted(*[ALL_TYPES[0]] * 11)) == {"success.assertions": "max_length"}


# -- retry policies ----------------------------------------------------------------------------------------------------

RULES_OF_EPOCH = {field: job_config()["retry"][field] for field in RULES}
PATIENT = {"slug": "patient", "name": "Patient", "max_attempts": 8, "on_assertion": True}


@pytest.fixture
def patient(api):
    return api.ask("POST", "/retry-policies/", PATIENT, expect=201)


def test_a_policy_is_made_listed_changed_and_deleted(api, patient):
    assert patient["max_attempts"] == 8
    assert patient["backoff"] == "exponential"
    assert patient["on_statuses"] == [429, 500, 502, 503, 504]
    assert api.ask("GET", "/retry-policies/", expect=200)["results"] == [patient]
    assert api.ask("GET", f"/retry-policies/{patient['id']}/", expect=200) == patient
    listed = {"backoff": "list", "delays_ms": [10, 20]}
    changed = api.ask("PATCH", "/retry-policies/patient/", listed, expect=200)
    assert (changed["backoff"], changed["delays_ms"], changed["max_attempts"]) == ("list", [10, 20], 8)
    api.ask("DELETE", "/retry-policies/patient/", expect=204)
    api.ask("GET", "/retry-policies/patient/", expect=404)


def test_a_policy_error_is_named_by_its_field(api, patient):
    assert api.refused("POST", "/retry-policies/", {"name": "x", "max_attempts": 21}) == {"max_attempts": "max_value"}
    assert api.refused("POST", "/retry-policies/", {"name": "x", "policy": "y"}) == {"policy": "unknown_field"}
    assert api.refused("POST", "/retry-policies/", {"name": "x", "backoff": "list"}) == {"delays_ms": "required"}
    assert api.refused("POST", "/retry-policies/", {"slug": "A b", "name": "x"}) == {"slug": "invalid"}
    assert api.refused("POST", "/retry-policies/", PATIENT, expect=409) == {"slug": "slug_taken"}
    assert api.ask("POST", "/retry-policies/", {"name": "Not so fast!"}, expect=201)["slug"] == "not-so-fast"
    assert api.refused("PATCH", "/retry-policies/patient/", {"slug": "not-so-fast"}, expect=409) == {
        "slug": "slug_taken"
    }


def test_a_job_with_a_policy_gets_its_rules_instead_of_its_own(api, patient):
    made = api.ask("PUT", "/jobs/a/", job(retry={"policy": "patient"}), expect=201)
    assert made["retry"] == {"policy": "patient", **{field: patient[field] for field in RULES}}
    assert api.ask("PUT", "/jobs/a/", made, expect=200)["version"] == 1
    own = api.ask("PATCH", "/jobs/a/", {"retry": {"policy": None, "max_attempts": 2}}, expect=200)
    assert (own["retry"]["policy"], own["retry"]["max_attempts"], own["version"]) == (None, 2, 2)
    api.ask("DELETE", "/retry-policies/patient/", expect=204)


def test_a_rule_that_contradicts_the_policy_is_refused(api, patient):
    """Without the refusal the rule would silently have no effect."""
    wrong = {"policy": "patient", "max_attempts": 2, "backoff": "list", "delays_ms": [1], "jitter": True}
    codes = {f"retry.{rule}": "conflicting" for rule in ("max_attempts", "backoff", "delays_ms")}
    assert api.refused("POST", "/jobs/", job(retry=wrong)) == codes
    api.ask("PUT", "/jobs/a/", job(retry={"max_attempts": 5}), expect=201)
    adopted = api.ask("PATCH", "/jobs/a/", {"retry": {"policy": "patient"}}, expect=200)
    problem = api.ask("PATCH", "/jobs/a/", {"retry": {"max_attempts": 5}}, expect=400)
    (error,) = problem["errors"]
    assert error["field"] == "retry.max_attempts"
    assert error["detail"] == (
        "The retry policy patient has 8 here. Change the policy, or set retry.policy to null."
    )  # fmt: skip
    assert api.ask("PATCH", "/jobs/a/", {"retry": {"max_attempts": 8}}, expect=200)["version"] == adopted["version"]
    assert api.ask("PUT", "/jobs/a/", adopted, expect=200)["version"] == adopted["version"]
    api.ask("POST", "/retry-policies/", {"slug": "calm", "name": "Calm", "max_attempts": 2}, expect=201)
    assert api.ask("PATCH", "/jobs/a/", {"retry": {"policy": "calm"}}, expect=200)["retry"]["max_attempts"] == 2


def test_an_unknown_policy_or_another_workspaces_is_refused(api, patient):
    elsewhere = caller(create_workspace(slug="elsewhere", name="Elsewhere"))
    for client, slug in ((api, "missing"), (elsewhere, "patient")):
        assert client.refused("POST", "/jobs/", job(retry={"policy": slug})) == {"retry.policy": "policy_unknown"}
    elsewhere.ask("GET", f"/retry-policies/{patient['id']}/", expect=404)


def test_a_changed_policy_makes_a_new_version_of_each_live_job_that_uses_it(api, patient):
    for slug, retry in (
        ("a", {"policy": "patient"}),
        ("b", {"policy": "patient"}),
        ("c", {}),
        ("gone", {"policy": "patient"}),
    ):
        api.ask("PUT", f"/jobs/{slug}/", job(name=slug, retry=retry), expect=201)
    api.ask("DELETE", "/jobs/gone/", expect=204)
    api.ask("PATCH", "/retry-policies/patient/", {"max_attempts": 4}, expect=200)
    shown = {slug: api.ask("GET", f"/jobs/{slug}/", expect=200) for slug in "abc"}
    assert {slug: (one["version"], one["retry"]["max_attempts"]) for slug, one in shown.items()} == {
        "a": (2, 4), "b": (2, 4), "c": (1, 3),
    }  # fmt: skip
    first = api.ask("GET", "/jobs/a/versions/1/", expect=200)["definition"]["retry"]
    assert (first["policy"], first["max_attempts"]) == ("patient", 8)
    assert JobVersion.objects.filter(job__slug="gone").count() == 1


def test_a_new_name_makes_no_version_and_a_new_slug_does(api, patient):
    api.ask("PUT", "/jobs/a/", job(retry={"policy": "patient"}), expect=201)
    api.ask("PATCH", "/retry-policies/patient/", {"name": "Very patient"}, expect=200)
    assert api.ask("GET", "/jobs/a/", expect=200)["version"] == 1
    api.ask("PATCH", "/retry-policies/patient/", {"slug": "calm"}, expect=200)
    shown = api.ask("GET", "/jobs/a/", expect=200)
    assert (shown["version"], shown["retry"]["policy"]) == (2, "calm")


def test_a_policy_in_use_can_not_be_deleted_and_names_its_jobs(api, patient):
    for slug in ("b", "a"):
        api.ask("PUT", f"/jobs/{slug}/", job(name=slug, retry={"policy": "patient"}), expect=201)
    problem = api.ask("DELETE", "/retry-policies/patient/", expect=409)
    assert (problem["code"], problem["jobs"]) == ("policy_in_use", ["a", "b"])
    assert "a, b" in problem["detail"]
    for slug in ("a", "b"):
        api.ask("DELETE", f"/jobs/{slug}/", expect=204)
    api.ask("DELETE", "/retry-policies/patient/", expect=204)
    assert not Job.objects.filter(retry_policy__isnull=False).exists()


def test_changing_a_policy_takes_the_same_queries_for_many_jobs(api, patient, django_assert_max_num_queries):
    for number in range(12):
        api.ask("POST", "/jobs/", job(name=f"Job {number}", retry={"policy": "patient"}), expect=201)
    with django_assert_max_num_queries(20):
        api.ask("PATCH", "/retry-policies/patient/", {"jitter": False}, expect=200)
    assert JobVersion.objects.count() == 24


def test_scopes_and_bound_keys(workspace, patient):
    reader = caller(workspace, [Scope.JOBS_READ])
    reader.ask("GET", "/retry-policies/patient/", expect=200)
    reader.ask("PATCH", "/retry-policies/patient/", {"name": "x"}, expect=403)
    bound = caller(workspace, environments=Environment.objects.filter(workspace=workspace))
    bound.ask("GET", "/retry-policies/", expect=200)
    assert bound.ask("DELETE", "/retry-policies/patient/", expect=403)["code"] == "environment_bound"
    assert RetryPolicy.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_job_that_adopts_a_policy_waits_for_a_concurrent_change(workspace, make_job):
    """The job is saved with the concurrent change, and the change sees the job."""
    made = {"workspace": workspace, "slug": None, "actor": SYSTEM, "now": EPOCH}
    policy = save_policy(policy=None, name="Patient", rules=RULES_OF_EPOCH, **made)
    adopting, row = job_config(retry={"policy": "patient"}), make_job()

    def adopt() -> None:
        try:
            save_job(job=row.job, config=adopting, environments=None, **made)
        finally:
            connection.close()

    thread = threading.Thread(target=adopt)
    with transaction.atomic():
        save_policy(policy=policy, name="Patient", rules={**RULES_OF_EPOCH, "max_attempts": 7}, **made)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "it did not wait for the policy"
    thread.join(10)
    job = Job.objects.select_related("current_version").get()
    assert (job.retry_policy_id, job.current_version.config["retry"]["max_attempts"]) == (policy.pk, 7)
