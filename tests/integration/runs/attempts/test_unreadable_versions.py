"""A stored version that this release can't read: only that job waits, visibly, and continues by itself."""

import datetime
import json
import random
from typing import Any

import psycopg2.extras
import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from accounts.actors import SYSTEM
from accounts.audit import AuditEntry
from accounts.models import Workspace
from jobs.models import JobEnvironment, UnreadableVersion
from runs.attempts import unreadable
from runs.attempts.reaping import reap_expired
from runs.clock.due_state import read_due_state
from runs.clock.fire import fire_due
from runs.executions import services
from runs.models import Execution, Run
from runs.retention.rules import rules_after
from tests.support.api_caller import caller
from tests.support.jobs import EPOCH, MakeJob, job_config
from workers.connections import Link
from workers.worker.claim import Claimer

SECOND = datetime.timedelta(seconds=1)
#: Definitions that no present release writes: by SQL, by a future release, on a host without the zone.
FOREIGN: dict[str, Any] = {
    "a policy to come": {"overlap": "newpolicy"},
    "a misfire rule to come": {"misfire": "fire_some"},
    "a zone of a newer tzdata": {"timezone": "Mars/Olympus_Mons"},
    "a zone that is no text": {"timezone": 5},
    "words to come": {"schedule": "every blue moon"},
    "a kind of schedule to come": {"schedule": {"sunrise_at": [52.5, 13.4]}},
    "a schedule that is a list": {"schedule": ["0 9 * * *"]},
    "a kind of job to come": {"kind": "grpc"},
    "a date that is none": {"starts_at": "soon"},
    "a jitter that is a text": {"jitter_seconds": "a bit"},
    "a number past all columns": {"concurrency": 10**12},
    "a negative grace": {"misfire_grace_seconds": -1},
    "a callback in its short form": {"callback_url": "https://example.com/ended"},
    "an ending to come": {"callback": {"url": "https://example.com/", "on": ["paused"], "include_body": False}},
    "a callback that is a text": {"callback": "https://example.com/"},
    "a field to come": {"quorum": 3},
    "a request that is a text": {"request": "GET /"},
    "a request without a url": {"request": {"method": "GET"}},
    "a field of the request to come": {"request": {"proxy": "http://proxy.example"}},
    "headers that are a list": {"request": {"headers": [["a", "b"]]}},
    "a backoff to come": {"retry": {"backoff": "fibonacci"}},
    "attempts that are a text": {"retry": {"max_attempts": "many"}},
    "an assertion to come": {"success": {"assertions": [{"type": "smells_good", "value": True}]}},
    "an assertion that is a number": {"success": {"assertions": [7]}},
    "no retention": {"retention": None},
    "a retention of words": {"retention": {"keep_last": "all", "keep_days": "ever"}},
    "tags that are a number": {"tags": 5},
    "overrides that are a list": {"overrides": [1, 2]},
}
SHAPELESS: dict[str, Any] = {
    "nothing in it": {}, "a list": [1, 2], "a text": "0 9 * * *", "a number": 7, "null": None, "true": True,
    "deep": {"request": {"request": {"request": {}}}},
}  # fmt: skip


