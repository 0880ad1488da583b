"""Jobs through the API: create, change, refuse, pause, delete."""

import datetime
import json
from typing import Any

import pytest

from accounts.models import Environment, Workspace
from api.jobs.serializers import JobSerializer
from jobs.models import Job, JobEnvironment, JobVersion
from tests.support.api_caller import JOB, Caller, caller
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
URL = "http://receiver.test/ok"


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def job(**changes: Any) -> dict[str, Any]:
    return {**JOB, **changes}


def request(**changes: Any) -> dict[str, Any]:
    return job(request={"url": URL, **changes})


class TestCreate:
    def test_fills_in_every_default(self, api: Caller) -> None:
        made = api.ask("POST", "/jobs/", job(schedule="0 2 * * *", timezone="Europe/Berlin"), expect=201)
        assert list(made) == list(JobSerializer().fields)
        assert (made["slug"], made["version"], made["schedule_type"]) == ("nightly-report", 1, "recurring")
        assert (made["schedule_normalized"], made["schedule_description"]) == ("0 2 * * *", "At 02:00")
        assert made["request"] == {
            "url": URL,
            "method": "POST",
            "headers": {},
            "body": None,
            "timeout_seconds": 30,
            "tls_verify": True,
            "ca_cert": None,
            "client_cert": None,
        }
        assert made["retry"]["max_attempts"] == 3
        assert made["retry"]["on_statuses"] == [429, 500, 502, 503, 504]
        assert made["success"] == {"statuses": ["2xx"], "assertions": []}
        assert made["retention"] == {"keep_last": 100, "keep_days": None}
        state = made["environments"]["production"]
        assert state["enabled"] is True
        assert datetime.datetime.fromisoformat(state["next_fire_at"]).astimezone(datetime.UTC).minute == 0
        assert made["created_at"].endswith("Z")
        assert len(made["created_at"]) == len("2026-03-15T02:00:00.000Z")
        assert api.ask("GET", f"/jobs/{made['id']}/") == made == api.ask("GET", "/jobs/nightly-report/")

    def test_numbers_a_duplicate_slug_and_avoids_reserved_words(self, api: Caller) -> None:
        slugs = [api.ask("POST", "/jobs/", job(name=name))["slug"] for name in ("A b!", "a B", "Import")]
        assert slugs == ["a-b", "a-b-2", "import-2"]
        assert api.refused("POST", "/jobs/", job(slug="a-b"), expect=409) == {"slug": "slug_taken"}

    def test_sends_a_json_body_as_compact_text_with_its_type(self, api: Caller) -> None:
        made = api.ask("POST", "/jobs/", request(body={"a": [1, "ü"]}), expect=201)
        assert made["request"]["body"] == '{"a":[1,"ü"]}'
        assert made["request"]["headers"] == {"Content-Type": "application/json"}
        own = api.ask("POST", "/jobs/", request(body=[1], headers={"content-type": "application/x-mine"}), expect=201)
        assert own["request"]["headers"] == {"content-type": "application/x-mine"}
        text = api.ask("POST", "/jobs/", request(body="a=1"), expect=201)
        assert text["request"]["headers"] == {}

    def test_now_is_the_instant_of_the_request(self, api: Caller) -> None:
        made = api.ask("POST", "/jobs/", job(schedule="now"), expect=201)
        assert made["schedule"] == made["created_at"] == made["environments"]["production"]["next_fire_at"]
        assert made["schedule_type"] == "one_off"

    def test_takes_a_body_of_exactly_one_mebibyte(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", request(body="x" * 1024 * 1024), expect=201)

    def test_takes_every_policy(self, api: Caller) -> None:
        for field, values in {
            "overlap": ("allow", "skip", "queue", "cancel_running"),
            "misfire": ("fire_once", "fire_all", "skip"),
            "jitter_seconds": (0, 3600),
        }.items():
            for value in values:
                made = api.ask("PUT", "/jobs/policies/", job(**{field: value}))
                assert api.ask("GET", f"/jobs/{made['slug']}/", expect=200)[field] == value

    def test_may_be_enabled_nowhere(self, api: Caller) -> None:
        assert api.ask("POST", "/jobs/", job(environments={}), expect=201)["environments"] == {}


LATER = {
    "command": "ls",
}
#: A wrong body, the field that must be named, and its code.
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (job(nmae="x"), "nmae", "unknown_field"),
    (request(metod="GET"), "request.metod", "unknown_field"),
    (job(environments={"production": {"enable": True}}), "environments.production.enable", "unknown_field"),
    ({"request": {"url": URL}}, "name", "required"),
    ({"name": "x"}, "request", "required"),
    (job(name=""), "name", "blank"),
    (job(name="x" * 201), "name", "max_length"),
    (job(name=5), "name", "invalid"),
    (job(concurrency=0), "concurrency", "min_value"),
    (job(concurrency=10_001), "concurrency", "max_value"),
    (job(slug="No Slug"), "slug", "invalid"),
    (job(slug="export"), "slug", "invalid"),
    (job(slug="01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a"), "slug", "invalid"),
    (job(tags=[str(number) for number in range(21)]), "tags", "max_length"),
    (job(schedule="99 * * * *"), "schedule", "invalid"),
    (job(schedule=17), "schedule", "invalid"),
    (job(schedule={"every_seconds": 0}), "schedule", "invalid"),
    (job(schedule={"every": 60}), "schedule", "invalid"),
    (job(schedule="2020-01-01T00:00:00Z"), "schedule", "invalid"),
    (job(schedule="0001-01-01T00:00:00+14:00"), "schedule", "invalid"),
    (job(schedule="* * * * *", timezone="Mars/Olympus"), "timezone", "invalid"),
    (job(starts_at="2030-01-01T00:00:00"), "starts_at", "no_offset"),
    (job(starts_at="tomorrow"), "starts_at", "invalid"),
    (job(starts_at="0001-01-01T00:00:00+14:00"), "starts_at", "invalid"),
    (job(starts_at="2030-01-02T00:00:00Z", ends_at="2030-01-01T00:00:00Z"), "ends_at", "invalid"),
    (job(schedule="* * * * *", ends_at="2020-01-01T00:00:00Z"), "ends_at", "invalid"),
    (job(misfire_grace_seconds="60"), "misfire_grace_seconds", "invalid"),
    (job(request=None), "request", "null"),
    (job(request="http://receiver.test"), "request", "invalid"),
    (job(request={"url": "ftp://receiver.test/"}), "request.url", "invalid_url"),
    (job(request={"url": "http://user:pw@receiver.test/"}), "request.url", "invalid_url"),
    (job(request={"url": "http://127.0.0.1/"}), "request.url", "ssrf_blocked"),
    (job(request={"url": "http://[::1]/"}), "request.url", "ssrf_blocked"),
    (job(request={"url": "http://receiver.test:6379/"}), "request.url", "ssrf_blocked"),
    (job(request={"url": URL + "/" + "x" * 2048}), "request.url", "invalid_url"),
    (job(request={"url": "http://receiver.test/{{now}}"}), "request.url", "unknown_variable"),
    (job(request={"url": "http://{{job}}.test/"}), "request.url", "template_in_host"),
    (request(method="get"), "request.method", "invalid_choice"),
    (request(body="x" * (1024 * 1024 + 1)), "request.body", "too_large"),
    (request(method="HEAD", body="x"), "request.body", "conflicting"),
    (request(method="HEAD", body={"a": 1}), "request.body", "conflicting"),
    (request(method="HEAD", body=0), "request.body", "conflicting"),
    (request(method="HEAD", body="{{unix}}"), "request.body", "conflicting"),
    *(
        (
            job(
                request={"url": URL, "method": "HEAD"},
                success={"assertions": [{"type": "status_equals", "value": 200}, assertion]},
            ),
            "success.assertions.1.type",
            "conflicting",
        )
        for assertion in (
            {"type": "body_contains", "value": "x"},
            {"type": "body_not_contains", "value": "x"},
            {"type": "body_matches", "value": "x"},
            {"type": "json_path_equals", "path": "$.a", "value": 1},
            {"type": "json_path_exists", "path": "$.a"},
        )
    ),
    (request(body="{{ uid }}"), "request.body", "unknown_variable"),
    (request(body={"at": "{{uid}}"}), "request.body", "unknown_variable"),
    (request(body='{"a": {{unix}}1}', headers={"content-type": "text/json"}), "request.body", "invalid_template"),
    (request(body="{{secrets.NONE}}"), "request.body", "unknown_secret"),
    (request(headers={"A": "{{secrets.NONE}}"}), "request.headers.A", "unknown_secret"),
    (request(headers={"Host": "x"}), "request.headers.Host", "invalid_header"),
    (request(headers={"X-Hourhand-Job": "x"}), "request.headers.X-Hourhand-Job", "invalid_header"),
    (request(headers={"Accept-Encoding": "br"}), "request.headers.Accept-Encoding", "invalid_header"),
    (request(headers={"a b": "x"}), "request.headers.a b", "invalid_header"),
    (request(headers={"A": "x\r\nB: y"}), "request.headers.A", "invalid_header"),
    (request(headers={"A": "1", "a": "2"}), "request.headers.a", "invalid_header"),
    (request(headers={"A": 1}), "request.headers.A", "invalid"),
    (request(headers={"A": "{{uid}}"}), "request.headers.A", "unknown_variable"),
    (request(headers={f"h{number}": "" for number in range(65)}), "request.headers", "too_many"),
    (request(headers={"A": "x" * 16 * 1024}), "request.headers", "too_large"),
    (request(timeout_seconds=0), "request.timeout_seconds", "min_value"),
    (request(timeout_seconds=301), "request.timeout_seconds", "max_value"),
    (request(timeout_seconds="30"), "request.timeout_seconds", "invalid"),
    (request(tls_verify=1), "request.tls_verify", "invalid"),
    (request(ca_cert="no certificate"), "request.ca_cert", "invalid"),
    (request(ca_cert="no certificat\u00e9"), "request.ca_cert", "invalid"),
    (job(success={"statuses": []}), "success.statuses", "min_length"),
    (job(success={"statuses": ["2xx", "600"]}), "success.statuses.1", "invalid"),
    (job(success={"assertions": [{"type": "body_contains"}]}), "success.assertions.0.value", "required"),
    (job(retry={"policy": "gentle"}), "retry.policy", "policy_unknown"),
    (job(retry={"max_attempts": 21}), "retry.max_attempts", "max_value"),
    (job(retry={"max_attempts": True}), "retry.max_attempts", "invalid"),
    (job(retry={"backoff": "list"}), "retry.delays_ms", "required"),
    (job(retry={"delays_ms": [5]}), "retry.delays_ms", "conflicting"),
    (job(retry={"on_statuses": [99]}), "retry.on_statuses.0", "min_value"),
    (job(retry=None), "retry", "null"),
    (job(retention={"keep_last": 0}), "retention.keep_last", "min_value"),
    (job(webhook={"enabled": "on"}), "webhook.enabled", "invalid"),
    (job(environments={"nowhere": {}}), "environments.nowhere", "environment_unknown"),
    (job(environments={"production": {"overrides": {"a": 1}}}), "environments.production.overrides.a", "unknown_field"),
    *((job(**{field: value}), field, "unsupported") for field, value in LATER.items()),
    (job(jitter_seconds=3601), "jitter_seconds", "max_value"),
    (job(jitter_seconds=-1), "jitter_seconds", "min_value"),
    (job(overlap="wait"), "overlap", "invalid_choice"),
    *((job(kind=kind), "kind", "invalid_choice") for kind in ("command", "heartbeat", "HTTP", "")),
    (job(misfire="never"), "misfire", "invalid_choice"),
    (job(dst_gap="jump"), "dst_gap", "invalid_choice"),
    (job(dst_fold="second"), "dst_fold", "invalid_choice"),
    (
        job(schedule="30 2 * 3 0L", timezone="Europe/Berlin", dst_gap="skip", starts_at="2026-12-01T00:00:00Z"),
        "schedule",
        "invalid",
    ),
]


