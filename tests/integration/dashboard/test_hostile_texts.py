"""Hostile text in every text column: no page executes it, and no header carries it on."""

from contextlib import suppress
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import IntegrityError, models, transaction
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts.actors import SYSTEM
from accounts.models import Environment, Workspace
from accounts.secrets import create_secret
from accounts.services import issue_key
from jobs.models import Job, JobVersion, RetryPolicy
from runs.models import Execution, Run
from tests.support.admin_rows import execution_of, person, run_of, signed_in
from tests.support.api_caller import JOB, NOW, caller
from tests.support.jobs import MakeJob, job_config

pytestmark = pytest.mark.django_db
#: Breaks out of text, of attributes in either quotes, of scripts, and of the expressions in a theme's attributes.
HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(1)>" x-init="alert(1)" \'+alert(1)+\''
LINK = "javascript:alert(1)"
ROWS_SHOWN = 2
#: Columns with values of a fixed set, or values that pages compute with.
_KEPT = {"slug", "kind", "status", "trigger", "schedule", "timezone", "password", "digest", "task", "period"}


class Page(HTMLParser):
    """Collect everything on a page that would run foreign code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "script" and "src" not in given and given.get("type") != "application/json":
            self.found.append(f"<script> inline: {self.get_starttag_text()}")
        for name, value in given.items():
            runs = name.startswith(("on", "x-", "@", ":", "hx-"))
            leads = name in {"href", "src", "action", "formaction", "xlink:href"}
            if (
                name.startswith("on")
                or (runs and "alert(1)" in value)
                or (leads and value.strip().startswith("javascript"))
            ):
                self.found.append(f"{tag} {name}={value}")


@pytest.fixture
def everything(workspace: Workspace, make_job: MakeJob) -> Workspace:
    """One of everything, with hostile text in every text field."""
    config = {"name": HOSTILE, "description": HOSTILE, "tags": [HOSTILE[:50]], "request": {"headers": {"X-A": HOSTILE}}}
    state = make_job(slug="hostile", schedule="0 2 * * *", **config)
    wanted = job_config(**config)
    wanted["request"] |= {"url": f"https://receiver.test/{HOSTILE}", "body": HOSTILE}
    wanted["success"]["assertions"] = [{"type": "body_contains", "value": HOSTILE}]
    JobVersion.objects.update(config=wanted)
    RetryPolicy.objects.create(workspace=workspace, slug="patient", name=HOSTILE, **_rules())
    create_secret(workspace=workspace, environment=None, name="TOKEN", value="a long value", now=NOW, actor=SYSTEM)
    issue_key(workspace=workspace, name=HOSTILE, scopes=["jobs:read"], environments=None, expires_at=None, actor=SYSTEM)
    person("guest", workspace=workspace)
    for status in ("failed", "running", "skipped"):
        execution = execution_of(state, status=status)
        run_of(execution, request_url=LINK, response_headers={HOSTILE: HOSTILE}, request_headers={HOSTILE: [HOSTILE]})
    for model in admin.site._registry:
        _make_hostile(model)
    Execution.objects.filter(status="failed").update(error=HOSTILE, failure_reason="timeout", input={HOSTILE: HOSTILE})
    Run.objects.update(request_url=LINK, response_body=f'{{"a":"{HOSTILE[:20]}"}}', response_status=500)
    return workspace


def _rules() -> dict[str, Any]:
    return {field: value for field, value in job_config()["retry"].items() if field != "policy"}


def _make_hostile(model: type[models.Model]) -> None:
    """Put the text into every column of a model that accepts it; the schema refuses it for some."""
    for field in model._meta.concrete_fields:
        texts = isinstance(field, models.CharField | models.TextField) and not isinstance(field, models.SlugField)
        if not texts or field.choices or field.primary_key or field.name in _KEPT:
            continue
        text = HOSTILE[: field.max_length] if field.max_length else HOSTILE
        for row in model._default_manager.all():
            try:
                with transaction.atomic():
                    model._default_manager.filter(pk=row.pk).update(**{field.name: text})
            except IntegrityError:
                continue


def pages() -> list[str]:
    """A test for each page of the dashboard, by its URL name or its model."""
    admin.autodiscover()  # else the pages are registered with the URLs, and a run of this module alone has none
    return sorted(model._meta.label for model in admin.site._registry)


def shown(client: Client, url: str) -> str:
    answer = client.get(url, follow=True)
    assert answer.status_code in {200, 403}, (url, answer.status_code)
    return answer.content.decode()


def assert_harmless(page: str, url: str) -> None:
    assert not Page(page).found, (url, Page(page).found)
    assert "<script>alert" not in page, url
    assert "<img src=x" not in page, url


@pytest.fixture
def boss(everything: Workspace) -> Client:
    boss = person("boss", workspace=everything, role="owner", superuser=True)
    get_user_model().objects.filter(pk=boss.pk).update(first_name=HOSTILE[:100], last_name=HOSTILE[:100])
    return signed_in(boss)


@pytest.mark.parametrize("label", pages())
def test_the_pages_of_a_model_show_it_as_text(boss: Client, label: str) -> None:
    model = next(model for model in admin.site._registry if model._meta.label == label)
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    hostile = f"{LINK}%22%3E%3Cscript%3Ealert(1)"
    page = reverse(f"{name}_changelist")
    urls = [page, f"{page}?q={hostile}", f"{page}?search={hostile}&job={hostile}&from={hostile}&{hostile}=1"]
    for row in model._default_manager.order_by("pk")[:ROWS_SHOWN]:
        for kind in ("change", "delete", "history", "edit"):
            with suppress(NoReverseMatch):  # history is read-only: some models have no such pages
                urls.append(reverse(f"{name}_{kind}", args=[row.pk]))
    for url in urls:
        assert_harmless(shown(boss, url), url)


def test_the_start_page_shows_it_as_text(boss: Client) -> None:
    page = shown(boss, reverse("admin:index"))
    assert_harmless(page, "/admin/")
    assert "&lt;script&gt;alert(1)" in page


def test_the_pages_of_each_execution_and_run_show_it_as_text(boss: Client) -> None:
    for row in [*Execution.objects.all(), *Run.objects.all(), *Job.objects.all(), *Environment.objects.all()]:
        url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
        assert_harmless(shown(boss, url), url)


def test_the_api_returns_it_as_json_that_browsers_do_not_render(everything: Workspace) -> None:
    for path in ("jobs/", "executions/", "runs/", "jobs/hostile/", "jobs/hostile/versions/"):
        answer = caller(everything).get(f"/api/v1/{path}")
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/json"
        assert answer["X-Content-Type-Options"] == "nosniff"


BREAKS = ("\r\nX-Injected: 1", "\nX-Injected: 1", "\rX-Injected: 1", "\x00", "\x7f")


@pytest.mark.parametrize("tail", BREAKS, ids=repr)
@pytest.mark.parametrize(
    "hostile",
    [
        lambda tail: {"headers": {"X-A": f"a{tail}"}},
        lambda tail: {"headers": {f"X-A{tail}": "a"}},
        lambda tail: {"url": f"http://receiver.test/{tail}"},
        lambda tail: {"url": f"http://receiver.test{tail}/"},
    ],
    ids=["a header's value", "a header's name", "the path", "the host"],
)
def test_no_job_can_add_a_line_to_its_request(workspace: Workspace, hostile: Any, tail: str) -> None:
    body = {**JOB, "request": {**JOB["request"], **hostile(tail)}}  # type: ignore[dict-item]
    refused = caller(workspace).refused("POST", "/jobs/", body)
    assert any(str(field).startswith("request") for field in refused)
    assert not Job.objects.exists()


@pytest.mark.parametrize("next_page", ["https://evil.test/", "//evil.test/", "/admin/\r\nSet-Cookie: a=b", LINK])
def test_the_login_redirects_to_no_other_site(settings: Any, next_page: str) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    get_user_model().objects.create_superuser("boss", password="a long password")
    given = {"username": "boss", "password": "a long password", "next": next_page}
    answer = Client().post("/admin/login/", given)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/")
    assert "a" not in answer.cookies
    assert "\n" not in answer["Location"]
