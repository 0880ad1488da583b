"""The dashboard's form of a job: every field is saved and shown again, with the API's errors beside the fields."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Workspace
from jobs.definition.assertions import ASSERTION_TYPES, Shape
from jobs.models import Job, JobVersion
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import caller
from tests.support.certificates import AUTHORITY
from tests.support.job_forms import CALL, FORM, change_url, config_of, form_of, save
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db

ASSERTIONS = [
    {"type": "status_equals", "value": 200},
    {"type": "header_equals", "name": "X-State", "value": " as it is "},
    {"type": "header_contains", "name": "Content-Type", "value": "json"},
    {"type": "body_contains", "value": "\nok\r\nnext"},
    {"type": "body_not_contains", "value": "error"},
    {"type": "body_matches", "value": "(?i)^done$"},
    {"type": "json_path_equals", "path": "$.status", "value": {"a": [1, "é", None]}},
    {"type": "json_path_exists", "path": "$.error", "value": False},
    {"type": "response_time_under_ms", "value": 2000},
]


@pytest.fixture
def member(workspace: Workspace) -> Client:
    return signed_in(person("mara", workspace=workspace, role="owner"))


def at(config: dict[str, Any], path: str) -> Any:
    found: Any = config
    for part in path.split("."):
        found = found[part]
    return found


@pytest.mark.parametrize(
    ("field", "typed", "saved"),
    [
        ("description", "One\r\ntwo", ("description", "One\ntwo")),
        ("tags", "b, a", ("tags", ["b", "a"])),
        ("starts_at", "2026-07-01T00:00", ("starts_at", "2026-06-30T22:00:00.000Z")),
        ("ends_at", "2036-12-24T18:30:15", ("ends_at", "2036-12-24T17:30:15.000Z")),
        ("misfire_grace_seconds", "60", ("misfire_grace_seconds", 60)),
        ("concurrency", "3", ("concurrency", 3)),
        ("tls_verify", None, ("request.tls_verify", False)),
        ("timeout_seconds", "2.5", ("request.timeout_seconds", 2.5)),
        ("except_statuses", "501, 505", ("retry.except_statuses", [501, 505])),
        ("max_delay_ms", "5000", ("retry.max_delay_ms", 5000)),
        ("on_assertion", "on", ("retry.on_assertion", True)),
        ("on_worker_lost", None, ("retry.on_worker_lost", False)),
        ("honor_retry_after", None, ("retry.honor_retry_after", False)),
        ("jitter", None, ("retry.jitter", False)),
    ],
)
def test_a_field_is_saved_and_comes_back(
    member: Client, make_job: MakeJob, field: str, typed: str | None, saved: tuple[str, Any]
) -> None:
    job = make_job(schedule="0 2 * * *", timezone="Europe/Berlin", request=CALL).job
    assert save(member, job, **{field: typed}).status_code == 302
    path, value = saved
    assert at(config_of(job), path) == value
    assert form_of(member, job).get(field) == typed
    assert save(member, job).status_code == 302
    assert JobVersion.objects.count() == 2


def test_retry_delays_and_a_certificate_are_saved_and_removed(member: Client, make_job: MakeJob) -> None:
    certificate = AUTHORITY.strip()
    job = make_job(request=CALL).job
    sent = certificate.replace("\n", "\r\n")
    assert save(member, job, backoff="list", delays_ms="100, 2000", ca_cert=sent).status_code == 302
    config = config_of(job)
    assert (config["retry"]["backoff"], config["retry"]["delays_ms"]) == ("list", [100, 2000])
    assert config["request"]["ca_cert"] == certificate
    assert save(member, job, backoff="fixed", delays_ms="", ca_cert="").status_code == 302
    config = config_of(job)
    assert (config["retry"]["delays_ms"], config["request"]["ca_cert"]) == (None, None)


def test_an_error_of_the_api_is_beside_its_field(member: Client, make_job: MakeJob) -> None:
    """Form and API accept the same values."""
    job = make_job(schedule="0 2 * * *", request=CALL).job
    api = caller(job.workspace)
    for field, typed in {
        "misfire": "skip", "overlap": "queue", "jitter_seconds": "9", "dst_gap": "skip", "dst_fold": "both",
    }.items():  # fmt: skip
        answer = save(member, job, **{field: typed})
        value = int(typed) if typed.isdecimal() else typed
        told = api.ask("PATCH", f"/jobs/{job.slug}/", {field: value})
        if answer.status_code == 302:
            assert told[field] == value
        else:
            assert list(answer.context["form"].errors) == [field]
            assert [error["field"] for error in told["errors"]] == [field]


@pytest.mark.parametrize(
    ("field", "typed", "expected"),
    [
        ("starts_at", "yesterday", "Should be a date and a time"),
        ("starts_at", "0001-01-01T00:00", "out of range"),
        ("ends_at", "2020-01-01T00:00", "would never fire"),
        ("misfire_grace_seconds", "-1", "greater than or equal to 0"),
        ("concurrency", "0", "greater than or equal to 1"),
        ("ca_cert", "no certificate", "PEM form"),
        ("except_statuses", "5xx", "whole numbers"),
        ("except_statuses", "99", "greater than or equal to 100"),
        ("policy", "nowhere", "not one of the available choices"),
    ],
)
def test_errors_stand_beside_the_new_fields(member: Client, field: str, typed: str, expected: str) -> None:
    answer: Any = member.post(reverse("admin:jobs_job_add"), {**FORM, field: typed})
    assert list(answer.context["form"].errors) == [field]
    assert expected in " ".join(answer.context["form"].errors[field])
    assert not Job.objects.exists()


def opened(page: str, section: str) -> bool:
    _, _, rest = page.partition(f'id="part-{section}"')
    return '<details class="hh-advanced" open>' in rest.partition("</section>")[0]


def test_unset_advanced_fields_are_collapsed(member: Client, make_job: MakeJob) -> None:
    plain = make_job(slug="plain", request=CALL).job
    page = member.get(change_url(plain)).content.decode()
    assert not any(opened(page, section) for section in ("when", "call", "retry"))
    told = make_job(slug="told", request={**CALL, "tls_verify": False}, concurrency=2).job
    page = member.get(change_url(told)).content.decode()
    assert [opened(page, section) for section in ("when", "call", "retry")] == [True, True, False]
    page = save(member, plain, except_statuses="5xx").content.decode()
    assert [opened(page, section) for section in ("when", "call", "retry")] == [False, False, True]
    assert not opened(member.get(reverse("admin:jobs_job_add")).content.decode(), "when")


# -- what nobody touches stays ---------------------------------------------------------------------------------------


def test_saving_everything_unchanged_makes_no_version(member: Client, make_job: MakeJob) -> None:
    job = make_job(
        schedule="30 2 * * *", timezone="Europe/Berlin",
        # The second 02:30 of that day; browsers would send back another text.
        starts_at="2026-10-25T01:30:00.123Z", ends_at="2027-01-01T00:00:00.000Z", misfire_grace_seconds=0,
        concurrency=1, tags=["a, b"], description="one\r\ntwo",
        request={**CALL, "headers": {"X-Empty": ""}, "body": "\n\nfirst\r\nlast \n", "timeout_seconds": 1.25},
        success={"statuses": ["204", "3xx"], "assertions": ASSERTIONS},
        retry={"backoff": "list", "delays_ms": [0, 5], "on_statuses": [], "except_statuses": [500], "jitter": False},
    ).job  # fmt: skip
    before = config_of(job)
    assert save(member, job).status_code == 302
    assert JobVersion.objects.count() == 1
    assert save(member, job, name="Renamed").status_code == 302
    assert config_of(job) == {**before, "name": "Renamed"}


def test_start_and_end_follow_a_change_of_the_time_zone(member: Client, make_job: MakeJob) -> None:
    job = make_job(schedule="0 2 * * *", timezone="Europe/Berlin", starts_at="2026-06-30T22:00:00.000Z").job
    page = member.get(change_url(job)).content.decode()
    assert 'value="2026-07-01T00:00"' in page
    assert "Time zone:" in page
    save(member, job, timezone="UTC", url=CALL["url"])
    assert config_of(job)["starts_at"] == "2026-07-01T00:00:00.000Z"


def test_a_retry_rule_beside_a_policy_is_refused(
    member: Client, make_job: MakeJob, workspace: Workspace
) -> None:  # fmt: skip
    api = caller(workspace)
    api.ask("POST", "/retry-policies/", {"slug": "patient", "name": "Patient", "max_attempts": 8}, expect=201)
    job = make_job(request=CALL, retry={"max_attempts": 5}).job
    answer = save(member, job, policy="patient", max_attempts="6", on_timeout=None)
    assert sorted(answer.context["form"].errors) == ["max_attempts", "on_timeout"]
    assert save(member, job, policy="patient").status_code == 302
    assert config_of(job)["retry"]["max_attempts"] == 8
    assert list(save(member, job, max_attempts="9").context["form"].errors) == ["max_attempts"]
    assert save(member, job, policy="", max_attempts="9").status_code == 302
    assert (config_of(job)["retry"]["policy"], config_of(job)["retry"]["max_attempts"]) == (None, 9)


# -- assertions ------------------------------------------------------------------------------------------------------


def test_every_type_of_assertion_can_be_chosen(member: Client) -> None:
    page = member.get(reverse("admin:jobs_job_add")).content.decode()
    for name, known in ASSERTION_TYPES.items():
        assert f'<option value="{name}">{known.label}</option>' in page
    assert {ASSERTION_TYPES[str(written["type"])].shape for written in ASSERTIONS} == set(Shape)


def test_assertions_are_shown_changed_removed_and_added(member: Client, make_job: MakeJob) -> None:
    job = make_job(request=CALL, success={"assertions": ASSERTIONS[:3]}).job
    spare = {"assertions-3-type": "json_path_exists", "assertions-3-path": "$.ok", "assertions-3-value": ""}
    answer = save(
        member, job, **{"assertions-0-value": " 201 ", "assertions-1-DELETE": "on"}, **spare
    )  # fmt: skip
    assert answer.status_code == 302
    assert config_of(job)["success"]["assertions"] == [
        {"type": "status_equals", "value": 201},
        ASSERTIONS[2],
        {"type": "json_path_exists", "path": "$.ok", "value": True},
    ]


def test_changing_an_assertions_type_drops_its_old_fields(member: Client, make_job: MakeJob) -> None:
    job = make_job(request=CALL, success={"assertions": [ASSERTIONS[2]]}).job
    assert save(member, job, **{"assertions-0-type": "body_contains"}).status_code == 302
    assert config_of(job)["success"]["assertions"] == [{"type": "body_contains", "value": "json"}]


@pytest.mark.parametrize(
    ("row", "field", "expected"),
    [
        ({"type": "status_equals", "value": "ok"}, "value", "whole number"),
        ({"type": "status_equals", "value": "99"}, "value", "greater than or equal to 100"),
        ({"type": "response_time_under_ms", "value": ""}, "value", "whole number"),
        ({"type": "header_equals", "name": "", "value": "x"}, "name", "blank"),
        ({"type": "header_equals", "name": "a b", "value": "x"}, "name", "valid header name"),
        ({"type": "body_matches", "value": "(?=x)"}, "value", ""),
        ({"type": "body_contains", "value": ""}, "value", "blank"),
        ({"type": "json_path_equals", "path": "$.a", "value": "ok"}, "value", 'Put text in quotes, as in "ok"'),
        ({"type": "json_path_equals", "path": "$.a", "value": "NaN"}, "value", "Invalid JSON"),
        ({"type": "json_path_equals", "path": "a", "value": "1"}, "path", ""),
        ({"type": "json_path_exists", "path": "$.a", "value": "maybe"}, "value", "true, or false"),
        ({"type": "", "value": "x"}, "type", "required"),
    ],
)
def test_errors_of_an_assertion_stand_in_its_row(
    member: Client, make_job: MakeJob, row: dict[str, str], field: str, expected: str
) -> None:
    job = make_job(request=CALL, success={"assertions": ASSERTIONS[:2]}).job
    wrong = {f"assertions-2-{name}": value for name, value in row.items()}
    # Removing a row shifts the indexes that the API reports.
    answer = save(member, job, **{"assertions-0-DELETE": "on"}, **wrong)
    assert answer.status_code == 200
    rows = answer.context["form"].assertions.forms
    assert [list(one.errors) for one in rows] == [[], [], [field], []]
    assert expected in " ".join(rows[2].errors[field])
    assert "Not saved" in answer.content.decode()
    assert JobVersion.objects.count() == 1


def test_more_assertions_than_ten_are_refused_above_their_rows(member: Client, make_job: MakeJob) -> None:
    job = make_job(request=CALL).job
    rows = {
        f"assertions-{index}-{name}": value
        for index in range(11)
        for name, value in {"type": "body_contains", "value": str(index)}.items()
    }
    answer = save(member, job, **rows, **{"assertions-TOTAL_FORMS": "11"})
    assert answer.status_code == 200
    assert answer.context["form"].assertions.non_form_errors()
    assert JobVersion.objects.count() == 1


def test_rows_added_by_the_script_need_not_be_consecutive(member: Client, make_job: MakeJob) -> None:
    """Scripts do not send the empty rows for browsers without scripts, and leave gaps."""
    job = make_job(request=CALL).job
    values = {name: value for name, value in form_of(member, job).items() if not name.startswith("assertions-0-")}
    values |= {"assertions-TOTAL_FORMS": "3", "assertions-2-type": "status_equals", "assertions-2-value": "200"}
    assert member.post(change_url(job), values).status_code == 302
    assert config_of(job)["success"]["assertions"] == [{"type": "status_equals", "value": 200}]


def test_retention_is_saved_and_comes_back(member: Client, make_job: MakeJob) -> None:
    job = make_job(request=CALL).job
    assert save(member, job, keep_last="7", keep_days="30").status_code == 302
    assert config_of(job)["retention"] == {"keep_last": 7, "keep_days": 30}
    assert save(member, job, keep_days="").status_code == 302
    assert config_of(job)["retention"] == {"keep_last": 7, "keep_days": None}
    assert list(save(member, job, keep_last="0").context["form"].errors) == ["keep_last"]


def test_errors_are_listed_with_links_to_their_fields(member: Client) -> None:
    wrong = {"url": "ftp://x.test/", "assertions-TOTAL_FORMS": "1", "assertions-0-type": "status_equals"}
    page = member.post(reverse("admin:jobs_job_add"), {**FORM, **wrong}).content.decode()
    alert = page.partition('role="alert"')[2].partition("</div>")[0]
    assert 'href="#id_assertions-0-value"' in alert
    page = member.post(reverse("admin:jobs_job_add"), {**FORM, "url": "ftp://x.test/"}).content.decode()
    assert 'href="#id_url"' in page.partition('role="alert"')[2].partition("</div>")[0]
    assert 'aria-describedby="id_url_error"' in page
    assert 'id="id_url_error"' in page