def test_a_client_certificate_is_two_secrets(api: Caller, workspace: Workspace) -> None:
    shown = {"cert": "{{secrets.CERT}}", "key": "{{secrets.KEY}}"}
    wanted = {**request(client_cert=shown), "slug": "mutual"}
    unknown = {"request.client_cert.cert": "unknown_secret", "request.client_cert.key": "unknown_secret"}
    assert api.refused("POST", "/jobs/", wanted) == unknown
    for name in ("CERT", "KEY"):
        api.ask("POST", "/secrets/", {"name": name, "value": "some text"}, expect=201)
    assert api.ask("POST", "/jobs/", wanted, expect=201)["request"]["client_cert"] == shown
    assert api.ask("GET", "/jobs/mutual/")["request"]["client_cert"] == shown
    secret = api.ask("GET", "/secrets/")["results"][0]["id"]
    api.ask("DELETE", f"/secrets/{secret}/", expect=409)
    api.ask("PATCH", "/jobs/mutual/", {"request": {"client_cert": None}}, expect=200)
    api.ask("DELETE", f"/secrets/{secret}/", expect=204)


@pytest.mark.parametrize(
    ("shown", "field", "code"),
    [
        ("x", "", "invalid"),
        ({"cert": "{{secrets.C}}"}, ".key", "required"),
        ({"cert": "{{secrets.C}}", "key": "-----BEGIN PRIVATE KEY-----"}, ".key", "not_a_secret"),
        ({"cert": "{{secrets.C}}", "key": "{{input.key}}"}, ".key", "not_a_secret"),
        ({"cert": "no certificate", "key": "{{secrets.K}}"}, ".cert", "invalid"),
        ({"cert": "{{secrets.C}}x", "key": "{{secrets.K}}"}, ".cert", "invalid"),
        ({"cert": "{{secrets.C}}", "key": "{{secrets.K}}", "password": "x"}, ".password", "unknown_field"),
    ],
)
def test_a_wrong_client_certificate_is_named(api: Caller, shown: Any, field: str, code: str) -> None:
    refused = api.refused("POST", "/jobs/", request(client_cert=shown))
    assert refused == {f"request.client_cert{field}": code}