def store(job: JobEnvironment, config: Any) -> None:
    """Store a config as a newer release, or SQL, would."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_jobversion SET config = %s::jsonb WHERE id = %s",
            [json.dumps(config), str(job.job.current_version_id)],
        )


def foreign(change: dict[str, Any], **own: Any) -> Any:
    """A definition with a value unknown to this release."""
    config = job_config(schedule={"every_seconds": 60}, **own)
    for field, value in change.items():
        merge = isinstance(value, dict) and field in ("request", "retry", "success")
        merge = merge and value != {"method": "GET"}
        config[field] = {**config[field], **value} if merge else value
    return config


ALL = {
    **{name: (lambda change=change: foreign(change)) for name, change in FOREIGN.items()},
    **{name: (lambda config=config: config) for name, config in SHAPELESS.items()},
}


@pytest.fixture(autouse=True)
def _anew() -> None:
    """Forget the versions that other tests marked unreadable in this process."""
    look_again()


def look_again() -> None:
    for aside in (unreadable.firing, unreadable.settling, unreadable.reaping):
        aside.take(list(aside._until))


@pytest.fixture
def broken(make_job: MakeJob) -> dict[str, JobEnvironment]:
    """A job for each of them, by its slug, due every minute; none is stored yet."""
    slugs = {name: name.replace(" ", "-") for name in ALL}
    return {name: make_job(slug=slug, schedule={"every_seconds": 60}) for name, slug in slugs.items()}


@pytest.fixture
def some(make_job: MakeJob) -> dict[str, JobEnvironment]:
    """A few of each kind, for tests with many queries per job."""
    names = [name for name in ALL if name.split()[-1] in ("come", "tzdata", "none", "text", "list", "words", "it")]
    return {name: make_job(slug=name.replace(" ", "-"), schedule={"every_seconds": 60}) for name in names[::2]}


def break_all(broken: dict[str, JobEnvironment]) -> None:
    for name, job in broken.items():
        store(job, ALL[name]())


def test_only_unreadable_jobs_wait_and_they_continue_later(
    broken: dict[str, JobEnvironment], make_job: MakeJob
) -> None:
    well = make_job(slug="well", schedule={"every_seconds": 60})
    break_all(broken)
    for minute in (1, 2):
        fire_due(EPOCH + minute * 60 * SECOND)
        look_again()
    assert Execution.objects.filter(job=well.job, status="pending").count() == 2
    # The clock reads it, a worker can't: it has fired, and is held from the next check on.
    assert {one.attempt.job_id for one in claim_all()} == {str(well.job_id)}
    assert unreadable.review() == len(broken)
    assert f"\nhourhand_unreadable_jobs {len(broken)}.0\n" in Client().get("/metrics").content.decode()
    before = Execution.objects.count()
    fire_due(EPOCH + 180 * SECOND)
    assert Execution.objects.count() == before + 1
    assert not Run.objects.exists()
    marks = {mark.job_environment_id: mark for mark in UnreadableVersion.objects.all()}
    for name, job in broken.items():
        assert marks[job.pk].job_version_id == job.job.current_version_id, name
        assert audited(job) == ["job.unreadable"], name
        job.refresh_from_db()
        assert job.enabled, name
        assert job.next_fire_at is not None, name

    for job in broken.values():
        store(job, job_config(schedule={"every_seconds": 60}))
    assert unreadable.review() == 0
    fire_due(EPOCH + 180 * SECOND)
    due = Execution.objects.filter(scheduled_for=EPOCH + 180 * SECOND, status="pending")
    assert set(due.values_list("job_id", flat=True)) >= {job.job_id for job in broken.values()}
    assert {one.attempt.job_id for one in claim_all()} >= {str(job.job_id) for job in broken.values()}
    assert all(audited(job) == ["job.readable", "job.unreadable"] for job in broken.values())
    assert not UnreadableVersion.objects.exists()
    assert "\nhourhand_unreadable_jobs 0.0\n" in Client().get("/metrics").content.decode()


def audited(job: JobEnvironment) -> list[str]:
    entries = AuditEntry.objects.filter(target_id=str(job.job_id), action__endswith="readable")
    return sorted(entries.values_list("action", flat=True))


def claim_all() -> list[Any]:
    """Return a worker's claims of all due executions, in this test's transaction."""

    class Here(Link):
        def transaction(self) -> Any:
            cursor = connection.cursor().cursor
            psycopg2.extras.register_default_jsonb(cursor)  # as a worker's own connections read it
            return cursor

    Execution.objects.filter(status="pending").update(next_attempt_at=EPOCH)
    return Claimer(owner="here", lease_seconds=60, user_agent="test").claim_any(Here("test"), limit=100)


def test_a_batch_of_unreadable_jobs_does_not_keep_the_clock_busy(make_job: MakeJob) -> None:
    jobs = [make_job(slug=f"job-{number}", schedule={"every_seconds": 60}) for number in range(5)]
    for job in jobs[:4]:
        store(job, foreign({"overlap": "newpolicy"}))
    now = EPOCH + 60 * SECOND
    for _ in range(3):
        fire_due(now, limit=2)
    assert Execution.objects.values_list("job_id", flat=True).get() == jobs[4].job_id
    JobEnvironment.objects.filter(pk=jobs[4].pk).update(next_fire_at=None)
    seen = read_due_state()
    assert not seen.firing_due
    assert seen.next_fire_at is None


def test_an_unreadable_override_blocks_only_its_environment(make_job: MakeJob, workspace: Workspace) -> None:
    staging = workspace.environments.create(slug="staging", name="Staging")
    job = make_job(schedule={"every_seconds": 60})
    other = JobEnvironment.objects.create(
        workspace=workspace, job=job.job, environment=staging, next_fire_at=EPOCH + 60 * SECOND
    )
    store(
        job, {**job_config(schedule={"every_seconds": 60}), "overrides": {str(staging.pk): {"timezone": "Moon/Base"}}}
    )
    fire_due(EPOCH + 60 * SECOND)
    assert Execution.objects.get().job_environment_id == job.pk
    assert UnreadableVersion.objects.get().job_environment_id == other.pk


def test_api_lists_and_actions_still_answer(
    some: dict[str, JobEnvironment], make_job: MakeJob, workspace: Workspace
) -> None:
    make_job(slug="well")
    executions = {name: services.run_now(job_environment=job, now=EPOCH, actor=SYSTEM).pk for name, job in some.items()}
    break_all(some)
    api = caller(workspace)
    listed = {one["slug"]: one for one in api.ask("GET", "/jobs/?limit=100", expect=200)["results"]}
    assert listed.pop("well")["unreadable"] is None
    assert len(listed) == len(some)
    assert all(one["unreadable"] for one in listed.values())
    for path in ("/jobs/export/", "/jobs/export/?format=yaml", "/executions/", "/runs/", "/stats/", "/audit-log/"):
        assert api.get(f"/api/v1{path}").status_code == 200, path
    for name, job in some.items():
        own, execution = f"/jobs/{job.job.slug}/", executions[name]
        assert api.ask("GET", own, expect=200)["unreadable"] == listed[job.job.slug]["unreadable"]
        api.ask("GET", f"{own}versions/", expect=200)
        api.ask("GET", f"/executions/{execution}/", expect=200)
        api.ask("GET", f"{own}ledger/?from=2026-03-01T12:00:00Z&to=2026-03-01T13:00:00Z", expect=200)
        told = api.ask("GET", f"{own}ledger/at/?at=2026-03-01T12:01:30Z", expect=200)
        assert told["verdict"] in ("unreadable", "not_planned"), name
        for path in (f"{own}run/", f"/executions/{execution}/replay/", f"{own}test/"):
            assert api.ask("POST", path, {}, expect=409)["code"] == "version_unreadable", (name, path)
        answer = api.generic("PATCH", f"/api/v1{own}", b'{"name": "x"}', content_type="application/json")
        assert answer.status_code in (400, 409), (name, answer.content)
        api.ask("POST", f"/executions/{execution}/cancel/", {}, expect=200)
        api.ask("POST", f"{own}pause/", {"note": "until the upgrade is over"}, expect=200)
        # Its schedule can be resumed if its timing is readable.
        answer = api.generic("POST", f"/api/v1{own}resume/", b"{}", content_type="application/json")
        assert answer.status_code == 200 or answer.json()["code"] == "version_unreadable", name
    assert rules_after(None)


def test_saving_or_deleting_the_job_resolves_it(some: dict[str, JobEnvironment], workspace: Workspace) -> None:
    break_all(some)
    api = caller(workspace)
    for job in some.values():
        whole = {"name": "Mended", "schedule": "@hourly", "request": {"url": "http://receiver.test/ok"}}
        mended = api.ask("PUT", f"/jobs/{job.job.slug}/", {**whole, "environments": {"production": {}}}, expect=200)
        assert mended["unreadable"] is None
        assert mended["environments"]["production"]["next_fire_at"]
    break_all({name: JobEnvironment.objects.select_related("job").get(pk=job.pk) for name, job in some.items()})
    for job in some.values():
        api.ask("DELETE", f"/jobs/{job.job.slug}/", expect=204)


def test_the_dashboard_shows_them(some: dict[str, JobEnvironment]) -> None:
    executions = [services.run_now(job_environment=job, now=EPOCH, actor=SYSTEM).pk for job in some.values()]
    break_all(some)
    fire_due(EPOCH + 60 * SECOND)
    claim_all()
    browser = Client(raise_request_exception=True)
    browser.force_login(get_user_model().objects.create_superuser("boss"))
    paths = ["/admin/", "/admin/jobs/job/", "/admin/runs/execution/"]
    for job, execution in zip(some.values(), executions, strict=True):
        own = f"/admin/jobs/job/{job.job_id}/"
        paths += [
            own,
            f"{own}change/",
            f"{own}versions/",
            f"{own}delete/",
            f"/admin/runs/execution/{execution}/change/",
        ]
    pages = {}
    for path in paths:
        answer = browser.get(path, follow=True)
        assert answer.status_code == 200, path
        pages[path] = answer.content.decode()
    assert "unreadable" in pages["/admin/jobs/job/"]
    for job in some.values():
        assert "can't be read by this release" in pages[f"/admin/jobs/job/{job.job_id}/"]


def test_unreadable_claims_are_given_back_and_the_batch_continues(
    broken: dict[str, JobEnvironment], make_job: MakeJob
) -> None:
    ids = {name: services.run_now(job_environment=job, now=EPOCH, actor=SYSTEM).pk for name, job in broken.items()}
    well = services.run_now(job_environment=make_job(slug="well"), now=EPOCH, actor=SYSTEM)
    break_all(broken)
    assert [one.attempt.execution_id for one in claim_all()] == [str(well.pk)]
    for name, key in ids.items():
        left = Execution.objects.get(pk=key)
        assert (left.status, left.attempts, left.lease_owner, left.started_at) == ("pending", 0, None, None), name
        assert "can't be read" in left.error
        assert left.next_attempt_at > datetime.datetime.now(datetime.UTC)


def test_the_reaper_skips_unreadable_jobs_and_reaps_others(make_job: MakeJob) -> None:
    broken, well = make_job(slug="broken"), make_job(slug="well")
    for job in (broken, well):
        services.run_now(job_environment=job, now=EPOCH, actor=SYSTEM)
    assert len(claim_all()) == 2
    store(broken, foreign({"retry": {"backoff": "fibonacci"}}))
    Execution.objects.update(lease_expires_at=EPOCH)
    assert reap_expired(user_agent="test", rng=random.Random(1)) == 1
    assert Execution.objects.get(job=broken.job).status == "running"
    assert reap_expired(user_agent="test", rng=random.Random(1)) == 0
    store(broken, job_config())
    look_again()
    assert reap_expired(user_agent="test", rng=random.Random(1)) == 1


def test_occurrences_left_by_a_schedule_change_wait_too(make_job: MakeJob, workspace: Workspace) -> None:
    """The period closed by an edit is settled once its own version can be read."""
    job = make_job(slug="broken", schedule={"every_seconds": 60})
    store(job, foreign({"timezone": "Mars/Olympus_Mons"}))
    caller(workspace).ask(
        "PUT",
        "/jobs/broken/",
        {"name": "x", "slug": "broken", "schedule": "@hourly", "request": {"url": "http://receiver.test/ok"},
         "environments": {"production": {}}},
        expect=200,
    )  # fmt: skip
    from runs.clock.reconcile import settle_due

    now = datetime.datetime.now(datetime.UTC)
    assert settle_due(now).due == 1
    assert settle_due(now).due == 0
    assert not read_due_state().next_settling_at
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_jobversion SET config = %s WHERE number = 1",
            [json.dumps(job_config(schedule={"every_seconds": 60}))],
        )
    look_again()
    assert settle_due(now).due == 1
    assert Execution.objects.filter(job=job.job).exists()