def test_a_head_request_without_a_body_is_taken(api: Caller) -> None:
    asserted = {"assertions": [{"type": "header_equals", "name": "A", "value": "b"}]}
    for number, body in enumerate((None, "")):
        wanted = {**request(method="HEAD", body=body), "slug": f"head-{number}", "success": asserted}
        assert api.ask("POST", "/jobs/", wanted, expect=201)["request"]["method"] == "HEAD"


def test_no_change_makes_a_head_request_with_a_body(api: Caller) -> None:
    api.ask("POST", "/jobs/", {**request(method="POST", body="x"), "slug": "head"}, expect=201)
    assert api.refused("PATCH", "/jobs/head/", {"request": {"method": "HEAD"}}) == {"request.body": "conflicting"}
    api.ask("PATCH", "/jobs/head/", {"request": {"method": "HEAD", "body": None}}, expect=200)
    assert api.refused("PATCH", "/jobs/head/", {"request": {"body": "y"}}) == {"request.body": "conflicting"}
    asserted = {"success": {"assertions": [{"type": "body_contains", "value": "x"}]}}
    assert api.refused("PATCH", "/jobs/head/", asserted) == {"success.assertions.0.type": "conflicting"}


@pytest.mark.parametrize("digits", ["123456789012345.123456", "1.10", "1E5", "98765432109876543210", "-0", "1e-400"])
def test_a_json_body_keeps_the_digits_of_its_numbers(api: Caller, digits: str) -> None:
    whole = json.dumps({**request(body={"n": "DIGITS", "l": [1.5, "DIGITS"]}), "slug": "exact"})
    written = whole.replace('"DIGITS"', digits).encode()
    made = api.generic("POST", "/api/v1/jobs/", written, content_type="application/json")
    assert made.status_code == 201, made.content
    assert made.json()["request"]["body"] == f'{{"n":{digits},"l":[1.5,{digits}]}}'


@pytest.mark.parametrize(("body", "field", "code"), REFUSED, ids=[f"{field} {code}" for _, field, code in REFUSED])
def test_a_wrong_field_is_named_and_nothing_is_saved(api: Caller, body: dict[str, Any], field: str, code: str) -> None:
    for method, path in (("POST", "/jobs/"), ("PUT", "/jobs/new-one/")):
        named = api.refused(method, path, body)
        assert named.get(field) == code, named
    assert not Job.objects.exists()
    assert not JobVersion.objects.exists()


def test_every_wrong_field_is_reported_at_once(api: Caller) -> None:
    wrong = api.refused(
        "POST", "/jobs/", {"nmae": "x", "request": {"url": "x", "metod": "GET"}, "retry": {"jitter": 1}}
    )
    assert set(wrong) == {"nmae", "name", "request.url", "request.metod", "retry.jitter"}


class TestUpdate:
    def test_the_same_put_twice_makes_no_new_version(self, api: Caller) -> None:
        body = job(schedule="0 2 * * *", request={"url": URL, "body": {"a": 1}}, environments={"production": {}})
        first = api.ask("PUT", "/jobs/report/", body, expect=201)
        second = api.ask("PUT", "/jobs/report/", body, expect=200)
        assert first == second
        assert JobVersion.objects.count() == 1

    def test_the_answer_of_get_can_be_put_back(self, api: Caller) -> None:
        made = api.ask("PUT", "/jobs/report/", job(schedule="2090-01-01T00:00:00", timezone="Europe/Berlin"))
        assert api.ask("PUT", "/jobs/report/", made, expect=200) == made

    def test_put_resets_what_it_leaves_out(self, api: Caller) -> None:
        api.ask("PUT", "/jobs/report/", job(description="x", retry={"max_attempts": 7}, schedule="@daily"))
        again = api.ask("PUT", "/jobs/report/", JOB, expect=200)
        assert (again["description"], again["retry"]["max_attempts"], again["schedule"]) == ("", 3, None)
        assert again["version"] == 2
        assert again["environments"]["production"]["next_fire_at"] is None

    def test_put_disables_unnamed_environments_and_without_any_keeps_all(
        self, api: Caller, workspace: Workspace
    ) -> None:
        Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
        api.ask("PUT", "/jobs/report/", job(environments={"production": {}, "staging": {}}), expect=201)
        kept = api.ask("PUT", "/jobs/report/", JOB, expect=200)["environments"]
        assert [state["enabled"] for state in kept.values()] == [True, True]
        moved = api.ask("PUT", "/jobs/report/", job(environments={"staging": {}}), expect=200)["environments"]
        assert {slug: state["enabled"] for slug, state in moved.items()} == {"production": False, "staging": True}

    def test_patch_merges_objects_and_replaces_headers_and_lists(self, api: Caller) -> None:
        body = request(headers={"A": "1"}, body="x", timeout_seconds=5)
        api.ask("PUT", "/jobs/report/", body | {"tags": ["a"], "retry": {"max_attempts": 9}})
        changes = {"request": {"headers": {"B": "2"}}, "tags": ["b"], "retry": {"on_statuses": [500]}}
        changed = api.ask("PATCH", "/jobs/report/", changes, expect=200)
        assert changed["request"]["headers"] == {"B": "2"}
        assert (changed["request"]["body"], changed["request"]["timeout_seconds"]) == ("x", 5)
        assert changed["tags"] == ["b"]
        assert (changed["retry"]["max_attempts"], changed["retry"]["on_statuses"]) == (9, [500])
        assert changed["version"] == 2
        assert api.refused("PATCH", "/jobs/report/", {"retry": {"max_attemps": 3}}) == {
            "retry.max_attemps": "unknown_field"
        }

    def test_patch_names_a_wrong_field_and_changes_nothing(self, api: Caller) -> None:
        made = api.ask("PUT", "/jobs/report/", JOB)
        assert api.refused("PATCH", "/jobs/report/", {"request": {"url": "x"}}) == {"request.url": "invalid_url"}
        assert api.refused("PATCH", "/jobs/report/", {"schedule": "2020-01-01"}) == {"schedule": "invalid"}
        assert api.ask("GET", "/jobs/report/") == made

    def test_patch_renames(self, api: Caller) -> None:
        api.ask("PUT", "/jobs/report/", JOB)
        api.ask("PUT", "/jobs/other/", JOB)
        assert api.ask("PATCH", "/jobs/report/", {"slug": "renamed"}, expect=200)["slug"] == "renamed"
        api.ask("GET", "/jobs/report/", expect=404)
        assert api.refused("PATCH", "/jobs/renamed/", {"slug": "other"}, expect=409) == {"slug": "slug_taken"}
        assert api.refused("PUT", "/jobs/renamed/", job(slug="again")) == {"slug": "invalid"}
        assert api.refused("PUT", "/jobs/No_Slug/", JOB) == {"slug": "invalid"}

    def test_a_fired_one_off_may_be_saved_unchanged(self, api: Caller, make_job: MakeJob) -> None:
        make_job(slug="once", schedule="2026-03-01T12:00:00Z")
        api.ask("PATCH", "/jobs/once/", {"description": "done"}, expect=200)
        assert api.refused("PATCH", "/jobs/once/", {"schedule": "2026-03-02T12:00:00Z"}) == {"schedule": "invalid"}

    def test_versions_keep_each_definition(self, api: Caller) -> None:
        api.ask("PUT", "/jobs/report/", JOB)
        api.ask("PATCH", "/jobs/report/", {"description": "new"})
        versions = api.ask("GET", "/jobs/report/versions/", expect=200)["results"]
        assert [(version["number"], version["definition"]["description"]) for version in versions] == [
            (2, "new"),
            (1, ""),
        ]
        assert api.ask("GET", "/jobs/report/versions/1/", expect=200) == versions[1]
        api.ask("GET", "/jobs/report/versions/3/", expect=404)


class TestPause:
    def test_pause_and_resume(self, api: Caller) -> None:
        api.ask("PUT", "/jobs/report/", job(schedule="* * * * *"))
        until = "2090-01-01T00:00:00.000Z"
        paused = api.ask("POST", "/jobs/report/pause/", {"until": until, "note": "maintenance"}, expect=200)
        state = paused["environments"]["production"]
        assert (state["paused"], state["paused_until"], state["pause_note"]) == (True, until, "maintenance")
        assert state["next_fire_at"] > until
        assert api.ask("PUT", "/jobs/report/", paused, expect=200) == paused, "as it is shown, it may be put back"
        state = api.ask("POST", "/jobs/report/resume/", {"environment": "production"}, expect=200)["environments"]
        assert (state["production"]["paused"], state["production"]["paused_until"]) == (False, None)
        assert state["production"]["next_fire_at"] < until

    def test_refuses_an_invalid_pause(self, api: Caller) -> None:
        api.ask("PUT", "/jobs/report/", JOB)
        assert api.refused("POST", "/jobs/report/pause/", {"until": "2020-01-01T00:00:00Z"}) == {"until": "past"}
        assert api.refused("POST", "/jobs/report/pause/", {"untill": None}) == {"untill": "unknown_field"}
        api.refused("POST", "/jobs/report/pause/", {"environment": "nowhere"}, expect=404)
        named = api.refused("PATCH", "/jobs/report/", {"environments": {"production": {"paused": True}}})
        assert named == {"environments.production.paused": "read_only"}
        assert JobEnvironment.objects.get().paused_at is None

    def test_resuming_an_unpaused_job_leaves_a_due_firing_alone(self, api: Caller, make_job: MakeJob) -> None:
        state = make_job(slug="due", schedule="* * * * *")  # made in the past, so due since
        api.ask("POST", "/jobs/due/resume/", expect=200)
        assert JobEnvironment.objects.get(pk=state.pk).next_fire_at == state.next_fire_at


def test_a_deleted_job_is_gone_and_its_slug_is_free(api: Caller) -> None:
    made = api.ask("PUT", "/jobs/report/", job(schedule="* * * * *"))
    api.ask("DELETE", "/jobs/report/", expect=204)
    for path in ("/jobs/report/", f"/jobs/{made['id']}/"):
        for method in ("DELETE", "PATCH"):
            api.ask(method, path, {}, expect=404)
    api.ask("GET", "/jobs/report/", expect=404)
    assert JobEnvironment.objects.get().next_fire_at is None
    assert api.ask("PUT", "/jobs/report/", JOB, expect=201)["id"] != made["id"]
